// Package inspect says what a stored backup is, and with a WAL archive which
// points in time one can recover to from it. What it says of WAL it has read from
// the records themselves.
package inspect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pgbasin/pgbasin/backupset"
	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/manifest"
	"github.com/pgbasin/pgbasin/pgdata"
	"github.com/pgbasin/pgbasin/wal"
	"github.com/pgbasin/pgbasin/walarchive"
)

// Options say what to look at besides the backup.
type Options struct {
	// Archive is the WAL archive; nil looks at the WAL in the backup alone.
	Archive *walarchive.Archive
	// NoWAL leaves out the reading of WAL: Report.Window is nil.
	NoWAL bool
	// Progress is told how far the reading of WAL is. It may be nil.
	Progress func(Progress)
}

// Progress is how far the reading of WAL is.
type Progress struct {
	Timeline uint32
	LSN      lsn.LSN
	Bytes    int64 // of WAL that were read
	Total    int64 // of WAL that there seem to be; 0 = not known
}

// Report is what a backup is.
type Report struct {
	*backupset.Description
	Path     string
	Form     backupset.Form
	Archives []backupset.Archive
	// Incomplete says that the backup, or the restore that made it, was never finished. It is among the Problems, too.
	Incomplete bool

	Stop         lsn.LSN // where the WAL ends that the backup needs; 0 = not known
	StopTimeline uint32
	StopBy       Evidence
	StopTime     string // as the server wrote it in the backup history file of the archive; "" = not known

	// OwnWAL says that the backup brings all of the WAL from its start to its stop point, as far as that is known.
	OwnWAL bool

	// Window is what one can recover to; nil if there is no WAL at hand, or the backup has no start point.
	Window *Window
}

// Complete tells whether nothing is known to be wrong with the backup.
func (r *Report) Complete() bool { return len(r.Problems) == 0 }

// Evidence is where the stop point of a backup is known from.
type Evidence int

const (
	Unknown     Evidence = iota
	Manifest             // its range of WAL
	HistoryFile          // the backup history file in the WAL archive
	EndRecord            // the record that ends the backup, in the WAL
	ControlFile          // pg_control, of a backup from a standby or of a cluster that was shut down
)

// String names the evidence.
func (e Evidence) String() string {
	switch e {
	case Manifest:
		return "manifest"
	case HistoryFile:
		return "backup history file"
	case EndRecord:
		return "WAL record"
	case ControlFile:
		return "pg_control"
	}
	return "unknown"
}

// Window is what one can recover to.
type Window struct {
	Start         lsn.LSN // where recovery starts
	StartTimeline uint32

	// Consistent is the first position at which recovery can end; 0 when the WAL
	// does not reach it, or it is not known.
	Consistent         lsn.LSN
	ConsistentTimeline uint32
	// EarliestTime is the newest end of a transaction before Consistent: a target
	// time must not be before it. It is zero if there was none.
	EarliestTime time.Time

	// Last is the end of the last record that recovery can reach on Timeline, the newest that can be reached from the
	// backup.
	Last     lsn.LSN
	Timeline uint32
	// LastReason says what is after Last: nothing, or something that is broken.
	LastReason string
	// Broken says that what is after Last is damaged, or missing with more behind it.
	Broken bool
	// Newest is the newest commit before Last; zero if there was none.
	Newest Commit
	// NewestEnd is the newest time of a commit or an abort. A target time is reached if it is before that.
	NewestEnd time.Time

	RestorePoints []RestorePoint // in the order of timelines and positions
	// MoreRestorePoints counts those that were too many to list.
	MoreRestorePoints int64
	Gaps              []Gap
	Timelines         []Timeline
	// Latest is the timeline that a server takes for recovery_target_timeline =
	// 'latest': it stops with an error if it does not descend from the backup's.
	Latest uint32

	Records int64
	Bytes   int64 // of WAL that were read
}

// Commit is a transaction's commit.
type Commit struct {
	Time     time.Time
	LSN      lsn.LSN // of the record
	End      lsn.LSN // and where it ends
	XID      uint32
	Timeline uint32
}

// RestorePoint is what pg_create_restore_point made.
type RestorePoint struct {
	Name     string
	Time     time.Time
	LSN      lsn.LSN // where recovery to it ends: the end of the record
	Timeline uint32
	// Reachable is false before the first consistent position and behind gaps.
	Reachable bool
}

// Gap is a series of segments that are missing, where there is WAL behind them.
type Gap struct {
	Timeline uint32
	First    string // names of segments
	Last     string
	Segments int64
	Next     string // the first segment after them; "" if that is the switch to another timeline
}

// Timeline is a timeline that the WAL archive knows, or the backup's.
type Timeline struct {
	ID       uint32
	Parent   uint32  // 0 = none, or not known
	SwitchAt lsn.LSN // where it left its parent
	History  bool    // its history file is there
	First    string  // names of the first and last segments; "" = none
	Last     string
	// Descends: it can be reached from the backup, as far as its history tells.
	Descends bool
	// Reached: WAL leads to it without a gap.
	Reached  bool
	Start    lsn.LSN // first position that was read
	End      lsn.LSN // end of the last record that was read; 0 = none was
	EndsWith string  // why no more was read
	Newest   Commit  // newest commit on it
}

