//go:build linux

package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pgbasin/pgbasin/internal/pgtest"
	"github.com/pgbasin/pgbasin/wal"
)

// patience is how long anything may take; nothing takes a tenth of it on a
// machine that is not overloaded.
const patience = 120 * time.Second

// lab is a server that archives its WAL, with a table that is written to all the
// time. Every section uses the same one; the archive grows from one to the next.
type lab struct {
	*pgtest.Server
	archive string
	writer  *writer

	mu  sync.Mutex
	hot *hotBackup // see backup
}

var labs struct {
	sync.Mutex
	of map[int]*lab
}

func labOf(t *testing.T, major int) *lab {
	t.Helper()
	labs.Lock()
	defer labs.Unlock()
	if l := labs.of[major]; l != nil {
		return l
	}
	l, err := newLab(major)
	if err != nil {
		t.Fatal(err)
	}
	if labs.of == nil {
		labs.of = map[int]*lab{}
	}
	labs.of[major] = l
	return l
}

func closeLabs() {
	for _, l := range labs.of {
		if err := errors.Join(l.writer.stop(), l.Close()); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		if l.hot != nil {
			os.RemoveAll(filepath.Dir(l.hot.dir))
		}
	}
}

func newLab(major int) (*lab, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cfg := pgtest.Config{Major: major, Settings: map[string]string{
		"archive_mode": "on", "max_wal_size": "1GB", "checkpoint_timeout": "1h", "log_min_messages": "info",
	}}
	// The server's own WAL is what the archive is compared with.
	if major < 13 {
		cfg.Settings["wal_keep_segments"] = "1000"
	} else {
		cfg.Settings["wal_keep_size"] = "2000"
	}
	if major >= 11 {
		cfg.WALSegSize = 1
	}
	s, err := pgtest.Launch(ctx, cfg)
	if err != nil {
		return nil, err
	}
	l := &lab{Server: s}
	if l.archive, err = s.MakeDir("archive"); err == nil {
		err = l.begin(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return l, nil
}

// begin turns archiving on and starts to write.
func (l *lab) begin(ctx context.Context) error {
	conf, err := os.OpenFile(filepath.Join(l.DataDir(), "postgresql.conf"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(conf, "archive_command = '%s wal-push --to=%s %%p'\n", pgbasin, l.archive)
	if err := errors.Join(err, conf.Close()); err != nil {
		return err
	}
	conn, err := l.Connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, sql := range []string{
		"select pg_reload_conf()",
		"create table testlog (ts timestamptz)",
	} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
	l.writer, err = startWriter(l.Server)
	return err
}

// writer inserts a row with the time every 100 ms.
type writer struct {
	server *pgtest.Server
	mu     sync.Mutex // held during an insert, and while the table has to stay as it is
	cancel context.CancelFunc
	ended  chan struct{}
	err    error
}

func startWriter(s *pgtest.Server) (*writer, error) {
	ctx, cancel := context.WithCancel(context.Background())
	conn, err := s.Connect(ctx)
	if err != nil {
		cancel()
		return nil, err
	}
	w := &writer{server: s, cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(w.ended)
		defer conn.Close(context.Background())
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for w.err == nil {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			w.mu.Lock()
			if ctx.Err() == nil {
				_, w.err = conn.Exec(context.Background(), "insert into testlog values (clock_timestamp())")
			}
			w.mu.Unlock()
		}
	}()
	return w, nil
}

func (w *writer) stop() error {
	w.cancel()
	<-w.ended
	return w.err
}

// still runs f while nothing is written to the table.
func (l *lab) still(f func()) {
	l.writer.mu.Lock()
	defer l.writer.mu.Unlock()
	f()
}

// rows waits until the table has n more rows.
func (l *lab) rows(t *testing.T, n int) {
	t.Helper()
	const count = "select count(*) from testlog"
	target := pgtest.Query[int64](t, l.Server, count) + int64(n)
	eventually(t, "rows are written", func() bool { return pgtest.Query[int64](t, l.Server, count) >= target })
}

// switchWAL ends the server's segment, without waiting for the archive, and
// returns its name.
func (l *lab) switchWAL(t *testing.T) string {
	t.Helper()
	// An empty segment would not be switched.
	l.Exec(t, "select txid_current()")
	return l.QueryString(t, "select pg_walfile_name(pg_switch_wal())")
}

// archiveAll ends the server's segment and waits until the archive has it.
func (l *lab) archiveAll(t *testing.T) string {
	t.Helper()
	name := l.switchWAL(t)
	l.archived(t, name)
	return name
}

func (l *lab) archived(t *testing.T, name string) {
	t.Helper()
	eventually(t, name+" is archived", func() bool {
		return l.QueryString(t, "select coalesce(max(last_archived_wal), '') from pg_stat_archiver") >= name &&
			exists(filepath.Join(l.archive, name))
	})
}

func (l *lab) failures(t *testing.T) int64 {
	t.Helper()
	return pgtest.Query[int64](t, l.Server, "select failed_count from pg_stat_archiver")
}

// compare holds every segment in the archive against the server's own, and makes
// sure that none is missing between them and that nothing else is there.
func (l *lab) compare(t *testing.T) {
	t.Helper()
	entries, err := os.ReadDir(l.archive)
	if err != nil {
		t.Fatal(err)
	}
	size := pgtest.Query[int64](t, l.Server, "select pg_size_bytes(current_setting('wal_segment_size'))")
	var last uint64
	n := 0
	for _, e := range entries {
		name := e.Name()
		if strings.HasSuffix(name, ".backup") || strings.HasSuffix(name, ".history") || strings.HasPrefix(name, "00000002") || strings.HasPrefix(name, "00000003") {
			continue
		}
		tli, segno, err := wal.ParseSegmentName(name, size)
		if err != nil || tli != 1 {
			t.Errorf("the archive has %s: %v", name, err)
			continue
		}
		if n > 0 && segno != last+1 {
			t.Errorf("a gap before %s", name)
		}
		last = segno
		n++
		want, err := os.ReadFile(filepath.Join(l.DataDir(), "pg_wal", name))
		if err != nil {
			t.Errorf("the server has no %s to compare with: %v", name, err)
			continue
		}
		if got, err := os.ReadFile(filepath.Join(l.archive, name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not the server's: %v", name, err)
		}
	}
	if n == 0 {
		t.Error("the archive has no segment")
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// eventually waits until the condition is met.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("in vain: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (l *lab) port() string { return strconv.Itoa(l.Port()) }
