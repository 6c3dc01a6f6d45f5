package inspect

import (
	"errors"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/pgbasin/pgbasin/backupset"
	"github.com/pgbasin/pgbasin/wal"
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

// ownWAL is the WAL that a backup brings; nil if there is none that can be read
// again.
func ownWAL(s *backupset.Set, d *backupset.Description, closers *[]io.Closer) wal.Source {
	if d.WAL.Segments == 0 {
		return nil
	}
	switch s.Form {
	case backupset.Plain:
		name := "pg_wal"
		if d.Version != 0 {
			name = d.Version.WALDir()
		}
		return wal.Dir(filepath.Join(s.Path, name), d.WAL.SegmentSize)
	case backupset.Tar:
		if s.Path == "-" {
			return nil
		}
	}
	archive := s.Data()
	for i := range s.Archives {
		if s.Archives[i].Kind == backupset.WAL {
			archive = &s.Archives[i]
		}
	}
	t := &tarWAL{set: s, archive: archive, files: &d.WAL}
	*closers = append(*closers, t)
	return t
}
