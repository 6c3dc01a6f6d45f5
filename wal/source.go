package wal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// Source is where segments come from: a directory, an archive, the members of a
// tar file.
type Source interface {
	// OpenSegment opens the content of a segment, from its first byte. The caller
	// closes it, also before it was read to its end. The error wraps
	// fs.ErrNotExist when the segment is not there.
	//
	// What it returns may implement io.Seeker, which saves reading over what lies
	// before the position that is wanted, and PartialSegment.
	OpenSegment(tli uint32, segno uint64) (io.ReadCloser, error)
}

// SegmentSizer is a Source that knows the size of its segments, in bytes.
type SegmentSizer interface {
	SegmentSize() (int64, error)
}

// PartialSegment is what a Source returns for a segment that was never finished,
// such as a ".partial" file: that it is short, or that its last record is torn,
// is then the end of the WAL and not damage.
type PartialSegment interface {
	Partial() bool
}

// Directory is a Source of the plain segments in a directory, such as pg_wal.
// Other files there are not looked at.
type Directory struct {
	path string
	size func() (int64, error)
}

// Dir returns the directory at path. With a segSize of 0 the size, in bytes, is the
// one in the first page of the directory's first segment.
func Dir(path string, segSize int64) *Directory {
	return &Directory{path, sync.OnceValues(func() (int64, error) {
		if segSize != 0 {
			return segSize, nil
		}
		return dirSegmentSize(path)
	})}
}

// SegmentSize implements SegmentSizer.
func (d *Directory) SegmentSize() (int64, error) { return d.size() }

// OpenSegment implements Source.
func (d *Directory) OpenSegment(tli uint32, segno uint64) (io.ReadCloser, error) {
	size, err := d.size()
	if err != nil {
		return nil, err
	}
	return os.Open(filepath.Join(d.path, SegmentName(tli, segno, size)))
}

// dirSegmentSize reads the size from the first segment whose first page tells it;
// segments that were made ahead of their use hold zeros.
func dirSegmentSize(path string) (int64, error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		if !IsSegmentName(e.Name()) || !e.Type().IsRegular() {
			continue
		}
		size, err := fileSegmentSize(filepath.Join(path, e.Name()))
		if err != nil {
			return 0, err
		}
		if size != 0 {
			return size, nil
		}
	}
	return 0, fmt.Errorf("no write-ahead log segment in directory %q: %w", path, fs.ErrNotExist)
}

// fileSegmentSize returns 0 when the file has no long page header.
func fileSegmentSize(path string) (size int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var b [longHeaderSize]byte
	if _, err := io.ReadFull(f, b[:]); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return 0, nil
		}
		return 0, err
	}
	h := parsePageHeader(b[:])
	if h.magic == 0 || h.info&infoLongHeader == 0 || !ValidSegmentSize(int64(h.segSize)) {
		return 0, nil
	}
	return int64(h.segSize), nil
}
