//go:build unix

package resume

import (
	"testing"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// A standby's backup is resumed, whether or not the standby has got to another restart
// point meanwhile.
func (s *source) standby(t *testing.T) {
	standby := &source{Server: pgtest.StartStandby(t, s.Server), sums: s.sums, whole: s.whole}
	standby.space = standby.QueryString(t, "select pg_tablespace_location(oid) from pg_tablespace where spcname = 'space'")
	restartPoint := func() {
		t.Helper()
		s.Exec(t, "checkpoint")
		standby.CatchUp(t, s.Server)
		standby.Exec(t, "checkpoint")
	}
	// Summaries are known up to checkpoints.
	restartPoint()
	p := standby.place(t)
	p.half(mainConnection)
	run := start(t, p.args("-v", "-T", p.mapping())...)
	run.succeeded(t)
	starts := begun.FindAllStringSubmatch(run.stderr.String(), -1)
	if r := run.report(t); r.KeptBytes < 5<<20 || len(starts) != 2 || starts[0][1] != starts[1][1] {
		t.Errorf("%+v, started at %q", r, starts)
	}
	p.check(t)

	p = standby.place(t)
	p.killed(t, mainConnection, s.whole*9/10, "-T", p.mapping())
	s.Exec(t, "update load.tellers set filler = 'moved'")
	restartPoint()
	p.reconnect(t)
	run = start(t, p.args("--resume", "-v")...)
	run.succeeded(t)
	t.Log(run.stdout.String())
	p.check(t)
}