// Backup finds out everything about a backup. It reads all of a compressed
// backup, unless there is a seek table, and all WAL from its start on.
//
// The error says that something could not be read. A backup that is not complete
// is described, and so is one with a damaged archive, as far as Brief does.
func Backup(ctx context.Context, s *backupset.Set, o Options) (*Report, error) {
	d, err := s.Describe(ctx)
	if isBroken(s, err) {
		r, briefErr := Brief(ctx, s)
		if briefErr == nil && !slices.Contains(r.Problems, err.Error()) {
			r.Problems = append(r.Problems, err.Error())
		}
		return r, briefErr
	}
	if err != nil {
		return nil, err
	}
	r := newReport(s, d)
	if err := r.findStop(o.Archive); err != nil {
		return nil, err
	}
	defer r.checkOwnWAL()
	if o.NoWAL {
		return r, nil
	}
	w, err := newScanner(ctx, s, r, o)
	if err != nil || w == nil {
		return r, err
	}
	defer w.close()
	if err := w.run(); err != nil {
		return nil, err
	}
	return r, nil
}

// checkOwnWAL sets OwnWAL.
func (r *Report) checkOwnWAL() {
	start, tli, ok := r.Start()
	if !ok || r.Stop <= start || r.WAL.Segments == 0 {
		return
	}
	ranges := []manifest.WALRange{{Timeline: tli, Start: start, End: r.Stop}}
	if r.Manifest != nil {
		ranges = r.Manifest.WALRanges
	}
	for _, w := range ranges {
		for n := wal.SegmentNumber(w.Start, r.WAL.SegmentSize); n <= wal.SegmentNumber(w.End-1, r.WAL.SegmentSize); n++ {
			if !r.WAL.Has(w.Timeline, n) {
				return
			}
		}
	}
	r.OwnWAL = true
}

// Brief is Backup without what takes long: nothing that is compressed is read
// as a whole where that can be avoided, and no WAL.
func Brief(ctx context.Context, s *backupset.Set) (*Report, error) {
	h, err := s.Peek(ctx)
	broken := isBroken(s, err)
	if err != nil && !broken {
		return nil, err
	}
	if h == nil {
		h = new(backupset.Head)
	}
	d := &backupset.Description{Head: *h, Stored: s.Stored()}
	if broken {
		d.Problems = append(d.Problems, err.Error())
	}
	for _, t := range h.Tablespaces {
		if t.Where == backupset.Nowhere {
			d.Problems = append(d.Problems, fmt.Sprintf("tablespace %d (%s) is not in the backup: it %s", t.OID, t.Location, t.Reason))
		}
	}
	if s.Incomplete != nil {
		d.Problems = append(d.Problems, s.Incomplete.Error())
	}
	d.Incremental = h.Label != nil && h.Label.Incremental()
	r := newReport(s, d)
	return r, r.findStop(nil)
}

// isBroken tells an error that is about the backup from one of reading it.
func isBroken(s *backupset.Set, err error) bool {
	var damaged *backupset.ArchiveError
	return errors.As(err, &damaged) && damaged.IsDamage() || err != nil && s.Incomplete != nil
}

func newReport(s *backupset.Set, d *backupset.Description) *Report {
	return &Report{Description: d, Path: s.Path, Form: s.Form, Archives: s.Archives, Incomplete: s.Incomplete != nil}
}

// findStop finds where the backup ended, as far as that is written down.
func (r *Report) findStop(archive *walarchive.Archive) error {
	if pos, tli, ok := r.Head.Stop(); ok {
		r.Stop, r.StopTimeline, r.StopBy = pos, tli, Manifest
	}
	if r.Label == nil {
		if c := r.Control; c != nil && r.Stop == 0 && (c.State == pgdata.ShutDown || c.State == pgdata.ShutDownInRecovery) {
			r.Stop, r.StopTimeline, r.StopBy = c.Redo, c.Timeline, ControlFile
		}
		return nil
	}
	if archive != nil {
		l, err := BackupHistory(archive, r.Label)
		if err != nil {
			return err
		}
		if l != nil {
			r.StopTime = l.StopTimeText
			if r.Stop == 0 {
				r.Stop, r.StopTimeline, r.StopBy = l.Stop, l.StartTimeline, HistoryFile
				if l.StopTimeline != 0 {
					r.StopTimeline = l.StopTimeline
				}
			}
		}
	}
	if c := r.Control; c != nil && r.Stop == 0 && r.Label.From == "standby" && c.MinRecoveryPoint != 0 {
		r.Stop, r.StopTimeline, r.StopBy = c.MinRecoveryPoint, c.MinRecoveryTimeline, ControlFile
	}
	return nil
}
