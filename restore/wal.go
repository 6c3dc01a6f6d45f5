package restore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pgbasin/pgbasin/backupset"
	"github.com/pgbasin/pgbasin/manifest"
	"github.com/pgbasin/pgbasin/pgdata"
	"github.com/pgbasin/pgbasin/tarstream"
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
func (p *Plan) checkWAL(ctx context.Context, archive *walarchive.Archive) error {
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
	if seg == 0 {
		var err error
		if seg, err = p.firstSegment(ctx); err != nil {
			return err
		}
	}
	if len(p.ranges()) == 0 || !wal.ValidSegmentSize(seg) {
		return nil
	}
	p.segmentSize = seg
	w := &p.WAL
	inBackup := func(tli uint32, n uint64) (bool, error) {
		if h.WAL.Has(tli, n) {
			w.InBackup++
			return true, nil
		}
		return false, nil
	}
	inArchive := func(tli uint32, n uint64) (bool, error) {
		if archive == nil {
			return false, nil
		}
		there, err := has(archive, tli, n)
		if there {
			w.InArchive++
		}
		return there, err
	}
	var err error
	if w.Needed, w.Missing, err = p.missingWAL(ctx, seg, inBackup, inArchive); err != nil {
		return err
	}
	// A tar of WAL is looked at when the whole backup is.
	all := h.All && (p.set.Archive(backupset.WAL, 0) == nil || h.WAL.Segments > 0)
	w.Known = all || len(w.Missing) == 0
	switch {
	case w.Known && archive != nil && len(w.Missing) > 0:
		return &MissingWALError{p.o.WALArchive, w.Missing}
	case w.Known:
		p.warnOfMissingWAL(w.Missing)
	default:
		w.Missing = nil // the rest of the backup may have them
	}
	return nil
}

// ranges is the WAL that is needed: as the manifest lists it, or without one what
// the label tells, which is just where it starts.
func (p *Plan) ranges() []manifest.WALRange {
	switch {
	case p.head.Manifest != nil:
		return p.head.Manifest.WALRanges
	case p.Start != 0:
		return []manifest.WALRange{{Timeline: p.Timeline, Start: p.Start, End: p.Start + 1}}
	}
	return nil
}

// firstSegment is the size of the first segment in the tar of WAL, 0 if there is
// none. It is at the beginning of the tar.
func (p *Plan) firstSegment(ctx context.Context) (int64, error) {
	a := p.set.Archive(backupset.WAL, 0)
	if a == nil {
		return 0, nil
	}
	f := new(segmentFinder)
	if err := p.set.Read(ctx, a, f); err != nil && err != errFound {
		return 0, err
	}
	return f.size, nil
}

// segmentFinder stops an archive at its first segment.
type segmentFinder struct{ size int64 }

var errFound = errors.New("found")

func (f *segmentFinder) Member(h *tarstream.Header) error {
	if h.Type == tarstream.Regular && wal.IsSegmentName(h.Name) {
		f.size = h.Size
		return errFound
	}
	return nil
}

func (f *segmentFinder) Content([]byte) error { return nil }
func (f *segmentFinder) EndMember() error     { return nil }

// missingWAL counts the segments that are needed, and names
// those that are nowhere.
func (p *Plan) missingWAL(ctx context.Context, segmentSize int64, places ...func(tli uint32, segno uint64) (bool, error)) (needed int64, missing []string, err error) {
	for _, r := range p.ranges() {
		last := wal.SegmentNumber(r.End-1, segmentSize)
	segments:
		for n := wal.SegmentNumber(r.Start, segmentSize); n <= last; n++ {
			if err := ctx.Err(); err != nil {
				return 0, nil, context.Cause(ctx)
			}
			needed++
			for _, in := range places {
				there, err := in(r.Timeline, n)
				if err != nil {
					return 0, nil, err
				}
				if there {
					continue segments
				}
			}
			if len(missing) < maxMissing {
				missing = append(missing, wal.SegmentName(r.Timeline, n, segmentSize))
			}
		}
	}
	return needed, missing, nil
}

func (p *Plan) warnOfMissingWAL(missing []string) {
	if len(missing) == 0 || p.o.Recovery.RestoreCommand != "" || p.o.Recovery.PrimaryConnInfo != "" {
		return
	}
	p.warn(fmt.Sprintf("WAL segment %q, without which the backup cannot become consistent, is not in the backup: the server will not start before it is in %s", missing[0], p.Version.WALDir()))
}

// checkWAL looks for the WAL that is needed in what was restored, if the plan
// could not know.
func (r *run) checkWAL(ctx context.Context, control *pgdata.Control) error {
	p := r.p
	seg := int64(control.WALSegmentSize)
	if p.WAL.Known || len(p.ranges()) == 0 || !wal.ValidSegmentSize(seg) {
		return nil
	}
	restored := func(tli uint32, n uint64) (bool, error) {
		_, err := os.Stat(filepath.Join(p.DataDir, r.version.WALDir(), wal.SegmentName(tli, n, seg)))
		return err == nil, nil
	}
	places := []func(uint32, uint64) (bool, error){restored}
	if p.o.WALArchive != "" {
		archive, err := walarchive.Open(p.o.WALArchive)
		if err != nil {
			return err
		}
		places = append(places, func(tli uint32, n uint64) (bool, error) { return has(archive, tli, n) })
	}
	_, missing, err := p.missingWAL(ctx, seg, places...)
	if err != nil {
		return err
	}
	if len(missing) > 0 && p.o.WALArchive != "" {
		return &MissingWALError{p.o.WALArchive, missing}
	}
	p.warnOfMissingWAL(missing)
	return nil
}

func has(src wal.Source, tli uint32, segno uint64) (bool, error) {
	r, err := src.OpenSegment(tli, segno)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, r.Close()
}
