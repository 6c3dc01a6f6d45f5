//go:build unix

package e2e

import (
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/pgbasin/pgbasin/internal/faultproxy"
	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// A signal in the middle of a backup ends it, with everything it made.
func TestSignalRemovesTheBackup(t *testing.T) {
	onMajors(t, []int{15, 18}, func(t *testing.T, major int) {
		s := startSource(t, major, sourceConfig{tablespace: true, bytes: 4 << 20, rate: 30})
		for _, c := range []struct {
			name     string
			signal   syscall.Signal
			existing bool
			args     []string
			says     string
		}{
			{"SIGINT plain", syscall.SIGINT, false, []string{"-Fp"}, "canceled by user"},
			{"SIGTERM plain", syscall.SIGTERM, true, []string{"-Fp"}, "SIGTERM"},
			{"SIGINT tar", syscall.SIGINT, true, []string{"-Ft", "-Xfetch"}, "canceled by user"},
			{"SIGTERM tar", syscall.SIGTERM, false, []string{"-Ft", "-z", "-C", "-S", "mine"}, "SIGTERM"},
		} {
			t.Run(c.name, func(t *testing.T) {
				p := newPlace(t, c.existing)
				run := startSlow(t, s, p, c.args...)
				if err := run.cmd.Process.Signal(c.signal); err != nil {
					t.Fatal(err)
				}
				run.wait(t).failed(t, c.says)
				p.unchanged(t)
				noSlots(t, s.Server)
			})
		}
	})
}

// With --no-clean an interrupted backup stays, and cannot be taken for one.
func TestNoCleanLeavesWhatIsNoBackup(t *testing.T) {
	s := startSource(t, 18, sourceConfig{bytes: 4 << 20, rate: 30})
	for _, format := range []string{"-Fp", "-Ft"} {
		t.Run(format, func(t *testing.T) {
			p := newPlace(t, false)
			run := startSlow(t, s, p, format, "--no-clean")
			if err := run.cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			o := run.wait(t)
			o.failed(t, `data directory "`+p.dir+`" not removed at user's request`)
			if len(tree(t, p.dir)) == 0 {
				t.Error("nothing was left")
			}
			nothingAt(t, filepath.Join(p.dir, "backup_manifest"))
			nothingAt(t, filepath.Join(p.dir, "global", "pg_control"))
		})
	}
}

// Whatever ends a connection, the backup fails at once and leaves nothing.
func TestServerEndsConnections(t *testing.T) {
	onMajors(t, []int{15, 18}, func(t *testing.T, major int) {
		s := startSource(t, major, sourceConfig{tablespace: true, bytes: 4 << 20, rate: 30})
		for _, c := range []struct {
			name, format, state, says string
		}{
			{"backup plain", "-Fp", "backup", "terminating connection due to administrator command"},
			{"backup tar", "-Ft", "backup", "terminating connection due to administrator command"},
			{"WAL plain", "-Fp", "streaming", "background process terminated unexpectedly"},
			{"WAL tar", "-Ft", "streaming", "background process terminated unexpectedly"},
		} {
			t.Run(c.name, func(t *testing.T) {
				p := newPlace(t, false)
				run := startSlow(t, s, p, c.format)
				eventually(t, "a walsender in state "+c.state, func() bool {
					return pgtest.Query[int64](t, s.Server, "select count(pg_terminate_backend(pid)) from pg_stat_replication where state = $1", c.state) == 1
				})
				run.wait(t).failed(t, c.says)
				p.unchanged(t)
				noSlots(t, s.Server)
			})
		}
		t.Run("standard output", func(t *testing.T) {
			o := startSource(t, major, sourceConfig{bytes: 1 << 20, rate: 30})
			run := &program{path: pgbasin, args: backupTo(o.Server, "-", "-Ft", "-r1M")}
			run.start(t)
			eventually(t, "data on standard output", func() bool { return len(run.out.String()) > 1<<20 })
			if n := pgtest.Query[int64](t, o.Server, "select count(pg_terminate_backend(pid)) from pg_stat_replication where state = 'backup'"); n != 1 {
				t.Fatalf("%d walsenders in state backup", n)
			}
			end := run.wait(t)
			if end.status != 1 || strings.Count(end.stderr, ": error: ") != 1 {
				t.Errorf("exit status %d\n%s", end.status, end.stderr)
			}
			if strings.HasSuffix(end.stdout, strings.Repeat("\x00", 1024)) {
				t.Error("the tar has an end although the backup has none")
			}
		})
	})
}

// A server that dies takes the backup with it.
func TestServerDies(t *testing.T) {
	for _, format := range []string{"-Fp", "-Ft"} {
		t.Run(format, func(t *testing.T) {
			s := startSource(t, 18, sourceConfig{tablespace: true, bytes: 4 << 20, rate: 30})
			p := newPlace(t, true)
			run := startSlow(t, s, p, format)
			s.load.Stop()
			if err := s.Kill(); err != nil {
				t.Fatal(err)
			}
			run.wait(t).failed(t)
			p.unchanged(t)
		})
	}
}

// A server that says nothing any more does not keep a signal from ending the
// backup.
func TestSignalWhileTheServerIsSilent(t *testing.T) {
	s := startSource(t, 18, sourceConfig{bytes: 4 << 20, rate: 30})
	for _, format := range []string{"-Fp", "-Ft"} {
		t.Run(format, func(t *testing.T) {
			proxy := faultproxy.New(t, net.JoinHostPort(s.Host(), strconv.Itoa(s.Port())))
			p := newPlace(t, true)
			run := &program{path: pgbasin, args: []string{"backup", "-D", p.dir, "-cfast", "-r1M", format,
				"-h", proxy.Host(), "-p", strconv.Itoa(proxy.Port()), "-U", "postgres"}}
			run.start(t)
			arriving(t, run, p.dir)
			proxy.Stall()
			defer proxy.Resume()
			if err := run.cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			run.wait(t).failed(t, "SIGTERM")
			p.unchanged(t)
		})
	}
}

// A directory that a backup is filling is not taken by another one, which does
// no harm to the first.
func TestTwoBackupsIntoOneDirectory(t *testing.T) {
	s := startSource(t, 18, sourceConfig{rate: 30})
	for _, format := range []string{"-Fp", "-Ft"} {
		t.Run(format, func(t *testing.T) {
			p := newPlace(t, true)
			committed := s.load.Commits()
			first := &program{path: pgbasin, args: backupTo(s.Server, p.dir, "-r8M", format)}
			first.start(t)
			arriving(t, first, p.dir)
			run(t, pgbasin, backupTo(s.Server, p.dir, format)...).failed(t, p.dir)
			first.wait(t).quiet(t)
			data := p.dir
			if format == "-Ft" {
				data = p.dir + "-data"
				restoreTar(t, p.dir, data)
			}
			startAndCompare(t, s.Server, data, s.sums, committed)
		})
	}
}
