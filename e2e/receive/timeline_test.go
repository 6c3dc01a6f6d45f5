//go:build linux

package receive

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// pair starts a server and a standby of it.
func pair(t *testing.T, major int) (primary, standby *pgtest.Server) {
	t.Helper()
	options := append(small(major), pgtest.Setting("wal_receiver_status_interval", "1"))
	if major < 13 {
		options = append(options, pgtest.Setting("wal_keep_segments", "1000"))
	} else {
		options = append(options, pgtest.Setting("wal_keep_size", "2000"))
	}
	primary = pgtest.Start(t, major, options...)
	return primary, pgtest.StartStandby(t, primary)
}

// checkSecondTimeline compares what the archive has of timeline 2 with the
// server that is on it.
func checkSecondTimeline(t *testing.T, s *pgtest.Server, dir string) {
	t.Helper()
	const history = "00000002.history"
	want, err := os.ReadFile(filepath.Join(s.DataDir(), "pg_wal", history))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, history)); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s: %v, %q", history, err, got)
	}
	second := t.TempDir()
	for _, name := range glob(t, dir, "00000002????????????????") {
		if err := os.Link(filepath.Join(dir, name), filepath.Join(second, name)); err != nil {
			t.Fatal(err)
		}
	}
	compare(t, s, second, codec.None)
}

func glob(t *testing.T, dir, pattern string) (names []string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range paths {
		names = append(names, filepath.Base(p))
	}
	return names
}

func TestStandbyIsPromotedWhileItIsReceivedFromMatrix(t *testing.T) {
	onMajors(t, func(t *testing.T, major int) {
		primary, standby := pair(t, major)
		dir := t.TempDir()
		r := start(t, append(to(standby), "-D", dir)...)
		r.says(t, "starting log streaming")
		load := pgtest.Load(t, primary, 2)
		load.Wait(t, 200)
		if _, err := load.Stop(); err != nil {
			t.Fatal(err)
		}
		standby.CatchUp(t, primary)
		if err := primary.Kill(); err != nil {
			t.Fatal(err)
		}
		standby.Promote(t)
		r.says(t, "switched to timeline 2 at ")
		load = pgtest.Load(t, standby, 2)
		load.Wait(t, 200)
		if _, err := load.Stop(); err != nil {
			t.Fatal(err)
		}
		waitFile(t, filepath.Join(dir, switchWAL(t, standby)))
		r.stop(t)
		checkSecondTimeline(t, standby, dir)
	})
}

func TestNewPrimaryIsFoundAmongTwoHostsAfterAFailoverMatrix(t *testing.T) {
	onMajors(t, func(t *testing.T, major int) {
		primary, standby := pair(t, major)
		dir := t.TempDir()
		hosts := fmt.Sprintf("host=%s,%s port=%d,%d user=postgres", primary.SocketDir(), standby.SocketDir(), primary.Port(), standby.Port())
		r := start(t, "-d", hosts, "-D", dir)
		r.says(t, "starting log streaming")
		load := pgtest.Load(t, primary, 2)
		load.Wait(t, 300)
		// The archive may have more than the standby then.
		if err := primary.Kill(); err != nil {
			t.Fatal(err)
		}
		load.Stop()
		r.says(t, "disconnected; waiting 1 seconds to try again")
		standby.Promote(t)
		load = pgtest.Load(t, standby, 2)
		load.Wait(t, 300)
		if _, err := load.Stop(); err != nil {
			t.Fatal(err)
		}
		waitFile(t, filepath.Join(dir, switchWAL(t, standby)))
		r.stop(t)
		checkSecondTimeline(t, standby, dir)
	})
}
