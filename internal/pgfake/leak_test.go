package pgfake_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgbasin/pgbasin/internal/faultproxy"
	"github.com/pgbasin/pgbasin/internal/pgfake"
)

func TestNothingIsLeftRunning(t *testing.T) {
	before := runtime.NumGoroutine()
	r := &recorder{TB: t}
	gate := pgfake.NewGate()
	hang := pgfake.Close(pgfake.Hang)
	servers := []*pgfake.Server{
		pgfake.StartEach(r, pgfake.Script(pgfake.Startup("15.3"), pgfake.Stall(gate))),
		pgfake.StartEach(r, pgfake.Script(pgfake.Startup("15.3"), hang)),
		pgfake.StartEach(r, pgfake.Script(pgfake.Startup("15.3"), pgfake.Forever(pgfake.Notice("LOG", "00000", "x")))),
		pgfake.Serve(r, &pgfake.Cluster{Version: "15.3", KeepaliveEvery: time.Millisecond}),
		pgfake.Replay(r, "receivexlog.1"),
	}
	for _, s := range servers {
		for _, addr := range []string{s.Addr(), faultproxy.New(r, s.Addr()).Addr()} {
			conn := connect(t, "host=127.0.0.1 port="+port(addr)+" user=fake replication=yes sslmode=disable")
			// A client that neither reads nor leaves.
			conn.Frontend().Send(&pgproto3.Query{String: "START_REPLICATION 0/6000000"})
			conn.Frontend().Flush()
		}
	}
	if told := r.finish(); told != "" {
		t.Errorf("the test was told %q", told)
	}
	// What has returned from its last call may still be counted for a moment.
	for end := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			buf := make([]byte, 1<<16)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
		}
	}
}
