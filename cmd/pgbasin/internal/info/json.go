package info

import (
	"strconv"
	"time"

	"github.com/pgbasin/pgbasin/inspect"
	"github.com/pgbasin/pgbasin/lsn"
)

// backup is the object that --json prints. Positions are as the server prints
// them, times as RFC 3339 has them, except for those that the server wrote into
// files. What is not known is null.
type backup struct {
	Path             string       `json:"path"`
	State            string       `json:"state"` // complete, incomplete or broken
	Problems         []string     `json:"problems"`
	Format           string       `json:"format"` // plain, tar, "single tar"
	Compression      string       `json:"compression"`
	ServerVersion    *string      `json:"server_version"`
	SystemIdentifier *string      `json:"system_identifier"` // 64 bits: too many for many JSON readers' numbers
	Label            *string      `json:"label"`
	Method           *string      `json:"method"`
	From             *string      `json:"from"` // primary or standby
	ByHand           bool         `json:"by_hand"`
	Incremental      bool         `json:"incremental"`
	IncrementalFrom  *lsn.LSN     `json:"incremental_from_lsn,omitempty"`
	Chain            *chainJSON   `json:"chain,omitempty"` // of an incremental backup
	Timeline         *uint32      `json:"timeline"`
	StartLSN         *lsn.LSN     `json:"start_lsn"`
	StartTime        *string      `json:"start_time"`
	StopLSN          *lsn.LSN     `json:"stop_lsn"`
	StopTimeline     *uint32      `json:"stop_timeline"`
	StopTime         *string      `json:"stop_time"`
	StoredBytes      *int64       `json:"stored_bytes"`
	Bytes            *int64       `json:"bytes"`
	Files            *int64       `json:"files"`
	WALSegments      int64        `json:"wal_segments"`
	WALComplete      bool         `json:"wal_complete"` // the backup brings all that it needs
	Manifest         *manifest    `json:"manifest"`
	Tablespaces      []tablespace `json:"tablespaces"`
	Window           *windowJSON  `json:"window,omitempty"`
}

type manifest struct {
	Version   int    `json:"version"`
	Files     int64  `json:"files"`
	Bytes     int64  `json:"bytes"`
	Checksums string `json:"checksums"`
}

type tablespace struct {
	OID      uint32 `json:"oid"`
	Location string `json:"location"` // on the server; "" if it is in the data directory
	Content  string `json:"content"`  // where it is: archive, "data directory" or missing
	Bytes    *int64 `json:"bytes"`
}

type windowJSON struct {
	ConsistentLSN      *lsn.LSN           `json:"consistent_lsn"`
	ConsistentTimeline *uint32            `json:"consistent_timeline"`
	EarliestTime       *time.Time         `json:"earliest_time"`
	LastLSN            *lsn.LSN           `json:"last_lsn"`
	Timeline           *uint32            `json:"timeline"`
	LastReason         string             `json:"last_reason"`
	Broken             bool               `json:"broken"`
	NewestCommit       *commit            `json:"newest_commit"`
	LatestTimeline     uint32             `json:"latest_timeline"`
	RestorePoints      []restorePointJSON `json:"restore_points"`
	Gaps               []gapJSON          `json:"gaps"`
	Timelines          []timelineJSON     `json:"timelines"`
}

type commit struct {
	Time     time.Time `json:"time"`
	LSN      lsn.LSN   `json:"lsn"`
	XID      uint32    `json:"xid"`
	Timeline uint32    `json:"timeline"`
}

type restorePointJSON struct {
	Name      string    `json:"name"`
	Time      time.Time `json:"time"`
	LSN       lsn.LSN   `json:"lsn"`
	Timeline  uint32    `json:"timeline"`
	Reachable bool      `json:"reachable"`
}

type gapJSON struct {
	Timeline uint32  `json:"timeline"`
	First    string  `json:"first"`
	Last     string  `json:"last"`
	Segments int64   `json:"segments"`
	Next     *string `json:"next"`
}

