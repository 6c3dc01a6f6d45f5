package wal_test

import (
	"bytes"
	"io"
	"io/fs"
	"testing"

	"github.com/pgbasin/pgbasin/internal/pgfake"
	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/wal"
)

// log is a Source: what a server sent from the beginning of a segment on.
type log struct {
	start lsn.LSN
	data  []byte
}

func (l log) OpenSegment(tli uint32, segno uint64) (io.ReadCloser, error) {
	first := wal.SegmentNumber(l.start, wal.DefaultSegmentSize)
	at := int64(segno-first) * wal.DefaultSegmentSize
	if tli != 1 || segno < first || at >= int64(len(l.data)) {
		return nil, fs.ErrNotExist
	}
	return cutSegment{bytes.NewReader(l.data[at:min(int64(len(l.data)), at+wal.DefaultSegmentSize)])}, nil
}

// cutSegment may be shorter than a segment: the connection ended.
type cutSegment struct{ io.Reader }

func (cutSegment) Close() error  { return nil }
func (cutSegment) Partial() bool { return true }

func TestWALOf95IsRead(t *testing.T) {
	for name, wantEnd := range map[string]wal.End{"plain_stream.2": wal.EndOfSegments, "receivexlog.1": wal.EndZero} {
		start, data := pgfake.RecordedWAL(t, name)
		r := wal.NewReader(log{start, data}, wal.ReaderOptions{Timeline: 1, Start: start, SystemID: 7710876247589456981, Warning: func(m string) { t.Error(m) }})
		var records, switches, checkpoints, commits, ends int
		for r.Next() {
			rec := r.Record()
			records++
			if rec.IsSwitch() {
				switches++
			}
			if c, ok := rec.Checkpoint(); ok {
				checkpoints++
				if c.Timeline != 1 || c.Redo > rec.LSN || c.Redo < start-wal.DefaultSegmentSize || c.Time.Year() < 2020 || c.NextXID == 0 {
					t.Errorf("%s: checkpoint at %v: %+v", name, rec.LSN, c)
				}
			}
			if tr, ok := rec.Transaction(); ok {
				commits++
				if tr.Kind != wal.Commit || tr.XID == 0 || tr.Time.Year() < 2020 {
					t.Errorf("%s: transaction at %v: %+v", name, rec.LSN, tr)
				}
			}
			if from, ok := rec.BackupEnd(); ok {
				ends++
				if from != start+0x28 {
					t.Errorf("%s: backup from %v", name, from)
				}
			}
		}
		if version, known := wal.MagicVersion(r.Magic()); version != 90500 || !known {
			t.Errorf("%s: magic number %04X is of version %d", name, r.Magic(), version)
		}
		if r.Err() != nil || r.End() != wantEnd {
			t.Errorf("%s: read until %v, %v, %v", name, r.EndLSN(), r.End(), r.Err())
		}
		if want := start + lsn.LSN(len(data)); r.EndLSN() != want {
			t.Errorf("%s: read until %v of %v", name, r.EndLSN(), want)
		}
		got := [...]int{records, switches, checkpoints, commits, ends}
		if want := map[string][5]int{"plain_stream.2": {3, 1, 1, 0, 1}, "receivexlog.1": {1519, 3, 0, 5, 0}}[name]; got != want {
			t.Errorf("%s: %v records, switches, checkpoints, commits and ends of backups; want %v", name, got, want)
		}
		r.Close()
	}
}
