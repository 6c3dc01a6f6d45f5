package inspect

import (
	"errors"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/pgbasin/pgbasin/backupset"
	"github.com/pgbasin/pgbasin/wal"
	"github.com/pgbasin/pgbasin/walarchive"
)

// sources takes a segment from the first source that has it.
type sources []wal.Source

func (s sources) OpenSegment(tli uint32, segno uint64) (io.ReadCloser, error) {
	var missing error = fs.ErrNotExist
	for _, one := range s {
		r, err := one.OpenSegment(tli, segno)
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return r, err
		}
		missing = err
	}
	return nil, missing
}

// Source is the WAL that is at hand: that of the archive, which may be nil, and what the backup brings as far as h knows it. It is
// nil if there is none. The closer is to be closed at the end.
func Source(s *backupset.Set, h *backupset.Head, archive *walarchive.Archive) (wal.Source, io.Closer) {
	var all sources
	if archive != nil {
		all = append(all, archive)
	}
	own, closer := ownWAL(s, h)
	if own != nil {
		all = append(all, own)
	}
	if len(all) == 0 {
		return nil, nothing{}
	}
	return all, closer
}

// nothing needs no closing.
type nothing struct{}

func (nothing) Close() error { return nil }

// ownWAL is the WAL that a backup brings; nil if there is none that can be read
// again.
func ownWAL(s *backupset.Set, h *backupset.Head) (wal.Source, io.Closer) {
	if h.WAL.Segments == 0 || s.Path == "-" {
		return nil, nothing{}
	}
	if s.Form == backupset.Plain {
		name := "pg_wal"
		if h.Version != 0 {
			name = h.Version.WALDir()
		}
		return wal.Dir(filepath.Join(s.Path, name), h.WAL.SegmentSize), nothing{}
	}
	archive := s.Archive(backupset.WAL, 0)
	if archive == nil {
		archive = s.Data()
	}
	t := &tarWAL{set: s, archive: archive, files: &h.WAL}
	return t, t
}
