//go:build linux

package receive

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/internal/pgtest"
	"github.com/pgbasin/pgbasin/wal"
)

// small makes segments as small as the major allows.
func small(major int) []pgtest.Option {
	if major < 11 {
		return nil
	}
	return []pgtest.Option{pgtest.WALSegSize(1)}
}

// pause lets some of a load happen.
func pause(random *rand.Rand, atMost time.Duration) {
	time.Sleep(time.Duration(random.Int64N(int64(atMost))))
}

func TestArchiveEqualsTheServersWALAfterKillsMatrix(t *testing.T) {
	onMajors(t, func(t *testing.T, major int) {
		const serverKills = 5
		s := pgtest.Start(t, major, small(major)...)
		keep(t, s)
		dir := t.TempDir()
		args := append(to(s), "-D", dir, "-S", "archive", "--synchronous")
		if status, said := runOnce(t, append(to(s), "--create-slot", "-S", "archive")...); status != 0 {
			t.Fatal(said)
		}
		seed := uint64(time.Now().UnixNano())
		t.Logf("seed %d", seed)
		random := rand.New(rand.NewPCG(seed, 1))
		load := pgtest.Load(t, s, 2)
		r := start(t, args...)
		killServer := max(*killsFlag/serverKills, 1)
		for n := 1; n <= *killsFlag; n++ {
			pause(random, 400*time.Millisecond)
			r.kill()
			if n%killServer == 0 {
				if err := s.Kill(); err != nil {
					t.Fatal(err)
				}
				load.Stop() // its connections are gone
				s.Restart(t)
				load = pgtest.Load(t, s, 2)
			}
			r = start(t, args...)
		}
		// The server goes while the receiver stays.
		r.says(t, "starting log streaming")
		load.Wait(t, 20)
		if err := s.Kill(); err != nil {
			t.Fatal(err)
		}
		load.Stop()
		r.says(t, "disconnected; waiting 1 seconds to try again")
		s.Restart(t)
		load = pgtest.Load(t, s, 2)
		load.Wait(t, 20)
		if _, err := load.Stop(); err != nil {
			t.Fatal(err)
		}
		waitFile(t, filepath.Join(dir, switchWAL(t, s)))
		r.stop(t)
		t.Logf("%d segments", len(compare(t, s, dir, codec.None)))
	})
}

// committers insert numbers, one a transaction, and remember which of them the
// server has confirmed.
type committers struct {
	mu        sync.Mutex
	confirmed []int
	wg        sync.WaitGroup
	stop      context.CancelFunc
}

func commit(t testing.TB, s *pgtest.Server, clients int) *committers {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	c := &committers{stop: cancel}
	for i := range clients {
		conn, err := s.Connect(ctx)
		if err != nil {
			t.Fatal(err)
		}
		c.wg.Go(func() {
			defer conn.Close(context.Background())
			for n := i; ctx.Err() == nil; n += clients {
				if _, err := conn.Exec(ctx, "insert into numbers values ($1)", n); err != nil {
					return
				}
				c.mu.Lock()
				c.confirmed = append(c.confirmed, n)
				c.mu.Unlock()
			}
		})
	}
	t.Cleanup(c.end)
	return c
}

func (c *committers) end() {
	c.stop()
	c.wg.Wait()
}

func (c *committers) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.confirmed)
}

func TestCommitsConfirmedWithTheReceiverAsOnlyStandbyAreInTheArchiveMatrix(t *testing.T) {
	for _, algorithm := range []codec.Algorithm{codec.None, codec.Gzip} {
		t.Run(algorithm.String(), func(t *testing.T) {
			onMajors(t, func(t *testing.T, major int) { confirmedCommits(t, major, algorithm) })
		})
	}
}

