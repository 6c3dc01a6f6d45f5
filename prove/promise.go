package prove

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/recoveryconf"
	"github.com/pgbasin/pgbasin/wal"
	"github.com/pgbasin/pgbasin/walarchive"
)

// Promise is how far recovery should go.
type Promise struct {
	// Target is the kind of the recovery target: "time", "lsn", "xid", "name",
	// "immediate"; "" is the end of the WAL.
	Target string
	Value  string // of the target, as given
	// Stop is where the backup ended; 0 if that is not known.
	Stop lsn.LSN
}

func (p Promise) String() string {
	switch {
	case p.Target == "":
		return "end of WAL"
	case p.Value == "":
		return p.Target
	}
	return p.Target + " " + p.Value
}

// promised is what a recovery target promises.
func promised(t recoveryconf.Target) Promise {
	switch {
	case t.Time != "":
		return Promise{Target: "time", Value: t.Time}
	case t.LSN != 0:
		return Promise{Target: "lsn", Value: t.LSN.String()}
	case t.XID != "":
		return Promise{Target: "xid", Value: t.XID}
	case t.Name != "":
		return Promise{Target: "name", Value: t.Name}
	case t.Immediate:
		return Promise{Target: "immediate"}
	}
	return Promise{}
}

// archived is the WAL archive that recovery takes its WAL from, as it was before:
// it may grow at any time.
type archived struct {
	archive *walarchive.Archive
	listing *walarchive.Listing
}

// lookAt lists the archive.
func lookAt(ctx context.Context, dir string) (*archived, error) {
	a, err := walarchive.Open(dir)
	if err != nil {
		return nil, err
	}
	listing, err := a.List(ctx)
	if err != nil {
		return nil, err
	}
	return &archived{archive: a, listing: listing}, nil
}

// exhausted checks that recovery, which ended at a position of a timeline, has
// left nothing in the archive: a server takes a broken record, or a segment that
// is missing, for the end of the WAL and says nothing.
func (a *archived) exhausted(timeline uint32, end lsn.LSN) error {
	size := a.listing.SegmentSize
	if size == 0 {
		return nil
	}
	history, err := a.archive.ReadHistory(timeline)
	if err != nil {
		history = nil // then segments of that timeline alone are looked at
	}
	r := wal.NewReader(a.archive, wal.ReaderOptions{SegmentSize: size, Timeline: timeline, History: history, Start: end})
	defer r.Close()
	next := r.Next()
	err = r.Err()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("recovery ended at %s, where the WAL in the archive is broken: %w", end, err)
	}
	last, ok := a.lastWhole(timeline)
	if !ok || last < segmentAfter(end, size) {
		return nil
	}
	ended := fmt.Errorf("recovery ended at %s, but the archive goes on to WAL segment %s", end, wal.SegmentName(timeline, last, size))
	switch detail := r.Detail(); {
	case next:
		return ended
	case err != nil:
		return fmt.Errorf("%w and lacks %s", ended, wal.SegmentName(timeline, wal.SegmentNumber(end, size), size))
	case detail != nil:
		return fmt.Errorf("%w: %w", ended, detail)
	}
	return ended
}

// segmentAfter is the first segment that has only WAL at or after a position.
func segmentAfter(pos lsn.LSN, size int64) uint64 {
	return wal.SegmentNumber(pos+lsn.LSN(size)-1, size)
}

// lastWhole is the last segment of a timeline that is not partial.
func (a *archived) lastWhole(timeline uint32) (segno uint64, ok bool) {
	for _, t := range a.listing.Timelines {
		if t.ID != timeline {
			continue
		}
		for _, r := range t.Ranges {
			segno, ok = max(segno, r.Last), true
		}
	}
	return segno, ok
}

// endOfRecovery is the timeline that was recovered, and where it ended, from the
// history file of the timeline that the server is on now. It is not known when
// no new timeline was begun.
func (s *Server) endOfRecovery(timeline uint32) (recovered uint32, end lsn.LSN, err error) {
	text, err := os.ReadFile(filepath.Join(s.scratch.data(), s.version.WALDir(), wal.HistoryName(timeline)))
	if err != nil {
		return 0, 0, err
	}
	ancestors, err := wal.ParseHistory(text)
	if err == nil && len(ancestors) == 0 {
		err = errors.New("the server's timeline has no ancestor")
	}
	if err != nil {
		return 0, 0, err
	}
	last := ancestors[len(ancestors)-1]
	return last.Timeline, last.End, nil
}
