//go:build unix

package e2e

import (
	"net"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/internal/faultproxy"
	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// A server that falls silent in the middle of what it sends is given up after
// --server-timeout, with exit status 1 and words that say so.
func TestServerTimeout(t *testing.T) {
	s := pgtest.Start(t, 18)
	through := func(t *testing.T, at faultproxy.Point) (f *faultproxy.Fault, connection []string) {
		proxy := faultproxy.New(t, net.JoinHostPort(s.Host(), strconv.Itoa(s.Port())))
		f = proxy.On(0, faultproxy.Server, at, faultproxy.Vanish)
		return f, []string{"--server-timeout=3", "-h", proxy.Host(), "-p", strconv.Itoa(proxy.Port()), "-U", "postgres"}
	}
	const words = "server sent nothing for 3s, the connection is taken for lost"
	t.Run("backup", func(t *testing.T) {
		t.Parallel()
		p := newPlace(t, false)
		f, connection := through(t, faultproxy.AtAnswer("BASE_BACKUP").Message("dd", 50).Plus(12345))
		o := run(t, pgbasin, append([]string{"backup", "-D", p.dir, "-cfast", "-N"}, connection...)...)
		f.Struck(t)
		o.failed(t, words, "hint: --server-timeout sets how long a silent server is waited for")
		p.unchanged(t)
	})
	t.Run("receive", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		f, connection := through(t, faultproxy.AtAnswer("START_REPLICATION").Message("dw", 1).Plus(20))
		o := run(t, pgbasin, append([]string{"receive", "--no-loop", "-D", dir}, connection...)...)
		f.Struck(t)
		if o.status != 1 || !strings.Contains(o.stderr, words) || !strings.Contains(o.stderr, "disconnected") {
			t.Errorf("exit status %d\n%s", o.status, o.stderr)
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) > 1 {
			t.Errorf("%v, %v", entries, err)
		}
	})
}
