package replproto_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pgbasin/pgbasin/conninfo"
	"github.com/pgbasin/pgbasin/internal/faultproxy"
	"github.com/pgbasin/pgbasin/internal/pgfake"
	"github.com/pgbasin/pgbasin/replproto"
)

// shortly is a ServerTimeout for servers that are going to be silent.
const shortly = time.Second

// dialThrough connects to a fake server through a proxy, which is prepared before.
func dialThrough(t *testing.T, s *pgfake.Server, timeout time.Duration, prepare func(*faultproxy.Proxy)) (*replproto.Conn, *faultproxy.Proxy, error) {
	t.Helper()
	p := faultproxy.New(t, s.Addr())
	prepare(p)
	given, err := conninfo.Parse(s.ConnString())
	if err != nil {
		t.Fatal(err)
	}
	if err := given.Set("port", p.Addr()[len("127.0.0.1:"):]); err != nil {
		t.Fatal(err)
	}
	settings, err := conninfo.Resolve(given, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := replproto.Connect(context.Background(), &replproto.Config{Settings: settings, ServerTimeout: timeout})
	if err == nil {
		t.Cleanup(func() { c.Close() })
	}
	return c, p, err
}

// mustBeSilence fails the test unless err says that the server was silent.
func mustBeSilence(t *testing.T, err error, atLeast ...time.Duration) {
	t.Helper()
	var silent *replproto.SilenceError
	if !errors.As(err, &silent) || silent.For != slices.Max(append(atLeast, shortly)) || !errors.Is(err, replproto.ErrConnectionLost) {
		t.Fatalf("%v, want a server that was silent for %v", err, shortly)
	}
}

func TestASilentServerIsGivenUpWhereItOwesAnAnswer(t *testing.T) {
	s := pgfake.Serve(t, &pgfake.Cluster{Version: "18.1"})
	vanishAt := func(at faultproxy.Point) func(p *faultproxy.Proxy) {
		return func(p *faultproxy.Proxy) { p.On(0, faultproxy.Server, at, faultproxy.Vanish) }
	}
	t.Run("connecting", func(t *testing.T) {
		t.Parallel()
		_, _, err := dialThrough(t, s, shortly, vanishAt(faultproxy.AtMessage("Z", 1)))
		if err == nil || !strings.Contains(err.Error(), "timeout expired") {
			t.Fatal(err)
		}
	})
	t.Run("a command", func(t *testing.T) {
		t.Parallel()
		c, _, err := dialThrough(t, s, shortly, vanishAt(faultproxy.AtAnswer("IDENTIFY").Plus(3)))
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.IdentifySystem(context.Background())
		mustBeSilence(t, err)
		if _, err := c.IdentifySystem(context.Background()); err == nil || !strings.Contains(err.Error(), "not usable any more") {
			t.Errorf("the connection is still used: %v", err)
		}
	})
	t.Run("an archive", func(t *testing.T) {
		t.Parallel()
		c, _, err := dialThrough(t, s, shortly, vanishAt(faultproxy.AtMessage("dd", 1).Plus(100)))
		if err != nil {
			t.Fatal(err)
		}
		mustBeSilence(t, readAll(context.Background(), c, replproto.BaseBackupOptions{NoWait: true}))
	})
	t.Run("a WAL stream", func(t *testing.T) {
		t.Parallel()
		c, _, err := dialThrough(t, s, shortly, vanishAt(faultproxy.AtMessage("dw", 1).Plus(9)))
		if err != nil {
			t.Fatal(err)
		}
		r, err := c.StartReplication(context.Background(), replproto.ReplicationOptions{Start: 0x2000000})
		if err != nil {
			t.Fatal(err)
		}
		for err == nil {
			_, err = r.Receive()
		}
		mustBeSilence(t, err)
	})
}

// A server that drops what it has accepted is met by a read, a write, or the system
// call that connects.
func TestAServerThatDropsConnectionsIsLost(t *testing.T) {
	s := pgfake.Serve(t, &pgfake.Cluster{Version: "18.1"})
	for range 50 {
		_, _, err := dialThrough(t, s, time.Minute, func(p *faultproxy.Proxy) { p.Drop(0) })
		if !errors.Is(err, replproto.ErrConnectionLost) && !errors.Is(err, syscall.ECONNRESET) {
			t.Fatal(err)
		}
		if strings.Contains(err.Error(), "->") {
			t.Fatalf("not in the words of libpq: %v", err)
		}
	}
}

// readAll takes a backup and throws it away.
func readAll(ctx context.Context, c *replproto.Conn, o replproto.BaseBackupOptions) error {
	b, err := c.BaseBackup(ctx, o)
	if err != nil {
		return err
	}
	for {
		a, err := b.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if _, err := a.WriteTo(io.Discard); err != nil {
			return err
		}
	}
	_, _, err = b.Finish()
	return err
}

func TestASilentServerIsWaitedForWhereItMayBeSilent(t *testing.T) {
	notice := pgfake.Notice("NOTICE", "00000", "base backup done, waiting for required WAL segments to be archived")
	slot := []pgfake.Slot{{Name: "mine"}}
	dropSlot := func(c *replproto.Conn) error { return c.DropSlot(context.Background(), "mine", true) }
	backup := func(o replproto.BaseBackupOptions) func(*replproto.Conn) error {
		return func(c *replproto.Conn) error { return readAll(context.Background(), c, o) }
	}
	for _, tc := range []struct {
		name    string
		cluster *pgfake.Cluster
		at      faultproxy.Point
		run     func(*replproto.Conn) error
	}{
		{"the checkpoint", &pgfake.Cluster{}, faultproxy.AtAnswer("BASE_BACKUP"), backup(replproto.BaseBackupOptions{NoWait: true})},
		{"sizes of tablespaces", &pgfake.Cluster{}, faultproxy.AtAnswer("BASE_BACKUP").Message("T", 2), backup(replproto.BaseBackupOptions{NoWait: true})},
		{"a backup that the server stores", &pgfake.Cluster{}, faultproxy.AtMessage("dn", 1), backup(replproto.BaseBackupOptions{NoWait: true, Target: "blackhole"})},
		{"the archiver", &pgfake.Cluster{Tamper: pgfake.Before(pgfake.At{Part: pgfake.PartCopyEnd}, notice)}, faultproxy.AtMessage("c", 1), backup(replproto.BaseBackupOptions{})},
		{"a slot in use", &pgfake.Cluster{Slots: slot}, faultproxy.AtAnswer("DROP_REPLICATION_SLOT"), dropSlot},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tc.cluster.Version = "18.1"
			gate := faultproxy.NewGate()
			var f *faultproxy.Fault
			c, _, err := dialThrough(t, pgfake.Serve(t, tc.cluster), shortly, func(p *faultproxy.Proxy) {
				f = p.On(0, faultproxy.Server, tc.at, faultproxy.Stall(gate))
			})
			if err != nil {
				t.Fatal(err)
			}
			result := make(chan error, 1)
			go func() { result <- tc.run(c) }()
			f.Struck(t)
			select {
			case err := <-result:
				t.Fatalf("it was not waited for: %v", err)
			case <-time.After(shortly * 2):
			}
			gate.Open()
			if err := <-result; err != nil {
				t.Error(err)
			}
		})
	}
}