type timelineJSON struct {
	ID        uint32   `json:"id"`
	Parent    *uint32  `json:"parent"`
	SwitchLSN *lsn.LSN `json:"switch_lsn"`
	History   bool     `json:"history"`
	First     *string  `json:"first"`
	Last      *string  `json:"last"`
	Descends  bool     `json:"descends"`
	Reached   bool     `json:"reached"`
	EndLSN    *lsn.LSN `json:"end_lsn"`
	EndReason string   `json:"end_reason"`
	Newest    *commit  `json:"newest_commit"`
}

// known is nil for the zero value.
func known[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

func newBackup(r *inspect.Report, l *inspect.Lineage) *backup {
	b := &backup{
		Path: r.Path, State: stateOf(r), Problems: append([]string{}, r.Problems...),
		Format: r.Form.String(), Compression: compressionOf(r).String(), ByHand: r.ByHand, Incremental: r.Incremental, Chain: newChain(l),
		StopLSN: known(r.Stop), StopTimeline: known(r.StopTimeline), StopTime: known(r.StopTime),
		WALSegments: r.WAL.Segments, WALComplete: r.OwnWAL,
		Tablespaces: []tablespace{},
	}
	if r.Version != 0 {
		b.ServerVersion = known(r.Version.String())
	}
	if r.SystemID != 0 {
		b.SystemIdentifier = known(strconv.FormatUint(r.SystemID, 10))
	}
	if l := r.Label; l != nil {
		b.Label, b.Method, b.From, b.StartTime = &l.Label, known(l.Method), known(from(l.From)), known(l.StartTimeText)
		b.IncrementalFrom = known(l.IncrementalFromLSN)
	}
	if pos, tli, ok := r.Start(); ok {
		b.StartLSN, b.Timeline = &pos, &tli
	}
	if r.Stored >= 0 {
		b.StoredBytes = &r.Stored
	}
	if r.All {
		b.Bytes, b.Files = &r.Bytes, &r.Files
	}
	if m := r.Manifest; m != nil {
		b.Manifest = &manifest{m.Version, m.Files, m.Bytes, m.Checksums.String()}
	}
	for _, t := range r.Tablespaces {
		j := tablespace{OID: t.OID, Location: t.Location, Content: t.Where.String()}
		if n := tablespaceBytes(r, t.OID); n >= 0 {
			j.Bytes = &n
		}
		b.Tablespaces = append(b.Tablespaces, j)
	}
	if r.Window != nil {
		b.Window = newWindow(r.Window)
	}
	return b
}

func newWindow(w *inspect.Window) *windowJSON {
	j := &windowJSON{
		ConsistentLSN: known(w.Consistent), ConsistentTimeline: known(w.ConsistentTimeline),
		LastLSN: known(w.Last), Timeline: known(w.Timeline), LastReason: w.LastReason, Broken: w.Broken,
		NewestCommit: newCommit(w.Newest), LatestTimeline: w.Latest,
		RestorePoints: []restorePointJSON{}, Gaps: []gapJSON{}, Timelines: []timelineJSON{},
	}
	if !w.EarliestTime.IsZero() {
		at := w.EarliestTime.UTC()
		j.EarliestTime = &at
	}
	for _, p := range w.RestorePoints {
		j.RestorePoints = append(j.RestorePoints, restorePointJSON{p.Name, p.Time.UTC(), p.LSN, p.Timeline, p.Reachable})
	}
	for _, g := range w.Gaps {
		j.Gaps = append(j.Gaps, gapJSON{g.Timeline, g.First, g.Last, g.Segments, known(g.Next)})
	}
	for _, t := range w.Timelines {
		j.Timelines = append(j.Timelines, timelineJSON{
			ID: t.ID, Parent: known(t.Parent), SwitchLSN: known(t.SwitchAt), History: t.History, First: known(t.First), Last: known(t.Last),
			Descends: t.Descends, Reached: t.Reached, EndLSN: known(t.End), EndReason: t.EndsWith, Newest: newCommit(t.Newest),
		})
	}
	return j
}

func newCommit(c inspect.Commit) *commit {
	if c.LSN == 0 {
		return nil
	}
	return &commit{c.Time.UTC(), c.LSN, c.XID, c.Timeline}
}
