package manifest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"strconv"
	"time"
	"unicode/utf8"
)

// Writer writes a manifest of format 2, as servers from 17 on do: for a backup
// that was put together from others. Errors stay.
type Writer struct {
	w     io.Writer
	sum   hash.Hash
	buf   []byte
	files int64
	err   error
}

// flushAt is how many bytes are gathered for one write.
const flushAt = 64 << 10

// NewWriter begins a manifest on w, which is not closed.
func NewWriter(w io.Writer, systemID uint64) *Writer {
	m := &Writer{w: w, sum: sha256.New()}
	m.buf = fmt.Appendf(m.buf, "{ \"PostgreSQL-Backup-Manifest-Version\": 2,\n\"System-Identifier\": %d,\n\"Files\": [", systemID)
	return m
}

// FormatModTime is a time as File.ModTime has it.
func FormatModTime(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 GMT") }

// Add lists a file. A path that is not UTF-8 is written in hexadecimal, as the
// server writes it. The checksum must have the length that its algorithm makes
// it, and is left out for None.
func (m *Writer) Add(f File) error {
	if m.err != nil {
		return m.err
	}
	if problem := pathProblem([]byte(f.Path)); problem != "" {
		m.err = fmt.Errorf("%s: \"%s\"", problem, printable(f.Path))
		return m.err
	}
	if len(f.Checksum) != f.Algorithm.Size() || f.Size < 0 {
		m.err = fmt.Errorf("file \"%s\" cannot be listed with size %d and a %s checksum of %d bytes",
			printable(f.Path), f.Size, f.Algorithm, len(f.Checksum))
		return m.err
	}
	if m.files++; m.files > 1 {
		m.buf = append(m.buf, ',')
	}
	m.buf = append(m.buf, "\n{ "...)
	if utf8.ValidString(f.Path) {
		m.buf = appendString(append(m.buf, `"Path": `...), f.Path)
	} else {
		m.buf = hex.AppendEncode(append(m.buf, `"Encoded-Path": "`...), []byte(f.Path))
		m.buf = append(m.buf, '"')
	}
	m.buf = strconv.AppendInt(append(m.buf, `, "Size": `...), f.Size, 10)
	m.buf = appendString(append(m.buf, `, "Last-Modified": `...), f.ModTime)
	if f.Algorithm != None {
		m.buf = fmt.Appendf(m.buf, `, "Checksum-Algorithm": "%s", "Checksum": "`, f.Algorithm)
		m.buf = append(hex.AppendEncode(m.buf, f.Checksum), '"')
	}
	m.buf = append(m.buf, " }"...)
	if len(m.buf) >= flushAt {
		m.flush()
	}
	return m.err
}

// Close ends the manifest with the WAL that the backup needs and the manifest's
// own checksum.
func (m *Writer) Close(ranges []WALRange) error {
	m.buf = append(m.buf, "\n],\n\"WAL-Ranges\": [\n"...)
	for i, r := range ranges {
		if i > 0 {
			m.buf = append(m.buf, ",\n"...)
		}
		m.buf = fmt.Appendf(m.buf, `{ "Timeline": %d, "Start-LSN": "%v", "End-LSN": "%v" }`, r.Timeline, r.Start, r.End)
	}
	m.buf = append(m.buf, "\n],\n"...)
	m.flush()
	m.buf = fmt.Appendf(m.buf, "\"Manifest-Checksum\": \"%x\"}\n", m.sum.Sum(nil))
	m.flush()
	return m.err
}

func (m *Writer) flush() {
	if m.err == nil {
		m.sum.Write(m.buf)
		_, m.err = m.w.Write(m.buf)
	}
	m.buf = m.buf[:0]
}

// appendString appends a JSON string as the server escapes it (escape_json).
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '\b':
			b = append(b, `\b`...)
		case '\f':
			b = append(b, `\f`...)
		case '\n':
			b = append(b, `\n`...)
		case '\r':
			b = append(b, `\r`...)
		case '\t':
			b = append(b, `\t`...)
		case '"', '\\':
			b = append(b, '\\', c)
		default:
			if c < ' ' {
				b = fmt.Appendf(b, `\u%04x`, c)
			} else {
				b = append(b, c)
			}
		}
	}
	return append(b, '"')
}
