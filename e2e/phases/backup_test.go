//go:build unix

package phases

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pgbasin/pgbasin/basebackup"
	"github.com/pgbasin/pgbasin/internal/durable"
	"github.com/pgbasin/pgbasin/internal/faultproxy"
	"github.com/pgbasin/pgbasin/internal/pgtest"
	"github.com/pgbasin/pgbasin/replproto"
	"github.com/pgbasin/pgbasin/verify"
)

var backupOperation = operation{name: "backup", phases: backupPhases, strike: strikeBackup, pass: passBackup}

// backupPhases are those of both connections: 0 is the backup's, 1 the WAL's. Up to
// 14 each archive has a COPY of its own, and the manifest too.
func backupPhases(s *server) []phase {
	const server, client = faultproxy.Server, faultproxy.Client
	answer := faultproxy.AtAnswer("BASE_BACKUP")
	data, second, manifest, end := answer.Message("dd", 100), answer.Message("dn", 2), answer.Message("dm", 1), answer.Message("c", 1)
	if s.Major() < 15 {
		data, second, manifest, end = answer.Message("d", 100), answer.Message("H", 2), answer.Message("H", 3), answer.Message("c", 3)
	}
	wal := faultproxy.AtAnswer("START_REPLICATION")
	return []phase{
		{name: "accepted", side: server, at: faultproxy.After(0)},
		{name: "TLS handshake", side: server, at: faultproxy.After(600), settings: "sslmode=require"},
		{name: "authentication", side: server, at: faultproxy.AtMessage("R", 2).Plus(3), settings: "user=guarded password=secret"},
		{name: "startup", side: server, at: faultproxy.AtMessage("S", 1).Plus(3)},
		{name: "IDENTIFY_SYSTEM", side: server, at: faultproxy.AtAnswer("IDENTIFY_SYSTEM").Plus(4)},
		{name: "SHOW", side: server, at: faultproxy.AtAnswer("SHOW")},
		// What took the request for granted may also have lost it: that looks like a
		// long checkpoint, and nobody else can be asked.
		{name: "BASE_BACKUP on its way", side: client, at: faultproxy.AtMessage("QBASE_BACKUP", 1), idle: true},
		{name: "checkpoint", side: server, at: answer, idle: true, mute: true},
		{name: "start point", side: server, at: answer.Plus(10), idle: true, mute: true},
		{name: "list of tablespaces", side: server, at: answer.Message("T", 2).Plus(10), idle: true, mute: true},
		{name: "start of an archive", side: server, at: answer.Message("H", 1).Plus(2), mute: true},
		{name: "in an archive", side: server, at: data.Plus(999), mute: true},
		{name: "between archives", side: server, at: second.Plus(3), mute: true},
		{name: "manifest", side: server, at: manifest.Plus(2), mute: true},
		{name: "end of archives", side: server, at: end.Plus(3), mute: true},
		{name: "stop point", side: server, at: answer.Message("T", 3).Plus(10), mute: true},
		{name: "ready again", side: server, at: answer.Message("Z", 1).Plus(2), mute: true},
		{name: "Terminate", side: client, at: faultproxy.AtMessage("X", 1), over: true},

		{name: "WAL startup", conn: 1, side: server, at: faultproxy.AtMessage("S", 1).Plus(3)},
		{name: "WAL slot", conn: 1, side: server, at: faultproxy.AtAnswer("CREATE_REPLICATION_SLOT").Plus(4)},
		{name: "WAL IDENTIFY_SYSTEM", conn: 1, side: server, at: faultproxy.AtAnswer("IDENTIFY_SYSTEM").Plus(4)},
		{name: "WAL START_REPLICATION", conn: 1, side: server, at: wal.Plus(3), mute: true},
		{name: "WAL in a message", conn: 1, side: server, at: wal.Message("dw", 1).Plus(40), mute: true},
		{name: "WAL CopyDone", conn: 1, side: client, at: faultproxy.AtMessage("c", 1).Plus(2), over: true},
		{name: "WAL end of the stream", conn: 1, side: server, at: wal.Message("c", 1).Plus(2), over: true},
	}
}

