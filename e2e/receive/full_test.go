//go:build linux

package receive

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// smallDisk mounts a file system with room for so many MB.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Fatalf("a small file system could not be mounted, which needs root and the right to mount: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestFullDiskIsWaitedForOnTheSameConnection(t *testing.T) {
	for _, algorithm := range []codec.Algorithm{codec.None, codec.LZ4} {
		t.Run(algorithm.String(), func(t *testing.T) {
			together(t)
			s := pgtest.Start(t, 15, pgtest.WALSegSize(1), pgtest.Setting("wal_sender_timeout", "2s"))
			keep(t, s)
			if status, said := runOnce(t, append(to(s), "--create-slot", "-S", "archive")...); status != 0 {
				t.Fatal(said)
			}
			disk, shelf := smallDisk(t, "3m"), t.TempDir()
			r := start(t, append(to(s), "-D", disk, "-S", "archive", "-s", "1", "-Z", algorithm.String())...)
			r.says(t, "starting log streaming")
			sender := func() int32 {
				return pgtest.Query[int32](t, s, "select coalesce(max(pid), 0) from pg_stat_replication where application_name = 'pgbasin'")
			}
			pid := sender()
			s.Exec(t, "create table x as select i, (select string_agg(md5((i * j)::text), '') from generate_series(1, 30) j) from generate_series(1, 8000) i")
			last := switchWAL(t, s)
			end := position(t, s)
			r.says(t, "No space left on device")
			r.says(t, "waiting for room")

			// Longer than wal_sender_timeout, by the server's clock.
			since := s.QueryString(t, "select now()::text")
			eventually(t, "time passes", func() bool {
				return pgtest.Query[bool](t, s, "select now() > $1::text::timestamptz + interval '5 s'", since)
			})
			if sender() != pid || pid == 0 {
				t.Errorf("the connection was lost: %d, then %d", pid, sender())
			}
			if n := len(glob(t, disk, "????????????????????????"+algorithm.Suffix())); n > 3 {
				t.Errorf("%d segments on a disk for less", n)
			}
			if pgtest.Query[bool](t, s, "select restart_lsn >= $1::text::pg_lsn from pg_replication_slots where slot_name = 'archive'", end.String()) {
				t.Error("what is not on disk was acknowledged")
			}

			// Somebody takes segments away, again and again.
			eventually(t, last, func() bool {
				names := glob(t, disk, "????????????????????????"+algorithm.Suffix())
				for _, name := range names {
					content, err := os.ReadFile(filepath.Join(disk, name))
					if err == nil {
						err = os.WriteFile(filepath.Join(shelf, name), content, 0o600)
					}
					if err == nil {
						err = os.Remove(filepath.Join(disk, name))
					}
					if err != nil {
						t.Fatal(err)
					}
				}
				return exists(filepath.Join(shelf, last+algorithm.Suffix()))
			})
			r.says(t, "there is room again, going on")
			if sender() != pid {
				t.Errorf("the connection was lost: %d, then %d", pid, sender())
			}
			r.stop(t)
			compare(t, s, shelf, algorithm)
			said := r.stderr.String()
			if n := strings.Count(said, "No space left on device"); n > strings.Count(said, "there is room again") {
				t.Errorf("the trouble was told %d times:\n%s", n, said)
			}
		})
	}
}

func TestStopWhileTheDiskIsFullIsASuccess(t *testing.T) {
	together(t)
	s := pgtest.Start(t, 18, pgtest.WALSegSize(1))
	keep(t, s)
	disk := smallDisk(t, "2m")
	r := start(t, append(to(s), "-D", disk)...)
	r.says(t, "starting log streaming")
	s.Exec(t, "create table x as select i, repeat('x', 1000) from generate_series(1, 8000) i")
	r.says(t, "waiting for room")
	r.stop(t)
	compare(t, s, disk, codec.None)
}
