//go:build unix

package phases

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pgbasin/pgbasin/internal/faultproxy"
	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/wal"
	"github.com/pgbasin/pgbasin/walstream"
)

// following is a receiver without an end, to be stopped.
type following struct {
	*walstream.Archiver
	dir  string
	lost chan error
	stop func()
}

func follow(t *testing.T, p *faultproxy.Proxy, application string, synchronous bool, settings ...string) *following {
	t.Helper()
	f := &following{dir: t.TempDir(), lost: make(chan error, 1000)}
	var err error
	f.Archiver, err = walstream.NewArchiver(walstream.ArchiveOptions{
		Connect: connect(t, p, "application_name="+application+" "+strings.Join(settings, " "), serverTimeout),
		Dir:     f.dir, StatusInterval: time.Second, Synchronous: synchronous,
		Observer: walstream.ArchiveObserver{Lost: func(err error) { f.lost <- err }},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	stopped := false
	f.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("receiver: %v", err)
		}
	}
	t.Cleanup(f.stop)
	return f
}

// waitFor waits until the archive has everything up to a position.
func (f *following) waitFor(t *testing.T, pos lsn.LSN) {
	t.Helper()
	late := time.Now().Add(patience)
	for f.Status().Written < pos {
		if time.Now().After(late) {
			t.Fatalf("%+v, waiting for %s", f.Status(), pos)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// emit makes a little WAL and returns its end.
func emit(t *testing.T, s *server) lsn.LSN {
	t.Helper()
	pos, err := lsn.Parse(s.QueryString(t, "select pg_logical_emit_message(false, 'phases', repeat('x', 1000))::text"))
	if err != nil {
		t.Fatal(err)
	}
	s.Exec(t, "insert into filler values ('x')") // which flushes it
	return pos
}

// same compares what the archive has of a segment with the server's, up to a
// position in it.
func (f *following) same(t *testing.T, s *server, pos lsn.LSN) {
	t.Helper()
	name := wal.SegmentName(2, wal.SegmentNumber(pos-1, segmentSize), segmentSize)
	want, err := os.ReadFile(filepath.Join(s.DataDir(), "pg_wal", name))
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(f.dir, name+wal.PartialSuffix))
	if err != nil {
		if got, err = os.ReadFile(filepath.Join(f.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	end := int(wal.SegmentOffset(pos-1, segmentSize)) + 1
	if len(got) < end || !bytes.Equal(got[:end], want[:end]) {
		t.Errorf("%s differs from the server's in the first %d bytes; it has %d", name, end, len(got))
	}
}
