package backupset

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/pgbasin/pgbasin/codec"
)

// random is the tar of an archive that can be read at any place.
type random struct {
	io.ReaderAt
	size  int64
	ahead int // how much it is worth to read for a header, in bytes
	file  *os.File
}

// fileAhead is that of a file: more is read than the header of a large member
// needs, but the next header is there when members are small.
const fileAhead = 16 << 10

// openRandom opens the tar of an archive: a file, or one compressed with zstd that
// has a seek table. It is nil if there is only a stream. progress, if not nil, is
// told how much is read of the file.
func openRandom(a *Archive, progress func(int)) (*random, error) {
	if a.path == "-" || a.Compression != codec.None && a.Compression != codec.Zstd {
		return nil, nil
	}
	f, err := os.Open(a.path)
	if err != nil {
		return nil, fmt.Errorf("could not open file %q: %w", a.path, err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("could not stat file %q: %w", a.path, err)
	}
	r := &random{ReaderAt: &countedAt{f, progress}, size: info.Size(), ahead: fileAhead, file: f}
	if a.Compression == codec.None {
		return r, nil
	}
	s, err := codec.OpenSeekable(r.ReaderAt, r.size)
	if err != nil {
		f.Close()
		if errors.Is(err, codec.ErrNotSeekable) {
			return nil, nil
		}
		return nil, &ArchiveError{a.path, err}
	}
	// A header from what is decompressed costs nothing, and the frame behind it much.
	r.ReaderAt, r.size, r.ahead = s, s.Size(), 0
	return r, nil
}

func (r *random) close() { r.file.Close() }

// countedAt tells how much is read.
type countedAt struct {
	io.ReaderAt
	progress func(int) // may be nil
}

func (c *countedAt) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.ReaderAt.ReadAt(p, off)
	if n > 0 && c.progress != nil {
		c.progress(n)
	}
	return n, err
}