func confirmedCommits(t *testing.T, major int, algorithm codec.Algorithm) {
	s := pgtest.Start(t, major, small(major)...)
	s.Exec(t, "create table numbers (n int)")
	base := filepath.Join(pgtest.TempDir(t), "base")
	archive := pgtest.TempDir(t)
	if status, said := runOnce(t, append(to(s), "--create-slot", "-S", "archive")...); status != 0 {
		t.Fatal(said)
	}
	args := append(to(s), "-D", archive, "-S", "archive", "--synchronous", "--compress="+algorithm.String())
	r := start(t, args...)
	r.says(t, "starting log streaming")
	backup(t, s, base)
	s.Exec(t, "alter system set synchronous_standby_names = 'pgbasin'")
	s.Exec(t, "select pg_reload_conf()")

	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	c := commit(t, s, 4)
	for range 10 {
		n := c.count()
		eventually(t, "commits are confirmed", func() bool { return c.count() > n+20 })
		pause(random, 200*time.Millisecond)
		r.kill()
		n = c.count()
		r = start(t, args...)
		r.says(t, "starting log streaming")
	}
	n := c.count()
	eventually(t, "commits are confirmed", func() bool { return c.count() > n+20 })
	// Everything is lost but the archive.
	r.kill()
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	c.end()

	restored := restore(t, major, base, archive, algorithm)
	have := map[int]bool{}
	conn := restored.Conn(t)
	rows, err := conn.Query(context.Background(), "select n from numbers")
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var n int
		if err := rows.Scan(&n); err != nil {
			t.Fatal(err)
		}
		have[n] = true
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	lost := 0
	for _, n := range c.confirmed {
		if !have[n] {
			lost++
		}
	}
	if lost > 0 {
		t.Errorf("%d of %d confirmed commits are not in the archive", lost, len(c.confirmed))
	}
	t.Logf("%d commits confirmed, %d restored", len(c.confirmed), len(have))
}

// backup takes a base backup that needs the archive.
func backup(t testing.TB, s *pgtest.Server, dir string) {
	t.Helper()
	out, err := exec.Command(pgbasin, append([]string{"backup", "-D", dir, "-X", "none", "-c", "fast"}, to(s)...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// restore starts a server from a base backup and an archive, with the partial
// segment at its end.
func restore(t testing.TB, major int, base, archive string, algorithm codec.Algorithm) *pgtest.Server {
	t.Helper()
	plain := plainSegments(t, archive, algorithm)
	fetch := fmt.Sprintf(`cp "%[1]s/%%f" "%%p" || cp "%[1]s/%%f.partial" "%%p"`, plain)
	options := []pgtest.Option{pgtest.Setting("synchronous_standby_names", "")}
	if major < 12 {
		text := fmt.Sprintf("restore_command = '%s'\n", fetch)
		if err := os.WriteFile(filepath.Join(base, "recovery.conf"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	} else {
		options = append(options, pgtest.Setting("restore_command", fetch))
		if err := os.WriteFile(filepath.Join(base, "recovery.signal"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s := pgtest.StartDir(t, major, base, options...)
	s.WaitWritable(t)
	return s
}

// plainSegments copies an archive to where the server's user can read it, without
// the compression. Of a partial segment that was begun again the longer file
// counts; one that was compressed is filled up, as the server wants it.
func plainSegments(t testing.TB, archive string, algorithm codec.Algorithm) string {
	t.Helper()
	dir := pgtest.TempDir(t)
	entries, err := os.ReadDir(archive)
	if err != nil {
		t.Fatal(err)
	}
	size := 0
	for _, e := range entries { // whole segments stand before the partial one, and that before its successor
		content, err := unpack(filepath.Join(archive, e.Name()), algorithm)
		partial := strings.Contains(e.Name(), wal.PartialSuffix)
		if err != nil && !partial {
			t.Fatalf("%s: %v", e.Name(), err)
		}
		if !partial {
			size = len(content)
		}
		name := strings.TrimSuffix(strings.Replace(e.Name(), algorithm.Suffix(), "", 1), ".new")
		path := filepath.Join(dir, name)
		if there, err := os.Stat(path); err == nil && there.Size() >= int64(len(content)) {
			continue
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	partials, err := filepath.Glob(filepath.Join(dir, "*"+wal.PartialSuffix))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range partials {
		if err := os.Truncate(path, int64(size)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
