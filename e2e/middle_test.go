//go:build unix

package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// eventually waits for what must come to hold.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// place is where a backup goes that is not going to succeed: next to something
// that must stay.
type place struct {
	home, dir, space string // space is where the tablespace of a plain backup goes
}

// newPlace makes dir, empty, if existing is set.
func newPlace(t *testing.T, existing bool) *place {
	t.Helper()
	home := pgtest.TempDir(t)
	p := &place{home, filepath.Join(home, "new", "backup"), filepath.Join(home, "new-space")}
	if existing {
		p.dir, p.space = filepath.Join(home, "backup"), filepath.Join(home, "space")
		for _, dir := range []string{p.dir, p.space} {
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.WriteFile(filepath.Join(home, "precious"), []byte("data"), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

// unchanged fails the test unless everything is as newPlace has left it.
func (p *place) unchanged(t *testing.T) {
	t.Helper()
	want := map[string]bool{"precious": true}
	if filepath.Base(filepath.Dir(p.dir)) != "new" {
		want["backup"], want["space"] = true, true
	}
	for _, name := range tree(t, p.home) {
		if !want[name] {
			t.Errorf("%s is left of a backup that failed", name)
		}
		delete(want, name)
	}
	for name := range want {
		t.Errorf("%s was there before and is gone", name)
	}
}

// startSlow starts a backup that takes at least ten seconds and returns when
// files are arriving. Its tablespace, if there is one, goes to p.space.
func startSlow(t *testing.T, s *source, p *place, args ...string) *program {
	t.Helper()
	args = append(backupTo(s.Server, p.dir, "--max-rate=1M"), args...)
	if s.space != "" && !slices.Contains(args, "-Ft") {
		args = append(args, "-T", s.space+"="+p.space)
	}
	run := &program{path: pgbasin, args: args}
	run.start(t)
	arriving(t, run, p.dir)
	return run
}

// arriving waits until a backup has files.
func arriving(t *testing.T, run *program, dir string) {
	t.Helper()
	eventually(t, "a backup that receives files", func() bool {
		if run.errOut.String() != "" {
			t.Fatalf("the backup says: %s", run.errOut.String())
		}
		for _, pattern := range []string{"base/*/*", "base.tar*"} {
			files, err := filepath.Glob(filepath.Join(dir, pattern))
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range files {
				if info, err := os.Stat(file); err == nil && info.Size() > 0 {
					return true
				}
			}
		}
		return false
	})
}

// noSlots waits until the server has no slot left.
func noSlots(t *testing.T, s *pgtest.Server) {
	t.Helper()
	eventually(t, "a server without slots", func() bool {
		return pgtest.Query[int64](t, s, "select count(*) from pg_replication_slots") == 0
	})
}
