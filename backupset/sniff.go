package backupset

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/tarstream"
)

// sniff tells how a stream is compressed and, if it is no tar, what it seems to
// be; found is "" for a tar.
func sniff(r io.Reader) (a codec.Algorithm, found string, err error) {
	raw := make([]byte, sniffRaw)
	n, err := io.ReadFull(r, raw)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return 0, "", err
	}
	return sniffBytes(raw[:n], n == sniffRaw)
}

// sniffRaw is enough of a compressed stream to see the first block of what is
// in it.
const sniffRaw = 64 << 10

// sniffBytes does it for the first bytes of a stream. more says that it goes on
// after them.
func sniffBytes(raw []byte, more bool) (a codec.Algorithm, found string, err error) {
	if len(raw) == 0 {
		return 0, "an empty file", nil
	}
	a = codec.Detect(raw)
	head := raw
	if a != codec.None {
		z, err := codec.NewReader(bytes.NewReader(raw), a)
		if err != nil {
			return a, "", err
		}
		head = make([]byte, tarstream.BlockSize)
		n, err := io.ReadFull(z, head)
		z.Close()
		head = head[:n]
		switch {
		case err == nil:
		case err == io.EOF, more && errors.Is(err, io.ErrUnexpectedEOF):
		case err == io.ErrUnexpectedEOF && n > 0: // the stream is whole, and shorter than a block
		default:
			return a, "", err
		}
		if n == 0 && more {
			// A block that begins beyond what was looked at, as zstd's may: reading will tell.
			return a, "", nil
		}
	}
	if found := describeContent(head); found != "" {
		if a != codec.None {
			found += ", compressed with " + a.String()
		}
		return a, found, nil
	}
	return a, "", nil
}

// signatures are of what is taken for a backup by mistake.
var signatures = []struct {
	at    int
	magic string
	what  string
}{
	{0, "PGDMP", "an archive of pg_dump; pg_restore reads it"},
	{0, "--\n-- PostgreSQL database", "an SQL script of pg_dump or pg_dumpall; psql reads it"},
	{0, "--\n-- EnterpriseDB database", "an SQL script of pg_dump or pg_dumpall; psql reads it"},
	{0, "--\r\n-- PostgreSQL database", "an SQL script of pg_dump or pg_dumpall; psql reads it"},
	{0, "\xfd7zXZ\x00", "compressed with xz, which has to be undone first (xz -dc FILE, and \"-\" for standard input)"},
	{0, "BZh", "compressed with bzip2, which has to be undone first (bzip2 -dc FILE, and \"-\" for standard input)"},
	{0, "PK\x03\x04", "a zip file"},
	{0, "7z\xbc\xaf\x27\x1c", "a 7z file"},
	{0, "SQLite format 3\x00", "an SQLite database"},
	{0, "{ \"PostgreSQL-Backup-Manifest-Version\"", "the manifest of a backup; name the directory that holds it"},
	{0, "START WAL LOCATION:", "the backup_label of a backup, or its history file"},
}

// describeContent says what something is that begins with head; "" if that is a
// tar.
func describeContent(head []byte) string {
	for _, s := range signatures {
		if len(head) >= s.at && bytes.HasPrefix(head[s.at:], []byte(s.magic)) {
			return s.what
		}
	}
	if looksLikeWAL(head) {
		return "a file of WAL"
	}
	if len(head) < tarstream.BlockSize {
		return "too short for a tar archive"
	}
	block := (*[tarstream.BlockSize]byte)(head)
	name, ok := firstName(block)
	switch {
	case !ok && bytes.Count(block[:], []byte{0}) == len(block):
		return "" // a tar without members; reading it says more
	case !ok:
		return "no tar archive"
	case name == "toc.dat":
		return "a tar archive of pg_dump; pg_restore reads it"
	}
	return ""
}

// firstName checks a header block's sum, which every kind of tar has, and
// returns the name in it.
func firstName(b *[tarstream.BlockSize]byte) (string, bool) {
	sum := 0
	for i, c := range b {
		if i >= 148 && i < 156 {
			c = ' '
		}
		sum += int(c)
	}
	stated := 0
	for _, c := range bytes.Trim(b[148:156], " \x00") {
		if c < '0' || c > '7' {
			return "", false
		}
		stated = stated<<3 | int(c-'0')
	}
	name, _, _ := bytes.Cut(b[:100], []byte{0})
	return strings.TrimPrefix(string(name), "./"), sum == stated
}

// looksLikeWAL tells a long page header, with which each segment begins: a magic number of 0xD0xx or 0xD1xx,
// XLP_LONG_HEADER among the flags, and a size of blocks that is a power of two
// (access/xlog_internal.h).
func looksLikeWAL(head []byte) bool {
	if len(head) < 40 || head[1]&0xFE != 0xD0 || head[2]&0x02 == 0 {
		return false
	}
	block := uint32(head[36]) | uint32(head[37])<<8 | uint32(head[38])<<16 | uint32(head[39])<<24
	return block >= 1<<10 && block <= 1<<16 && block&(block-1) == 0
}

// describeDirectory says what a directory is that holds no backup.
func describeDirectory(path string, entries []fs.DirEntry) string {
	if len(entries) == 0 {
		return "an empty directory"
	}
	wal, dumps := 0, false
	var tars, backups []string
	for _, e := range entries {
		name := e.Name()
		_, _, part := archiveOf(name)
		switch {
		case isWALFile(name):
			wal++
		case name == "toc.dat":
			dumps = true
		case part:
			tars = append(tars, name)
		case e.IsDir() && looksLikeBackup(filepath.Join(path, name)):
			backups = append(backups, name)
		case strings.HasPrefix(name, "PG_") && e.IsDir():
			return "the directory of a tablespace"
		case name == "pg_control":
			return "the directory \"global\" of a data directory; name the directory above it"
		}
	}
	switch {
	case len(backups) > 0:
		return "a directory that has backups in it; name one of them: " + list(backups)
	case dumps:
		return "a directory of pg_dump; pg_restore reads it"
	case len(tars) > 0:
		return "a directory that has " + list(tars) + ", but no base.tar"
	case wal > 0:
		return "a directory of WAL files"
	case len(entries) == 1:
		return "a directory that holds nothing of a backup, but " + list([]string{entries[0].Name()}) + "; a tar made by hand is opened by its own name"
	}
	return "a directory that has neither PG_VERSION nor base.tar"
}

// looksLikeBackup tells whether there may be a backup in the directory at path, by
// the names in it alone.
func looksLikeBackup(path string) bool {
	for _, name := range []string{VersionName, "base.tar", "base.tar.gz", "base.tar.zst", "base.tar.lz4", "base.tar" + heldSuffix} {
		if info, err := os.Lstat(filepath.Join(path, name)); err == nil && info.Mode().IsRegular() {
			return true
		}
	}
	return false
}
