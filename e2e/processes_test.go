//go:build linux

package e2e

import (
	"context"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// walsenders are the processes of a server that serve a backup.
func walsenders(t *testing.T, s *pgtest.Server, state string) []int32 {
	t.Helper()
	return pgtest.Query[[]int32](t, s, "select coalesce(array_agg(pid), '{}') from pg_stat_replication where state ~ $1", state)
}

func signal(t *testing.T, sig syscall.Signal, pids ...int32) {
	t.Helper()
	for _, pid := range pids {
		if err := syscall.Kill(int(pid), sig); err != nil {
			t.Fatalf("process %d: %v", pid, err)
		}
	}
}

// still waits until a backup does not grow any more.
func still(t *testing.T, dir string) {
	t.Helper()
	const often = 20
	var last int64
	same := 0
	eventually(t, "nothing more arrives", func() bool {
		if size := size(t, dir); size == last {
			same++
		} else {
			last, same = size, 0
		}
		return same == often
	})
}

func size(t *testing.T, dir string) (total int64) {
	t.Helper()
	for _, name := range tree(t, dir) {
		var info syscall.Stat_t
		if syscall.Lstat(filepath.Join(dir, name), &info) == nil {
			total += info.Size
		}
	}
	return total
}

// What happens to the processes of a backup, on both sides, ends in a whole
// backup or in none.
func TestStoppedAndKilledProcesses(t *testing.T) {
	s := &source{Server: pgtest.Start(t, 18)}
	pgtest.Fill(t, s.Server, 4<<20)
	for _, format := range []string{"-Fp", "-Ft"} {
		t.Run(format+", the server's are stopped for a while", func(t *testing.T) {
			p := newPlace(t, false)
			run := &program{path: pgbasin, args: backupTo(s.Server, p.dir, "-r16M", format)}
			run.start(t)
			arriving(t, run, p.dir)
			pids := walsenders(t, s.Server, "backup|streaming")
			if len(pids) != 2 {
				t.Fatalf("walsenders %v", pids)
			}
			signal(t, syscall.SIGSTOP, pids...)
			still(t, p.dir)
			signal(t, syscall.SIGCONT, pids...)
			run.wait(t).quiet(t)
			verified(t, p.dir)
		})
		t.Run(format+", the server's are stopped, and a signal ends the backup", func(t *testing.T) {
			p := newPlace(t, true)
			run := startSlow(t, s, p, format)
			pids := walsenders(t, s.Server, "backup|streaming")
			signal(t, syscall.SIGSTOP, pids...)
			defer signal(t, syscall.SIGCONT, pids...)
			if err := run.cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			run.wait(t).failed(t, "SIGTERM")
			p.unchanged(t)
		})
		t.Run(format+", the client is killed", func(t *testing.T) {
			p := newPlace(t, true)
			r := startSlow(t, s, p, format)
			if err := r.cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			if o := r.wait(t); o.status != -1 {
				t.Fatalf("exit status %d", o.status)
			}
			if o := run(t, pgbasin, "verify", p.dir); o.status != 1 {
				t.Errorf("verify ends with %d: %s%s", o.status, o.stdout, o.stderr)
			}
			run(t, pgbasin, "restore", "-D", filepath.Join(p.home, "data"), p.dir).failed(t)
			nothingAt(t, filepath.Join(p.home, "data"))
			run(t, pgbasin, backupTo(s.Server, p.dir, format)...).failed(t, "is not empty")
			noSlots(t, s.Server)
		})
		for _, state := range []string{"backup", "streaming"} {
			t.Run(format+", the server's process that is "+state+" is killed", func(t *testing.T) {
				p := newPlace(t, true)
				run := startSlow(t, s, p, format)
				var pids []int32
				eventually(t, "a walsender in state "+state, func() bool {
					pids = walsenders(t, s.Server, state)
					return len(pids) == 1
				})
				signal(t, syscall.SIGKILL, pids...)
				run.wait(t).failed(t)
				p.unchanged(t)
				// The server throws everybody out then, and recovers.
				eventually(t, "the server is back", func() bool {
					conn, err := s.Connect(context.Background())
					if err != nil {
						return false
					}
					defer conn.Close(context.Background())
					var recovering bool
					return conn.QueryRow(context.Background(), "select pg_is_in_recovery()").Scan(&recovering) == nil && !recovering
				})
			})
		}
	}
}

func verified(t *testing.T, dir string) {
	t.Helper()
	if o := run(t, pgbasin, "verify", dir); o.status != 0 || !strings.Contains(o.stdout, "successfully verified") {
		t.Errorf("verify ends with %d: %s%s", o.status, o.stdout, o.stderr)
	}
}
