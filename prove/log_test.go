package prove

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgbasin/pgbasin/lsn"
)

// serverLog is what servers of 10 to 18 write, line by line.
const serverLog = `2026-11-22 11:16:44.526 UTC [1] LOG:  starting PostgreSQL 15.18
cp: cannot stat 'x': No such file or directory
2026-11-22 11:16:44.700 UTC [2] LOG:  consistent recovery state reached at 0/5000100
2026-11-22 11:16:44.701 UTC [2] LOG:  recovery stopping before commit of transaction 733, time 2026-11-22 11:16:44.570389+00
2026-11-22 11:16:44.702 UTC [2] LOG:  last completed transaction was at log time 2026-11-22 11:16:40.570389+00
2026-11-22 11:16:44.703 UTC [3] FATAL:  could not access file "missing": No such file or directory
2026-11-22 11:16:44.703 UTC [3] HINT:  look for it
	and more of it
2026-11-22 11:16:44.704 UTC [1] LOG:  database system is ready to accept connections
`

func TestTheLogTellsHowFarRecoveryCame(t *testing.T) {
	for _, size := range []int{1, 7, len(serverLog)} {
		var l follower
		for rest := []byte(serverLog); len(rest) > 0; rest = rest[min(size, len(rest)):] {
			l.take(rest[:min(size, len(rest))])
		}
		want := time.Date(2026, 11, 22, 11, 16, 40, 570389000, time.UTC)
		if !l.ready || l.consistent != lsn.LSN(0x5000100) || !l.lastCommit.Equal(want) {
			t.Errorf("in pieces of %d: ready %v, consistent at %s, last commit %s", size, l.ready, l.consistent, l.lastCommit)
		}
		if l.stopped != "recovery stopping before commit of transaction 733, time 2026-11-22 11:16:44.570389+00" {
			t.Errorf("in pieces of %d: stopped: %q", size, l.stopped)
		}
		if !slices.Equal(l.fatal, []string{"could not access file \"missing\": No such file or directory\nHINT: look for it"}) {
			t.Errorf("in pieces of %d: %q", size, l.fatal)
		}
		if got := l.missingLibrary([]string{"other", "missing"}); got != "missing" {
			t.Errorf("in pieces of %d: the missing library is %q", size, got)
		}
	}
}

func TestALogWithoutLinesDoesNotFillTheMemory(t *testing.T) {
	var l follower
	piece := []byte(strings.Repeat("x", 1<<16))
	for range 100 {
		l.take(piece)
	}
	if len(l.rest) > maxLogLine {
		t.Errorf("%d bytes are kept", len(l.rest))
	}
	for range 1000 {
		l.take([]byte("\n2026-11-22 11:16:44.703 UTC [3] FATAL:  again"))
	}
	if len(l.fatal) > maxFatal {
		t.Errorf("%d messages are kept", len(l.fatal))
	}
}

func FuzzLog(f *testing.F) {
	f.Add([]byte(serverLog))
	f.Add([]byte("2026-11-22 11:16:44.703 UTC [3] DETAIL:  of nothing\n"))
	f.Fuzz(func(t *testing.T, log []byte) {
		var whole, pieces follower
		whole.take(log)
		for i := range log {
			pieces.take(log[i : i+1])
		}
		if whole.ready != pieces.ready || whole.consistent != pieces.consistent || whole.stopped != pieces.stopped || !slices.Equal(whole.fatal, pieces.fatal) {
			t.Errorf("%q is read in another way in pieces", log)
		}
	})
}
