//go:build unix

package resume

import (
	"fmt"
	"testing"

	"github.com/pgbasin/pgbasin/internal/faultproxy"
)

// A backup whose connections are cut at any point goes on by itself.
func (s *source) cut(t *testing.T) {
	r := random(t)
	for n := range 7 {
		var cuts []int64
		for i := range 4 {
			cuts = append(cuts, r.Int64N(s.whole>>i))
		}
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			few.Together(t)
			p := s.place(t)
			// An attempt has two connections.
			for i, at := range cuts {
				p.proxy.On(2*i, faultproxy.Server, faultproxy.After(at), []faultproxy.Action{faultproxy.Reset, faultproxy.Cut}[i%2])
			}
			run := start(t, p.args("-T", p.mapping())...)
			run.succeeded(t)
			if made := run.report(t).Attempts; made < 2 || made > 5 {
				t.Errorf("%d attempts", made)
			}
			t.Logf("cut after %v bytes:\n%s", cuts, run.stderr.String())
			p.check(t)
		})
	}
}

// The loss of the WAL's connection is one, too.
func (s *source) cutWAL(t *testing.T) {
	few.Together(t)
	p := s.place(t)
	run := start(t, p.args("-r20M", "-T", p.mapping())...)
	eventually(t, "half of the data", func() bool {
		traffic := p.proxy.Traffic()
		return run.ended() || len(traffic) == 2 && traffic[mainConnection].FromServer > s.whole/2
	})
	p.proxy.On(1, faultproxy.Server, faultproxy.After(p.proxy.Traffic()[1].FromServer+10000), faultproxy.Reset)
	run.succeeded(t)
	says(t, run.stderr.String(), "background process terminated unexpectedly", "resumed: ")
	p.check(t)
}
