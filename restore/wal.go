package restore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pgbasin/pgbasin/wal"
	"github.com/pgbasin/pgbasin/walarchive"
)

// WAL is which WAL the backup needs to become consistent, and where it is.
type WAL struct {
	Known     bool     // what is needed is known, and everything that can have it was looked at
	Needed    int64    // segments from the start point to the stop point
	InBackup  int64    // how many of them the backup brings
	InArchive int64    // how many others the WAL archive has
	Missing   []string // names of segments that are nowhere, at most maxMissing
}

const maxMissing = 16

// MissingWALError says that WAL which the backup needs is neither in it nor in
// the archive that recovery is going to use.
type MissingWALError struct {
	Archive string
	Missing []string
}

func (e *MissingWALError) Error() string {
	return fmt.Sprintf("WAL segment %q, without which the backup cannot become consistent, is neither in the backup nor in the WAL archive %q", e.Missing[0], e.Archive)
}

// checkWAL finds out whether the WAL between start point and stop point is at
// hand. Without an archive that can be looked at its absence is a warning: the
// restore command may bring it, or the administrator.
func (p *Plan) checkWAL(ctx context.Context) error {
	var archive *walarchive.Archive
	if p.o.WALArchive != "" {
		var err error
		if archive, err = walarchive.Open(p.o.WALArchive); err != nil {
			return err
		}
	}
	h := p.head
	seg := h.WAL.SegmentSize
	if seg == 0 && h.Control != nil {
		seg = int64(h.Control.WALSegmentSize)
	}
	if seg == 0 && archive != nil {
		var err error
		if seg, err = archive.SegmentSize(); err != nil {
			return err
		}
	}
	if p.Start == 0 || p.Stop == 0 || !wal.ValidSegmentSize(seg) {
		return nil
	}
	w := &p.WAL
	w.Known = h.All
	for _, r := range h.Manifest.WALRanges {
		last := wal.SegmentNumber(r.End-1, seg)
		for n := wal.SegmentNumber(r.Start, seg); n <= last; n++ {
			if err := ctx.Err(); err != nil {
				return err
			}
			w.Needed++
			name := wal.SegmentName(r.Timeline, n, seg)
			if h.WAL.Has(r.Timeline, n) {
				w.InBackup++
				continue
			}
			if archive != nil {
				there, err := has(archive, r.Timeline, n)
				if err != nil {
					return err
				}
				if there {
					w.InArchive++
					continue
				}
			}
			if len(w.Missing) < maxMissing {
				w.Missing = append(w.Missing, name)
			}
		}
	}
	switch {
	case len(w.Missing) == 0:
		w.Known = true
	case !h.All:
		w.Missing = nil // the rest of the backup may have them
	case archive != nil:
		return &MissingWALError{p.o.WALArchive, w.Missing}
	case p.o.Recovery.RestoreCommand == "" && p.o.Recovery.PrimaryConnInfo == "":
		p.warn(fmt.Sprintf("WAL segment %q, without which the backup cannot become consistent, is not in the backup: the server will not start before it is in %s", w.Missing[0], p.Version.WALDir()))
	}
	return nil
}

func has(a *walarchive.Archive, tli uint32, segno uint64) (bool, error) {
	r, err := a.OpenSegment(tli, segno)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, r.Close()
}
