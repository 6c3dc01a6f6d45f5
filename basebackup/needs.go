package basebackup

import (
	"errors"
	"fmt"
	"path"

	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/tarstream"
	"github.com/pgbasin/pgbasin/wal"
)

// needs watches the data directory's archive for what no server starts well
// without. Up to 14 nothing but its last member, pg_control, tells that an archive
// is whole, because these servers do not send the end of the tar; and without
// backup_label a server would take the copy for one that needs no more than its
// newest checkpoint.
type needs struct {
	missing map[string]bool
	whole   bool // the archive was seen, to its end

	// The WAL that is fetched is in no manifest.
	fetched      bool
	walDirectory string
	start        lsn.LSN
	segmentSize  int64           // 0 = not known yet
	next         uint64          // the first segment that has not come
	later        map[uint64]bool // those that came before it
}

// maxLater bounds the segments that are remembered because they came out of order.
const maxLater = 1 << 16

func newNeeds(s *site, fetched bool, start lsn.LSN) *needs {
	n := &needs{
		missing: map[string]bool{"backup_label": true, "PG_VERSION": true, controlFile: true},
		fetched: fetched, walDirectory: s.walDirectory, start: start, later: map[uint64]bool{},
	}
	if s.version >= 100000 {
		n.segments(s.segmentSize)
	}
	return n
}

// segments sets the size of the WAL's segments. Servers before 10 do not tell it:
// it is that of the first which comes.
func (n *needs) segments(size int64) {
	if wal.ValidSegmentSize(size) {
		n.segmentSize, n.next = size, wal.SegmentNumber(n.start, size)
	}
}

// Member notes what comes. That it is whole is for others to find out.
func (n *needs) Member(h *tarstream.Header) error {
	if h.Type != tarstream.Regular {
		return nil
	}
	delete(n.missing, h.Name)
	if !n.fetched || path.Dir(h.Name) != n.walDirectory || !wal.IsSegmentName(path.Base(h.Name)) {
		return nil
	}
	if n.segmentSize == 0 {
		n.segments(h.Size)
	}
	if h.Size != n.segmentSize {
		return nil
	}
	_, segment, err := wal.ParseSegmentName(path.Base(h.Name), n.segmentSize)
	if err != nil || segment < n.next || len(n.later) == maxLater {
		return nil
	}
	n.later[segment] = true
	for n.later[n.next] {
		delete(n.later, n.next)
		n.next++
	}
	return nil
}

func (n *needs) Content([]byte) error { return nil }
func (n *needs) EndMember() error     { return nil }

// archive is called at the end of the archive, if it was looked into.
func (n *needs) archive() error {
	n.whole = true
	for _, name := range []string{"backup_label", "PG_VERSION", controlFile} {
		if n.missing[name] {
			return fmt.Errorf("it holds no file %q", name)
		}
	}
	return nil
}

// wal is called when the backup's end is known.
func (n *needs) wal(stop lsn.LSN, timeline uint32) error {
	if !n.fetched || !n.whole || stop == 0 {
		return nil
	}
	if n.segmentSize == 0 {
		return errors.New("server sent no WAL segments, which the backup needs")
	}
	if last := wal.SegmentNumber(stop-1, n.segmentSize); n.next <= last {
		return fmt.Errorf("server sent no WAL segment %q, which the backup needs", wal.SegmentName(timeline, n.next, n.segmentSize))
	}
	return nil
}
