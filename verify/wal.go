package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pgbasin/pgbasin/manifest"
	"github.com/pgbasin/pgbasin/wal"
	"github.com/pgbasin/pgbasin/walarchive"
)

// checkWAL reads the ranges of WAL that the backup needs. What it finds is
// reported by reportWAL.
func (v *verifier) checkWAL(ctx context.Context) error {
	if v.o.NoParseWAL || len(v.ranges) == 0 && !v.report.NoManifest {
		return nil
	}
	src, closeSource, err := v.walSource(ctx)
	if err == nil {
		defer closeSource()
	}
	if v.report.NoManifest {
		r, labelErr := v.labelRange(ctx, src)
		if err == nil {
			err = labelErr
		}
		v.ranges = []manifest.WALRange{r}
	}
	for _, r := range v.ranges {
		found := WALReport{WALRange: r, Err: err}
		if err == nil {
			found.Err = v.checkRange(ctx, src, r)
		}
		if err := context.Cause(ctx); err != nil {
			return err
		}
		v.wal = append(v.wal, found)
	}
	return nil
}

func (v *verifier) checkRange(ctx context.Context, src wal.Source, r manifest.WALRange) error {
	if r.Start >= r.End {
		return fmt.Errorf("could not find a valid record between %s and %s", r.Start, r.End)
	}
	o := v.walOptions(r)
	o.Warning = v.warning
	return wal.Verify(ctx, src, o)
}

func (v *verifier) walOptions(r manifest.WALRange) wal.ReaderOptions {
	return wal.ReaderOptions{Timeline: r.Timeline, Start: r.Start, End: r.End, SystemID: v.report.SystemID}
}

// reportWAL reports what checkWAL found.
func (v *verifier) reportWAL() error {
	v.report.WAL = v.wal
	for _, w := range v.wal {
		if w.Err == nil {
			continue
		}
		if err := v.problem(&Problem{Kind: BrokenWAL, Range: w.WALRange, Err: w.Err}); err != nil {
			return err
		}
	}
	return nil
}

// walSource is where the backup's WAL is.
func (v *verifier) walSource(ctx context.Context) (src wal.Source, closeSource func() error, err error) {
	dir := clean(v.o.WALDirectory)
	if dir == "" && v.format == Tar {
		a := v.walArchive
		below := ""
		if a == nil && v.fetchedWAL != nil {
			// pg_basebackup -X fetch leaves the WAL among the other files.
			a, below = v.fetchedWAL, "pg_wal/"
		}
		if a == nil {
			return nil, nil, errNoWAL
		}
		s := newTarSource(ctx, v, a, below)
		return s, s.close, nil
	}
	if dir == "" {
		dir = v.dir + "/pg_wal"
	}
	archive, err := walarchive.Open(dir)
	if err != nil {
		return nil, nil, err
	}
	return &segments{dir, wal.Dir(dir, 0), archive}, func() error { return nil }, nil
}

var errNoWAL = errors.New("the backup has no archive of WAL")

// segments are the WAL segments of a directory. Plain ones are taken as they are,
// whatever their size: what is behind the range does not count.
type segments struct {
	dir     string
	plain   wal.SegmentSizer
	archive *walarchive.Archive
}

func (s *segments) SegmentSize() (int64, error) {
	size, err := s.plain.SegmentSize()
	if errors.Is(err, fs.ErrNotExist) {
		return s.archive.SegmentSize()
	}
	return size, err
}

func (s *segments) OpenSegment(tli uint32, segno uint64) (io.ReadCloser, error) {
	size, err := s.SegmentSize()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(s.dir, wal.SegmentName(tli, segno, size))
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return s.archive.OpenSegment(tli, segno)
	case err != nil:
		return nil, fmt.Errorf("could not access file \"%s\": %w", path, systemError(err))
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("\"%s\" is not a regular file", path) // to open a pipe would wait
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("could not open file \"%s\": %w", path, systemError(err))
	}
	return f, nil
}
