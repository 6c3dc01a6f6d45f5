//go:build linux

package lab

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// When wal-fetch cannot tell what the archive has, the server stops. It goes on
// from there when the archive is right again, and misses nothing.
func TestMatrixRecoveryStopsRatherThanEndsEarly(t *testing.T) {
	onMajors(t, func(t *testing.T, l *lab) {
		b := l.backup(t)
		l.rows(t, 1)
		needed := l.archiveAll(t)
		var want state
		l.still(func() {
			want = l.state(t)
			l.archiveAll(t)
		})
		archive, err := l.MakeDir("damaged")
		if err != nil {
			t.Fatal(err)
		}
		tool(t, "cp", "-pR", l.archive+"/.", archive)
		dir := l.restore(t, archive, b.dir)

		segment, away := filepath.Join(archive, needed), archive+".away"
		shorten := func(path string) error { return os.Truncate(path, 100<<10) }
		for _, c := range []struct {
			what       string
			broken     func() error
			repair     func() error
			said, exit string
		}{
			{
				"a segment is short",
				func() error { return shorten(segment) },
				func() error { tool(t, "cp", "-p", filepath.Join(l.archive, needed), segment); return nil },
				`could not restore "` + needed + `": WAL file "` + segment + `" is corrupt: it has 102400 bytes`, "202",
			},
			{
				"the archive is away",
				func() error { return os.Rename(archive, away) },
				func() error { return os.Rename(away, archive) },
				`could not access WAL archive "` + archive + `": No such file or directory`, "201",
			},
		} {
			if err := c.broken(); err != nil {
				t.Fatal(err)
			}
			said := l.stops(t, dir)
			for _, words := range []string{c.said, "child process exited with exit code " + c.exit, "FATAL"} {
				if !strings.Contains(said, words) {
					t.Errorf("%s: the server does not say %q:\n%s", c.what, words, said)
				}
			}
			if err := c.repair(); err != nil {
				t.Fatal(err)
			}
		}
		mustBe(t, recovered(t, l.Major(), dir), want)
	})
}

// stops starts a server that must not leave recovery, and returns what it has said
// when it has ended. It may have accepted connections before.
func (l *lab) stops(t *testing.T, dir string) (said string) {
	t.Helper()
	s, err := pgtest.Launch(context.Background(), pgtest.Config{Major: l.Major(), DataDir: dir})
	if err != nil {
		return err.Error()
	}
	defer s.Close()
	eventually(t, "recovery ends or fails", func() bool {
		said = s.Log()
		return strings.Contains(said, "database system is shut down") || strings.Contains(said, "archive recovery complete")
	})
	if strings.Contains(said, "archive recovery complete") {
		t.Fatalf("the server has recovered to %v:\n%s", stateOf(t, s), said)
	}
	return said
}
