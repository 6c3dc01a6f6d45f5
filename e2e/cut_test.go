//go:build unix

package e2e

import (
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/pgbasin/pgbasin/internal/faultproxy"
	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// A connection that is cut, wherever that is, ends the backup with one error
// and nothing left. Where the phases of a backup are is known from a backup
// that is not cut.
func TestCutConnections(t *testing.T) {
	onMajors(t, []int{10, 15, 18}, func(t *testing.T, major int) {
		s := pgtest.Start(t, major)
		pgtest.Fill(t, s, 2<<20)
		for _, format := range []string{"-Fp", "-Ft"} {
			t.Run(format, func(t *testing.T) {
				// A backup through a proxy of its own, and the proxy.
				backup := func(t *testing.T, dir string, prepare func(*faultproxy.Proxy)) (outcome, *faultproxy.Proxy) {
					proxy := faultproxy.New(t, net.JoinHostPort(s.Host(), strconv.Itoa(s.Port())))
					prepare(proxy)
					return run(t, pgbasin, "backup", "-D", dir, "-cfast", "-N", format,
						"-h", proxy.Host(), "-p", strconv.Itoa(proxy.Port()), "-U", "postgres"), proxy
				}
				o, proxy := backup(t, filepath.Join(pgtest.TempDir(t), "whole"), func(*faultproxy.Proxy) {})
				o.quiet(t)
				traffic := proxy.Traffic()
				if len(traffic) != 2 {
					t.Fatalf("%d connections, want 2", len(traffic))
				}
				base := traffic[0].FromServer
				for _, c := range []struct {
					name  string
					conn  int
					bytes int64
				}{
					{"before its first answer", 0, 0},
					{"while it is made", 0, 100},
					{"before the backup begins", 0, 700},
					{"early in an archive", 0, base / 20},
					{"in an archive", 0, base / 2},
					{"in the manifest", 0, base - 20<<10},
					{"after the manifest", 0, base - 60},
					{"for the WAL, while it is made", 1, 100},
				} {
					for _, kind := range []faultproxy.Action{faultproxy.Cut, faultproxy.Reset} {
						t.Run(fmt.Sprintf("%s/%v", c.name, kind), func(t *testing.T) {
							p := newPlace(t, fmt.Sprint(kind) == "reset")
							o, _ := backup(t, p.dir, func(proxy *faultproxy.Proxy) { proxy.On(c.conn, faultproxy.Server, faultproxy.After(c.bytes), kind) })
							o.failed(t)
							p.unchanged(t)
						})
					}
				}
			})
		}
		noSlots(t, s)
	})
}

// The connection for the WAL is as needed as the other one.
func TestCutWALStream(t *testing.T) {
	onMajors(t, []int{10, 15, 18}, func(t *testing.T, major int) {
		s := startSource(t, major, sourceConfig{bytes: 4 << 20, rate: 60})
		for _, format := range []string{"-Fp", "-Ft"} {
			for _, kind := range []faultproxy.Action{faultproxy.Cut, faultproxy.Reset} {
				t.Run(fmt.Sprintf("%s/%v", format, kind), func(t *testing.T) {
					proxy := faultproxy.New(t, net.JoinHostPort(s.Host(), strconv.Itoa(s.Port())))
					proxy.On(1, faultproxy.Server, faultproxy.AtAnswer("START_REPLICATION").Message("dw", 3).Plus(100), kind)
					p := newPlace(t, fmt.Sprint(kind) == "reset")
					run(t, pgbasin, "backup", "-D", p.dir, "-cfast", "-N", "-r1M", format,
						"-h", proxy.Host(), "-p", strconv.Itoa(proxy.Port()), "-U", "postgres").failed(t, "background process terminated unexpectedly")
					p.unchanged(t)
				})
			}
		}
		noSlots(t, s.Server)
	})
}
