//go:build linux && amd64

package crash

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/internal/pgfake"
	"github.com/pgbasin/pgbasin/internal/pgtest"
	"github.com/pgbasin/pgbasin/internal/powercut"
	"github.com/pgbasin/pgbasin/restore"
	"github.com/pgbasin/pgbasin/verify"
)

// A backup that has its final name is whole, with all of its directories, in
// every state; all others are refused by verify and by restore; and one that was
// reported is there.
func TestPowerCutDuringABackup(t *testing.T) {
	const space = "/srv/space"
	for _, c := range []struct {
		name    string
		cluster *pgfake.Cluster
		options []string // with ROOT for the directory that is recorded
		final   string   // what makes it a backup
	}{
		{"plain", cluster(t, space), []string{"-Fp", "-T", space + "=ROOT/space"}, "backup_manifest"},
		{"plain, WAL elsewhere", cluster(t, ""), []string{"-Fp", "--waldir=ROOT/wal"}, "backup_manifest"},
		{"plain, syncfs", cluster(t, space), []string{"-Fp", "-T", space + "=ROOT/space", "--sync-method=syncfs"}, "backup_manifest"},
		{"plain, before 13", old(t), []string{"-Fp", "-Xnone"}, "global/pg_control"},
		{"tar", cluster(t, space), []string{"-Ft"}, "backup_manifest"},
		{"tar, fetched WAL", cluster(t, ""), []string{"-Ft", "-Xfetch"}, "backup_manifest"},
		{"tar.zst", cluster(t, ""), []string{"-Ft", "-Zzstd"}, "backup_manifest"},
		{"tar, before 13", old(t), []string{"-Ft", "-Xnone"}, "base.tar"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := pgfake.Serve(t, c.cluster)
			r := record(t)
			args := []string{"backup", "-d", s.ConnString(), "-D", filepath.Join(r.Log.Root, "up", "backup")}
			for _, o := range c.options {
				args = append(args, strings.ReplaceAll(o, "ROOT", r.Log.Root))
			}
			run(t, r, nil, nil, args...).succeeded(t)
			checkBackup(t, r.Log, "up/backup", c.final)
		})
	}
}

// The same with a real server's thousand files, when they have arrived: what is
// called a backup is whole, and passes with its WAL.
func TestPowerCutAtTheEndOfARealBackup(t *testing.T) {
	server := pgtest.Start(t, major, pgtest.WALSegSize(1))
	for _, format := range []string{"-Fp", "-Ft"} {
		t.Run(format, func(t *testing.T) {
			r := record(t)
			dir := filepath.Join(r.Log.Root, "backup")
			run(t, r, nil, nil, "backup", "-cfast", "-d", server.DSN(), "-D", dir, format).succeeded(t)
			run(t, nil, nil, nil, "verify", dir).succeeded(t)
			events := r.Log.Events
			renamed := slices.IndexFunc(events, func(e powercut.Event) bool { return strings.HasPrefix(e.What, "renameat") })
			want, done, whole := sum(t, r.Log), exits(r.Log), 0
			replay(t, r.Log, powercut.Plan{Random: 4, Seed: 1, At: func(n int) bool { return n > renamed || n%500 == 0 }}, func(s *powercut.State) error {
				switch {
				case s.Exists("backup/backup_manifest"):
					if whole++; s.Sum("") != want {
						return errors.New("the backup is not whole")
					}
				case done[s.At] > 0:
					return errors.New("the backup was reported and is lost")
				}
				return nil
			})
			if whole == 0 || len(events) < 20 {
				t.Errorf("%d states whole, of %d events", whole, len(events))
			}
		})
	}
}

func checkBackup(t *testing.T, l *powercut.Log, dir, final string) {
	t.Helper()
	want := sum(t, l)
	done := exits(l)
	refused := map[uint64]bool{}
	scratch := t.TempDir()
	whole := 0
	replay(t, l, powercut.Plan{Random: 8, Seed: 1, At: l.Steps}, func(s *powercut.State) error {
		if s.Exists(dir + "/" + final) {
			if s.Sum("") != want {
				return fmt.Errorf("%s is there, but the backup is not whole: it has %v", final, s.List(dir))
			}
			if whole++; whole > 1 {
				return nil
			}
			return restored(s, scratch, dir)
		}
		if done[s.At] > 0 {
			return errors.New("the backup was reported and is lost")
		}
		if sum := s.Sum(dir); s.Exists(dir) && !refused[sum] {
			refused[sum] = true
			if restored(s, scratch, dir) == nil {
				return fmt.Errorf("what is not finished is restored: %v", s.List(dir))
			}
			report, err := verify.Run(context.Background(), verify.Options{Path: filepath.Join(scratch, dir), NoParseWAL: true})
			if err == nil && report.Total == 0 {
				return fmt.Errorf("what is not finished passes for a backup: %v", s.List(dir))
			}
		}
		return nil
	})
	t.Logf("%d states whole, %d different ones refused", whole, len(refused))
	if whole == 0 || len(refused) == 0 {
		t.Error("there must be both")
	}
}

// sum is that of what there is in the end.
func sum(t *testing.T, l *powercut.Log) (all uint64) {
	t.Helper()
	last := len(l.Events)
	_, err := l.Replay(powercut.Plan{At: func(n int) bool { return n == last }}, func(s *powercut.State) error {
		if s.Choice == "with everything" {
			all = s.Sum("")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// restored stores a state and restores the backup in it.
func restored(s *powercut.State, scratch, dir string) error {
	if err := clear(scratch); err != nil {
		return err
	}
	if err := s.Store(scratch); err != nil {
		return err
	}
	data := filepath.Join(scratch, "restored")
	plan, err := restore.Prepare(context.Background(), restore.Options{
		Backup: filepath.Join(scratch, dir), DataDir: filepath.Join(data, "data"), Sync: restore.NoSync,
		Remap: func(uint32, string) string { return filepath.Join(data, "space") },
	})
	if err == nil {
		_, err = plan.Run(context.Background())
	}
	return err
}
