//go:build unix

package phases

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgbasin/pgbasin/e2e/harness"
	"github.com/pgbasin/pgbasin/internal/faultproxy"
)

// serverTimeout is Config.ServerTimeout in cells in which a server falls silent. It
// is longer than a server on a busy machine keeps a client waiting.
const serverTimeout = 6 * time.Second

// patience is when something that should end is taken to hang.
const patience = 120 * time.Second

// timeout is the Config.ServerTimeout of a cell: short only where it matters.
func (p phase) timeout(f fault) time.Duration {
	if p.kind(f) == ending {
		return patience
	}
	return serverTimeout
}

// waitStruck waits for the fault of an operation that has ended with err: what ends
// last may be cut off before that is seen.
func waitStruck(t *testing.T, f *faultproxy.Fault, err error) {
	t.Helper()
	select {
	case <-f.Happened():
	case <-time.After(10 * time.Second):
		t.Fatalf("it has ended before the fault: %v", err)
	}
}

// phase is a place in the conversation of an operation.
type phase struct {
	name     string
	conn     int // counted as the operation makes them
	side     faultproxy.Side
	at       faultproxy.Point
	settings string // more connection settings
	since    int    // the first major that has it

	// The operation's own way of handling what happens here.
	first bool // it gives up: nothing is known of the server yet
	idle  bool // the server may be silent for hours
	asks  bool // what the client says next may be answered hours later
	mute  bool // what the client says from here on does not matter
	over  bool // everything has arrived
}

// kind is what faults have in common.
type kind int

const (
	harmless kind = iota
	ending        // the connection ends
	silent        // the server is not heard any more
	deaf          // the server does not hear the client any more
)

// fault is what happens.
type fault struct {
	name string
	kind kind
	do   faultproxy.Action
	more bool // to the client it is what another one is, too: on one major only
}

var faults = []fault{
	{"cut", ending, faultproxy.Cut, false},
	{"reset", ending, faultproxy.Reset, true},
	{"stall", silent, faultproxy.Stall(nil), true},
	{"half-open", silent, faultproxy.Vanish, false},
	{"lost from there on", silent, faultproxy.Lose, true},
	{"the other side lost", deaf, faultproxy.LoseOther, false},
}

// outcome is what an operation makes of a fault.
type outcome int

const (
	unharmed outcome = iota // nothing is noticed, not even in the end
	noticed                 // the connection is given up, with what that means for the operation
	waiting                 // it waits for the server
)

// kind is what a fault is to the client: Lose and LoseOther are seen from the side
// that sends.
func (p phase) kind(f fault) kind {
	switch {
	case p.side == faultproxy.Client && f.name == "lost from there on":
		return deaf
	case p.side == faultproxy.Client && f.kind == deaf:
		return silent
	}
	return f.kind
}

func (p phase) outcome(f fault) outcome {
	k := p.kind(f)
	switch {
	case k == harmless, p.over, p.mute && k == deaf:
		return unharmed
	case p.idle && k != ending, p.asks && k == deaf:
		return waiting
	}
	return noticed
}

// shape is what changes nothing, from the first byte on.
type shape struct {
	name     string
	settings string // more connection settings
	more     bool   // on one major only
	arm      func(p *faultproxy.Proxy)
}

// everywhere arms an action for both sides of all connections.
func everywhere(p *faultproxy.Proxy, at int64, do faultproxy.Action) {
	for _, side := range []faultproxy.Side{faultproxy.Server, faultproxy.Client} {
		p.On(faultproxy.Any, side, faultproxy.After(at), do)
	}
}

var shapes = []shape{
	{"every message in pieces", "", false, func(p *faultproxy.Proxy) { everywhere(p, 0, faultproxy.Split) }},
	{"byte by byte", "", false, func(p *faultproxy.Proxy) {
		everywhere(p, 0, faultproxy.Bytewise)
		everywhere(p, 200<<10, faultproxy.Split)
	}},
	{"encrypted, in pieces", "sslmode=require", true, func(p *faultproxy.Proxy) {
		everywhere(p, 0, faultproxy.Bytewise)
		everywhere(p, 100<<10, faultproxy.Merge(100<<10))
		everywhere(p, 500<<10, faultproxy.Split)
	}},
	{"delayed", "", false, func(p *faultproxy.Proxy) {
		everywhere(p, 0, faultproxy.Delay(3*time.Millisecond))
		everywhere(p, 3<<20, faultproxy.Delay(0))
	}},
	{"merged", "", true, func(p *faultproxy.Proxy) { everywhere(p, 0, faultproxy.Merge(100<<10)) }},
	{"slow", "", true, func(p *faultproxy.Proxy) {
		everywhere(p, 0, faultproxy.Limit(4<<20))
		everywhere(p, 3<<20, faultproxy.Limit(0))
	}},
}

// operation is a row of the matrix.
type operation struct {
	name   string
	phases func(s *server) []phase
	// strike runs it with a fault at a phase, and checks what comes of it.
	strike func(t *testing.T, s *server, p phase, f fault)
	// pass runs it in a shape, and checks that nothing is different.
	// nil if another row does that.
	pass func(t *testing.T, s *server, p shape)
	// always are the faults that are tried in every phase, of inTurn one is, the next one
	// in the next phase. Without them, or with -all, all faults are tried.
	always, inTurn []string
}

// faults are those to try in the i-th phase.
func (o operation) faults(i int, newest bool) (list []fault) {
	names := slices.Clone(o.always)
	if len(o.inTurn) > 0 {
		names = append(names, o.inTurn[i%len(o.inTurn)])
	}
	for _, f := range faults {
		if (newest || !f.more) && (len(names) == 0 || *allFlag || slices.Contains(names, f.name)) {
			list = append(list, f)
		}
	}
	return list
}

func TestEveryPhaseSurvivesTheNetworkMatrix(t *testing.T) {
	t.Parallel()
	majors := harness.Majors(t, *majorsFlag)
	newest := slices.Max(majors)
	for _, major := range majors {
		s := startServer(t, major)
		for _, o := range []operation{backupOperation, receiveOperation} {
			o.through(t, s, major == newest)
		}
	}
}

// On a server of its own, that is small and knows what was changed.
func TestEveryPhaseOfAResumedBackupSurvivesTheNetworkMatrix(t *testing.T) {
	t.Parallel()
	majors := harness.Majors(t, *majorsFlag)
	newest := slices.Max(majors)
	for _, major := range majors {
		if major < 17 {
			continue
		}
		s := startSmallServer(t, major)
		for _, o := range []operation{resumeOperation, resumeLaterOperation, resumeNothingOperation} {
			o.through(t, s, major == newest)
		}
	}
}

// through runs all cells of a row.
func (o operation) through(t *testing.T, s *server, newest bool) {
	for i, p := range o.phases(s) {
		if s.Major() < p.since {
			continue
		}
		for _, f := range o.faults(i, newest) {
			t.Run(cell(s, o, p.name, f.name), func(t *testing.T) {
				t.Parallel()
				o.strike(t, s, p, f)
			})
		}
	}
	for _, p := range shapes {
		if o.pass == nil || p.more && !newest {
			continue
		}
		t.Run(cell(s, o, "shape", p.name), func(t *testing.T) {
			t.Parallel()
			o.pass(t, s, p)
		})
	}
}

func cell(s *server, o operation, rest ...string) string {
	return strings.Join(append([]string{s.name, o.name}, rest...), "/")
}
