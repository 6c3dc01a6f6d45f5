//go:build linux

package prove

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// waitFor waits until something is so.
func waitFor(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

func TestASignalEndsTheProofAndLeavesNothing(t *testing.T) {
	together(t)
	s := newSource(t, 15)
	backup := s.backUp(t)
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		scratch := pgtest.TempDir(t)
		junit := filepath.Join(t.TempDir(), "junit.xml")
		_, where := place(t, 15)
		args := append([]string{"prove"}, where...)
		cmd, wait := command(t, append(args, "--scratch", scratch, "--json", "--junit", junit, "--assert", "select pg_sleep(1000) is null", backup)...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "the server runs the assertion", func() bool {
			logs, err := filepath.Glob(scratch + "/pgbasin-prove-*/socket/.s.PGSQL.*")
			return err == nil && len(logs) > 0
		})
		if err := cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		p := proof{outcome: wait()}
		p.read(t, junit)
		if p.status != 1 || len(p.failed()) == 0 {
			t.Errorf("%s: exit status %d, failed %q", signal, p.status, p.failed())
		}
		if !strings.Contains(p.stderr, "error: ") {
			t.Errorf("%s: %q", signal, p.stderr)
		}
		nothingLeft(t, scratch)
	}
}

func TestKeepLeavesACleanlyStoppedClusterAndItsLog(t *testing.T) {
	together(t)
	s := newSource(t, 15)
	backup := s.backUp(t)
	scratch, where := place(t, 15)
	o := run(t, append(append([]string{"prove", "--keep"}, where...), backup)...)
	if o.status != 0 {
		t.Fatalf("exit status %d\n%s%s", o.status, o.stdout, o.stderr)
	}
	kept, err := filepath.Glob(scratch + "/pgbasin-prove-*")
	if err != nil || len(kept) != 1 {
		t.Fatal(kept, err)
	}
	if !strings.Contains(o.stdout, "kept: "+kept[0]+"\n") {
		t.Errorf("standard output does not name %s:\n%s", kept[0], o.stdout)
	}
	if n := processesIn(t, scratch); n > 0 {
		t.Errorf("%d processes still run", n)
	}
	again := pgtest.StartDir(t, 15, filepath.Join(kept[0], "data"))
	if got := again.QueryString(t, "select count(*)::text from numbers"); got != "3000" {
		t.Errorf("%s rows", got)
	}
}
