//go:build unix

package e2e

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// What cannot work is refused with one error that names the thing, and nothing
// is left or changed, neither here nor on the server.
func TestRefusals(t *testing.T) {
	onMajors(t, []int{15, 18}, func(t *testing.T, major int) {
		s := pgtest.Start(t, major, pgtest.HBA("host replication secret 127.0.0.1/32 scram-sha-256"), pgtest.Setting("password_encryption", "scram-sha-256"))
		s.ReplicationUser(t, "secret", "right")
		s.Exec(t, "create user plain")
		checkpoints := s.QueryString(t, "select checkpoint_lsn::text from pg_control_checkpoint()")
		tcp := func(user string, more ...string) []string {
			return append([]string{"-h", "127.0.0.1", "-p", strconv.Itoa(s.Port()), "-U", user}, more...)
		}
		socket := func(more ...string) []string { return append(shortConnection(s), more...) }
		for _, c := range []struct {
			name  string
			args  []string
			env   []string
			words []string
		}{
			{"wrong password", tcp("secret", "-w", "-Xfetch"), []string{"PGPASSWORD=wrong"},
				[]string{`password authentication failed for user "secret"`}},
			{"no password", tcp("secret", "-w", "-Xfetch"), nil, []string{"no password supplied"}},
			{"no replication privilege", tcp("plain"), nil, []string{"FATAL", " to start "}},
			{"no such user", tcp("nobody_at_all"), nil, []string{`role "nobody_at_all" does not exist`}},
			{"unknown host", []string{"-h", "no-such-host.invalid"}, nil, []string{"no-such-host.invalid"}},
			{"nobody listens", []string{"-h", s.SocketDir(), "-p", "1"}, nil, []string{s.SocketDir() + "/.s.PGSQL.1"}},
			{"unknown slot", socket("-Xfetch", "-S", "unknown"), nil, []string{"slot"}},
			{"bad mapping", socket("-Xfetch", "-T", "relative=/tmp/x"), nil, []string{"relative", "absolute"}},
			{"bad compression", socket("-Xfetch", "-Ft", "-Z", "gzip:99"), nil, []string{"compression", "level"}},
			{"bad server compression", socket("-Xfetch", "-Ft", "-Z", "server-gzip:99"), nil, []string{"compression", "level"}},
			{"bad checksum algorithm", socket("-Xfetch", "--manifest-checksums=MD5"), nil, []string{"MD5"}},
			{"bad rate", socket("-Xfetch", "-r", "1"), nil, []string{"rate"}},
			{"incremental", socket("-Xfetch", "-i", "/no/such/incremental-manifest"), nil, []string{"incremental"}},
		} {
			t.Run(c.name, func(t *testing.T) {
				for _, existing := range []bool{false, true} {
					p := newPlace(t, existing)
					run := &program{path: pgBasebackup, args: append(c.args, "-cfast", "-D", p.dir), env: c.env}
					run.run(t).failed(t, c.words...)
					p.unchanged(t)
				}
			})
		}
		t.Run("directory that is not empty", func(t *testing.T) {
			p := newPlace(t, true)
			kept := filepath.Join(p.dir, "kept")
			if err := os.WriteFile(kept, []byte("data"), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, format := range []string{"-Fp", "-Ft"} {
				o := run(t, pgBasebackup, socket("-Xfetch", "-cfast", format, "-D", p.dir)...)
				o.failed(t, `directory "`+p.dir+`" exists but is not empty`)
			}
			if names := tree(t, p.dir); len(names) != 1 {
				t.Errorf("the directory holds %v, want only what it held", names)
			}
		})
		t.Run("file in the directory's place", func(t *testing.T) {
			p := newPlace(t, true)
			file := filepath.Join(p.home, "precious")
			run(t, pgBasebackup, socket("-Xfetch", "-cfast", "-D", file)...).failed(t, file)
			if content, err := os.ReadFile(file); err != nil || string(content) != "data" {
				t.Errorf("the file holds %q: %v", content, err)
			}
		})
		t.Run("unwritable directory", func(t *testing.T) {
			p := newPlace(t, true)
			closed := filepath.Join(p.home, "closed")
			if err := os.Mkdir(closed, 0o555); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(p.home, 0o755); err != nil {
				t.Fatal(err)
			}
			for _, dir := range []string{closed, filepath.Join(closed, "below")} {
				run := &program{path: pgBasebackup, args: socket("-Xfetch", "-cfast", "-D", dir)}
				if os.Geteuid() == 0 {
					run.uid = 65534
				}
				run.run(t).failed(t, dir, "ermission denied")
			}
			if names := tree(t, closed); len(names) != 0 {
				t.Errorf("the directory holds %v", names)
			}
		})
		if now := s.QueryString(t, "select checkpoint_lsn::text from pg_control_checkpoint()"); now != checkpoints {
			t.Errorf("the server has made a checkpoint, at %s after %s: a refusal came too late", now, checkpoints)
		}
		noSlots(t, s)
	})
}

// A server that has one connection left for walsenders is not enough for -X
// stream.
func TestNoConnectionLeftForTheWAL(t *testing.T) {
	onMajors(t, []int{10, 15, 18}, func(t *testing.T, major int) {
		s := pgtest.Start(t, major, pgtest.Setting("max_wal_senders", "1"))
		p := newPlace(t, true)
		run(t, pgBasebackup, append(shortConnection(s), "-cfast", "-D", p.dir)...).failed(t, "max_wal_senders", "-X fetch")
		p.unchanged(t)
		noSlots(t, s)
		eventually(t, "a server without walsenders", func() bool {
			return pgtest.Query[int64](t, s, "select count(*) from pg_stat_replication") == 0
		})
		run(t, pgBasebackup, append(shortConnection(s), "-cfast", "-N", "-Xfetch", "-D", p.dir)...).quiet(t)
	})
}

// A slot that is in the way, or not there, is named before the server has done
// anything.
func TestSlotRefusals(t *testing.T) {
	onMajors(t, []int{10, 15, 18}, func(t *testing.T, major int) {
		s := pgtest.Start(t, major)
		s.Exec(t, "select pg_create_physical_replication_slot('taken')")
		checkpoint := s.QueryString(t, "select checkpoint_lsn::text from pg_control_checkpoint()")
		for _, c := range []struct {
			name  string
			args  []string
			words []string
		}{
			{"unknown", []string{"-S", "unknown"}, []string{`replication slot "unknown" does not exist`}},
			{"exists", []string{"-C", "-S", "taken"}, []string{`replication slot "taken" already exists`}},
			{"name", []string{"-C", "-S", "Bad-Name"}, []string{"Bad-Name", "replication slot name"}},
		} {
			t.Run(c.name, func(t *testing.T) {
				p := newPlace(t, true)
				args := append(shortConnection(s), "-cfast", "-D", p.dir)
				run(t, pgBasebackup, append(args, c.args...)...).failed(t, c.words...)
				p.unchanged(t)
			})
		}
		if n := s.QueryString(t, "select string_agg(slot_name, ',') from pg_replication_slots"); n != "taken" {
			t.Errorf("slots: %s", n)
		}
		if now := s.QueryString(t, "select checkpoint_lsn::text from pg_control_checkpoint()"); now != checkpoint {
			t.Errorf("the server has made a checkpoint, at %s after %s: a refusal came too late", now, checkpoint)
		}
	})
}
