package pgfake

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"unicode/utf8"

	"github.com/pgbasin/pgbasin/lsn"
)

// Manifest describes a backup_manifest to write as the server writes it
// (backup_manifest.c).
type Manifest struct {
	Version     int    // 1 (13 to 16) or 2 (17 and later)
	SystemID    uint64 // version 2 only
	Files       []File // directories and links are left out
	Checksums   string // CRC32C if empty; NONE, SHA224, SHA256, SHA384, SHA512
	ForceEncode bool
	Ranges      []WALRange
}

// WALRange is what must be replayed, on one timeline.
type WALRange struct {
	Timeline   uint32
	Start, End lsn.LSN
}

var checksums = map[string]func([]byte) []byte{
	"NONE": nil,
	// The four bytes are in the order of the server's machine.
	"CRC32C": func(b []byte) []byte {
		return binary.LittleEndian.AppendUint32(nil, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	},
	"SHA224": func(b []byte) []byte { s := sha256.Sum224(b); return s[:] },
	"SHA256": func(b []byte) []byte { s := sha256.Sum256(b); return s[:] },
	"SHA384": func(b []byte) []byte { s := sha512.Sum384(b); return s[:] },
	"SHA512": func(b []byte) []byte { s := sha512.Sum512(b); return s[:] },
}

// Bytes is the file.
func (m Manifest) Bytes() []byte {
	algorithm := m.Checksums
	if algorithm == "" {
		algorithm = "CRC32C"
	}
	sum, known := checksums[algorithm]
	if !known {
		panic(fmt.Sprintf("pgfake: unknown checksum algorithm %q", algorithm))
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "{ \"PostgreSQL-Backup-Manifest-Version\": %d,\n", max(m.Version, 1))
	if m.Version >= 2 {
		fmt.Fprintf(&b, "\"System-Identifier\": %d,\n", m.SystemID)
	}
	b.WriteString("\"Files\": [")
	separator := "\n"
	for _, f := range m.Files {
		if f.isDir() || f.Link != "" {
			continue
		}
		b.WriteString(separator)
		separator = ",\n"
		if !m.ForceEncode && utf8.ValidString(f.Path) {
			path, _ := json.Marshal(f.Path)
			fmt.Fprintf(&b, "{ \"Path\": %s, ", path)
		} else {
			fmt.Fprintf(&b, "{ \"Encoded-Path\": \"%s\", ", hex.EncodeToString([]byte(f.Path)))
		}
		fmt.Fprintf(&b, "\"Size\": %d, \"Last-Modified\": \"%s\"", len(f.Data), ModTime.Format("2006-01-02 15:04:05 GMT"))
		if sum != nil {
			fmt.Fprintf(&b, ", \"Checksum-Algorithm\": \"%s\", \"Checksum\": \"%x\"", algorithm, sum(f.Data))
		}
		b.WriteString(" }")
	}
	b.WriteString("\n],\n\"WAL-Ranges\": [\n")
	separator = ""
	for _, r := range m.Ranges {
		fmt.Fprintf(&b, "%s{ \"Timeline\": %d, \"Start-LSN\": \"%v\", \"End-LSN\": \"%v\" }", separator, r.Timeline, r.Start, r.End)
		separator = ",\n"
	}
	b.WriteString("\n],\n")
	total := sha256.Sum256(b.Bytes())
	fmt.Fprintf(&b, "\"Manifest-Checksum\": \"%x\"}\n", total)
	return b.Bytes()
}
