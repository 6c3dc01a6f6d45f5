package walstream

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/internal/durable"
	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/wal"
)

// Position is a place in the log of a cluster.
type Position struct {
	Timeline uint32
	LSN      lsn.LSN
}

// A GapError says that segments are missing in the middle of an archive, so that
// nothing can be replayed beyond it.
type GapError struct {
	Dir           string
	Before, After string // file names on both sides
}

func (e *GapError) Error() string {
	return fmt.Sprintf("WAL segments are missing in directory \"%s\" between \"%s\" and \"%s\"", e.Dir, e.Before, e.After)
}

// ArchiveEnd finds where receiving goes on in an archive, as pg_receivewal does:
// behind the newest whole segment, or at the start of one that is partial, on the
// newest timeline. The zero Position means that there are no segments.
//
// Files without a compression and gzip files must have the right size; of lz4
// and zstd files the newest is decompressed to find out. Those that have not are
// left aside, and warn is told. A gap between the segments that are left on that
// timeline is a *GapError; its beginning is not known, because archives are
// pruned there.
func ArchiveEnd(dir string, segmentSize int64, warn func(text string)) (Position, error) {
	pos, _, err := archiveEnd(dir, segmentSize, warn)
	return pos, err
}

// archiveEnd also returns the newest segment.
func archiveEnd(dir string, segmentSize int64, warn func(text string)) (Position, wal.File, error) {
	timelines, err := listSegments(dir, segmentSize)
	if err != nil {
		return Position{}, wal.File{}, err
	}
	newestFirst := make([]uint32, 0, len(timelines))
	for t := range timelines {
		newestFirst = append(newestFirst, t)
	}
	slices.Sort(newestFirst)
	slices.Reverse(newestFirst)
	for _, t := range newestFirst {
		a := archiveScan{dir: dir, size: segmentSize, warn: warn}
		if err := a.timeline(timelines[t]); err != nil {
			return Position{}, wal.File{}, err
		}
		if a.found {
			return Position{t, wal.SegmentStart(a.next, segmentSize)}, a.newest, nil
		}
	}
	return Position{}, wal.File{}, nil
}

// listSegments lists what has a segment's name, by timeline.
func listSegments(dir string, segmentSize int64) (map[uint32][]wal.File, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("could not open directory \"%s\": %w", dir, err)
	}
	defer d.Close()
	timelines := make(map[uint32][]wal.File)
	for {
		names, err := d.Readdirnames(1024)
		for _, name := range names {
			if f, ok := wal.ParseFileName(name, segmentSize); ok {
				timelines[f.Timeline] = append(timelines[f.Timeline], f)
			}
		}
		if err == io.EOF {
			return timelines, nil
		}
		if err != nil {
			return nil, fmt.Errorf("could not read directory \"%s\": %w", dir, err)
		}
	}
}

// archiveScan goes through one timeline.
type archiveScan struct {
	dir  string
	size int64
	warn func(string)

	found  bool
	next   uint64   // the segment to receive next
	newest wal.File // the newest segment
	last   wal.File // the oldest one that was looked at
}

func (a *archiveScan) timeline(files []wal.File) error {
	slices.SortFunc(files, func(x, y wal.File) int {
		if x.Segment != y.Segment {
			return cmp.Compare(y.Segment, x.Segment)
		}
		return cmp.Compare(rank(x), rank(y))
	})
	for _, f := range files {
		if f.Partial {
			// Only the newest one is what is left to be received. Others were
			// left behind by a change of the compression, for example.
			if !a.found {
				a.found, a.next, a.newest, a.last = true, f.Segment, f, f
			}
			continue
		}
		if a.found && a.last.Segment == f.Segment && !a.last.Partial {
			continue // once more, compressed in another way
		}
		ok, err := a.whole(f)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if a.found && a.last.Segment > f.Segment+1 {
			return &GapError{Dir: a.dir, Before: f.Name(a.size), After: a.last.Name(a.size)}
		}
		if !a.found {
			a.found, a.next, a.newest = true, f.Segment+1, f
		}
		a.last = f
	}
	return nil
}

// rank puts whole segments before partial ones.
func rank(f wal.File) int {
	if f.Partial {
		return 1
	}
	return 0
}

// whole checks the size of a segment that is whole by its name.
func (a *archiveScan) whole(f wal.File) (bool, error) {
	name := f.Name(a.size)
	path := filepath.Join(a.dir, name)
	switch f.Compression {
	case "":
		info, err := os.Stat(path)
		if err != nil {
			return false, fmt.Errorf("could not stat file \"%s\": %w", path, err)
		}
		if info.Size() != a.size {
			a.say("segment file \"%s\" has incorrect size %d, skipping", name, info.Size())
			return false, nil
		}
		return true, nil
	case codec.Gzip.Suffix():
		size, err := gzipSize(path)
		if err != nil {
			return false, err
		}
		if int64(size) != a.size {
			a.say("compressed segment file \"%s\" has incorrect uncompressed size %d, skipping", name, size)
			return false, nil
		}
		return true, nil
	}
	if a.found {
		return true, nil
	}
	size, err := decompressedSize(path, codec.ByName(name), a.size)
	if err != nil {
		return false, err
	}
	if size != a.size {
		a.say("compressed segment file \"%s\" has incorrect uncompressed size %d, skipping", name, size)
		return false, nil
	}
	return true, nil
}

func (a *archiveScan) say(format string, args ...any) {
	if a.warn != nil {
		a.warn(fmt.Sprintf(format, args...))
	}
}

// gzipSize is the size that the trailer of a gzip file tells, ISIZE of RFC 1952,
// which is right for one member below 4 GB. That is as far as pg_receivewal goes.
func gzipSize(path string) (int32, error) {
	f, err := durable.OpenRead(path)
	if err != nil {
		return 0, fmt.Errorf("could not open compressed file \"%s\": %w", path, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && info.Size() < 4 {
		err = syscall.EINVAL // as lseek(2) has it
	}
	if err != nil {
		return 0, fmt.Errorf("could not seek in compressed file \"%s\": %w", path, err)
	}
	var b [4]byte
	if _, err := f.ReadAt(b[:], info.Size()-4); err != nil {
		return 0, fmt.Errorf("could not read compressed file \"%s\": %w", path, err)
	}
	return int32(binary.LittleEndian.Uint32(b[:])), nil
}

// decompressedSize reads a whole file, but not beyond more than limit bytes of
// what it holds.
func decompressedSize(path string, a codec.Algorithm, limit int64) (int64, error) {
	n, err := decompress(path, a, limit)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return 0, fmt.Errorf("could not decompress file \"%s\": %w", path, err)
	}
	return n, nil
}

// decompress returns how many bytes come out of a file, up to one more than
// limit, before its end or the error that ends it.
func decompress(path string, a codec.Algorithm, limit int64) (int64, error) {
	f, err := durable.OpenRead(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	z, err := codec.NewReader(f, a)
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(io.Discard, io.LimitReader(z, limit+1))
	return n, errors.Join(err, z.Close())
}