// A server that waits for its archiver says so, after a few seconds; without that
// its silence is one.
func TestSilenceWithoutANoticeIsNotTakenForTheArchiver(t *testing.T) {
	t.Parallel()
	c, _, err := dialThrough(t, pgfake.Serve(t, &pgfake.Cluster{Version: "18.1"}), shortly, func(p *faultproxy.Proxy) {
		p.On(0, faultproxy.Server, faultproxy.AtMessage("c", 1), faultproxy.Vanish)
	})
	if err != nil {
		t.Fatal(err)
	}
	mustBeSilence(t, readAll(context.Background(), c, replproto.BaseBackupOptions{}), 10*time.Second)
}

// A server that has no WAL to send is asked, and answers.
func TestAnIdleStreamGoesOn(t *testing.T) {
	t.Parallel()
	c, _, err := dialThrough(t, pgfake.Serve(t, &pgfake.Cluster{Version: "18.1"}), shortly, func(*faultproxy.Proxy) {})
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.StartReplication(context.Background(), replproto.ReplicationOptions{Start: 0x2100000})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.SendStatus(replproto.Status{Write: 0x2100000, Flush: 0x2000000}); err != nil {
		t.Fatal(err)
	}
	for asked := 0; asked < 4; {
		m, err := r.Receive()
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := m.(*replproto.Keepalive); ok {
			asked++
		}
	}
}

func TestTheContextEndsWhatWaitsForASilentServer(t *testing.T) {
	t.Parallel()
	var f *faultproxy.Fault
	c, _, err := dialThrough(t, pgfake.Serve(t, &pgfake.Cluster{Version: "18.1"}), time.Hour, func(p *faultproxy.Proxy) {
		f = p.On(0, faultproxy.Server, faultproxy.AtMessage("dd", 1).Plus(9), faultproxy.Vanish)
	})
	if err != nil {
		t.Fatal(err)
	}
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(context.Background())
	go func() {
		<-f.Happened()
		cancel(why)
	}()
	if err := readAll(ctx, c, replproto.BaseBackupOptions{NoWait: true}); !errors.Is(err, why) {
		t.Errorf("%v, want %v", err, why)
	}
}