// takeBackup takes a backup into dir.
func takeBackup(ctx context.Context, connect func(context.Context) (*replproto.Conn, error), dir string) (*basebackup.Result, error) {
	o := basebackup.Options{Connect: connect, FastCheckpoint: true, StatusInterval: time.Second}
	return basebackup.Run(ctx, o, basebackup.TarDirectory(basebackup.TarOptions{Path: dir, Sync: durable.NoSync}))
}

var errEnough = errors.New("the test has seen enough")

func strikeBackup(t *testing.T, s *server, p phase, f fault) {
	home := pgtest.TempDir(t)
	proxy := s.proxy(t)
	result, want, err := endure(t, proxy, p, f, func(ctx context.Context) (*basebackup.Result, error) {
		return takeBackup(ctx, connect(t, proxy, p.settings, p.timeout(f)), filepath.Join(home, "new", "backup"))
	})
	if want == unharmed {
		if err != nil || !result.Verified {
			t.Errorf("%v, %+v", err, result)
		}
		return
	}
	if err == nil {
		t.Fatal("the backup has succeeded")
	}
	if !namesIt(err, p, f) {
		t.Errorf("the error does not say what happened: %v", err)
	}
	if strings.Contains(err.Error(), "WAL") && p.conn == 0 {
		t.Errorf("the error is about another connection: %v", err)
	}
	if left, err := os.ReadDir(home); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}

// endure runs a backup with a fault at a phase. Where the server must be waited for it
// sees to that, and then has the server go on, if it can, or ends the backup with
// errEnough. It returns what is to have come of the fault, then.
func endure(t *testing.T, proxy *faultproxy.Proxy, p phase, f fault, run func(context.Context) (*basebackup.Result, error)) (*basebackup.Result, outcome, error) {
	t.Helper()
	do, gate := f.do, faultproxy.NewGate()
	want := p.outcome(f)
	if want == waiting && f.name == "stall" {
		do = faultproxy.Stall(gate) // and goes on in the end
	}
	struck := proxy.On(p.conn, p.side, p.at, do)
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	type ended struct {
		result *basebackup.Result
		err    error
	}
	done := make(chan ended, 1)
	go func() {
		result, err := run(ctx)
		done <- ended{result, err}
	}()
	late := time.After(patience)
	if want == waiting {
		struck.Struck(t)
		select {
		case e := <-done:
			t.Fatalf("the server was not waited for: %v", e.err)
		case <-time.After(serverTimeout + time.Second):
		}
		gate.Open()
		if f.name == "stall" {
			want = unharmed
		} else {
			cancel(errEnough)
		}
	}
	var e ended
	select {
	case e = <-done:
	case <-late:
		t.Fatalf("the backup hangs; the fault has struck: %v", struck.HasStruck())
	}
	waitStruck(t, struck, e.err)
	return e.result, want, e.err
}

// namesIt tells whether an error says what a fault did.
func namesIt(err error, p phase, f fault) bool {
	var silence *replproto.SilenceError
	switch {
	case errors.Is(err, errEnough):
		return p.outcome(f) == waiting
	case p.kind(f) == ending:
		return errors.Is(err, replproto.ErrConnectionLost) && !errors.As(err, &silence)
	}
	// While a connection is being made the words are libpq's.
	return errors.As(err, &silence) && silence.For == serverTimeout || strings.HasSuffix(err.Error(), "timeout expired")
}

func passBackup(t *testing.T, s *server, p shape) {
	proxy := s.proxy(t)
	p.arm(proxy)
	dir := filepath.Join(pgtest.TempDir(t), "backup")
	result, err := takeBackup(context.Background(), connect(t, proxy, p.settings, patience), dir)
	if err != nil {
		t.Fatal(err)
	}
	var problems []string
	_, err = verify.Run(context.Background(), verify.Options{
		Path: dir, Observer: verify.Observer{Problem: func(p *verify.Problem) { problems = append(problems, p.Error()) }},
	})
	if err != nil || len(problems) > 0 || !result.Verified {
		t.Errorf("%v, verified on arrival: %v, problems %q", err, result.Verified, problems)
	}
	if n := proxy.Connections(); n != 2 {
		t.Errorf("%d connections", n)
	}
}
