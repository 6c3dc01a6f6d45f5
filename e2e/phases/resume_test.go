//go:build unix

package phases

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/pgbasin/pgbasin/basebackup"
	"github.com/pgbasin/pgbasin/internal/durable"
	"github.com/pgbasin/pgbasin/internal/faultproxy"
	"github.com/pgbasin/pgbasin/internal/pgtest"
	"github.com/pgbasin/pgbasin/replproto"
	"github.com/pgbasin/pgbasin/verify"
)

// Backups whose connection was cut in the middle of the data, in the attempt that follows:
// it is made at once, or by another run; and backups to which something happens before
// anything has arrived that could be gone on with.
var (
	resumeOperation = operation{
		name: "resume", phases: resumePhases, strike: strikeResume, pass: passResume,
		always: []string{"cut", "half-open"}, inTurn: []string{"the other side lost", "reset", "stall", "lost from there on"},
	}
	resumeLaterOperation = operation{
		name: "resume later", phases: resumeLaterPhases, strike: strikeResumeLater, inTurn: []string{"cut", "half-open"},
	}
	resumeNothingOperation = operation{
		name: "resume nothing", phases: resumeNothingPhases, strike: strikeResumeNothing, always: []string{"cut"}, inTurn: []string{"half-open", "stall"},
	}
)

// resumePhases are those of the second attempt: of connection 2, which is the backup's,
// and of 3, the WAL's.
func resumePhases(*server) []phase {
	const server, client = faultproxy.Server, faultproxy.Client
	upload, answer, wal := faultproxy.AtAnswer("UPLOAD_MANIFEST"), faultproxy.AtAnswer("BASE_BACKUP"), faultproxy.AtAnswer("START_REPLICATION")
	phases := []phase{
		{name: "accepted", side: server, at: faultproxy.After(0)},
		{name: "startup", side: server, at: faultproxy.AtMessage("S", 1).Plus(3)},
		{name: "IDENTIFY_SYSTEM", side: server, at: faultproxy.AtAnswer("IDENTIFY_SYSTEM").Plus(4)},
		{name: "SHOW summarize_wal", side: server, at: faultproxy.AtAnswer("SHOW summarize_wal").Plus(3)},
		{name: "UPLOAD_MANIFEST on its way", side: client, at: faultproxy.AtMessage("QUPLOAD_MANIFEST", 1).Plus(2)},
		{name: "UPLOAD_MANIFEST", side: server, at: upload.Plus(2)},
		{name: "in the uploaded manifest", side: client, at: faultproxy.AtMessage("d", 1).Plus(1000)},
		{name: "end of the uploaded manifest", side: client, at: faultproxy.AtMessage("c", 1).Plus(2)},
		{name: "answer to the uploaded manifest", side: server, at: upload.Message("C", 1).Plus(3), asks: true},
		{name: "BASE_BACKUP on its way", side: client, at: faultproxy.AtMessage("QBASE_BACKUP", 1), idle: true},
		{name: "checkpoint", side: server, at: answer, idle: true, mute: true},
		{name: "list of tablespaces", side: server, at: answer.Message("T", 2).Plus(10), idle: true, mute: true},
		{name: "start of an archive", side: server, at: answer.Message("H", 1).Plus(2), mute: true},
		{name: "in the first archive", side: server, at: answer.Message("dd", 2).Plus(100), mute: true},
		{name: "between archives", side: server, at: answer.Message("dn", 2).Plus(3), mute: true},
		{name: "in an archive", side: server, at: answer.Message("dd", 200).Plus(99), mute: true},
		{name: "manifest", side: server, at: answer.Message("dm", 1).Plus(2), mute: true},
		{name: "end of archives", side: server, at: answer.Message("c", 1).Plus(3), mute: true},
		{name: "stop point", side: server, at: answer.Message("T", 3).Plus(10), mute: true},
		{name: "ready again", side: server, at: answer.Message("Z", 1).Plus(2), mute: true},
		{name: "Terminate", side: client, at: faultproxy.AtMessage("X", 1), over: true},

		{name: "WAL startup", conn: 1, side: server, at: faultproxy.AtMessage("S", 1).Plus(3)},
		{name: "WAL slot", conn: 1, side: server, at: faultproxy.AtAnswer("CREATE_REPLICATION_SLOT").Plus(4)},
		{name: "WAL START_REPLICATION", conn: 1, side: server, at: wal.Plus(3), mute: true},
		{name: "WAL in a message", conn: 1, side: server, at: wal.Message("dw", 1).Plus(40), mute: true},
		{name: "WAL end of the stream", conn: 1, side: server, at: wal.Message("c", 1).Plus(2), over: true},
	}
	return shifted(phases, 2)
}

// shifted counts the connections from another one on.
func shifted(phases []phase, by int) []phase {
	for i := range phases {
		phases[i].conn += by
	}
	return phases
}

// resumeLaterPhases are those of the run that resumes. It looks at the server over a
// connection of its own before.
func resumeLaterPhases(s *server) []phase {
	const server = faultproxy.Server
	look := []phase{
		{name: "look, accepted", side: server, at: faultproxy.After(0)},
		{name: "look, SHOW", side: server, at: faultproxy.AtAnswer("SHOW summarize_wal").Plus(3)},
		{name: "look, Terminate", side: faultproxy.Client, at: faultproxy.AtMessage("X", 1), over: true},
	}
	return append(shifted(look, 2), shifted(resumePhases(s), 1)...)
}

// resumeNothingPhases are those of a first attempt.
func resumeNothingPhases(*server) []phase {
	const server = faultproxy.Server
	answer := faultproxy.AtAnswer("BASE_BACKUP")
	return []phase{
		{name: "accepted", side: server, at: faultproxy.After(0), first: true},
		{name: "SHOW", side: server, at: faultproxy.AtAnswer("SHOW summarize_wal").Plus(3), first: true},
		{name: "WAL startup", conn: 1, side: server, at: faultproxy.AtMessage("S", 1).Plus(3)},
		{name: "WAL slot", conn: 1, side: faultproxy.Client, at: faultproxy.AtMessage("QCREATE_REPLICATION_SLOT", 1)},
		{name: "start point", side: server, at: answer.Plus(10), idle: true, mute: true},
		{name: "start of an archive", side: server, at: answer.Message("H", 1).Plus(2), mute: true},
	}
}

// resumable is a backup that can be gone on with.
type resumable struct {
	home, dir, temp string
	space           basebackup.TablespaceMapping
	proxy           *faultproxy.Proxy
	lost            []error // what Run said of its losses
}

func newResumable(t *testing.T, s *server) *resumable {
	t.Helper()
	home := pgtest.TempDir(t)
	return &resumable{
		home: home, dir: filepath.Join(home, "backup"), temp: t.TempDir(), proxy: s.proxy(t),
		space: basebackup.TablespaceMapping{Old: s.space, New: filepath.Join(home, "space")},
	}
}

// cutFirst arms the loss in the middle of the data of the first attempt.
func (r *resumable) cutFirst() {
	r.proxy.On(0, faultproxy.Server, faultproxy.After(4<<20), faultproxy.Cut)
}

func (r *resumable) run(ctx context.Context, connect func(context.Context) (*replproto.Conn, error), retries int, resume bool) (*basebackup.Result, error) {
	o := basebackup.Options{
		Connect: connect, FastCheckpoint: true, StatusInterval: time.Second, TempDir: r.temp,
		Resumable: true, Retries: retries, Resume: resume,
		Observer: basebackup.Observer{Retry: func(_ string, err error) {
			if err != nil {
				r.lost = append(r.lost, err)
			}
		}},
	}
	return basebackup.Run(ctx, o, basebackup.Plain(basebackup.PlainOptions{
		Path: r.dir, Tablespaces: []basebackup.TablespaceMapping{r.space}, Sync: durable.NoSync,
	}))
}

// complete checks a backup that has succeeded, and that nothing is left beside it.
func (r *resumable) complete(t *testing.T, result *basebackup.Result, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	var problems []string
	_, err = verify.Run(context.Background(), verify.Options{
		Path: r.dir, Observer: verify.Observer{Problem: func(p *verify.Problem) { problems = append(problems, p.Error()) }},
	})
	if err != nil || len(problems) > 0 || !result.Verified {
		t.Errorf("%v, verified on arrival: %v, problems %q", err, result.Verified, problems)
	}
	if basebackup.HasJournal(r.dir) {
		t.Error("the journal is left")
	}
	for _, name := range []string{"backup_manifest.tmp", "global/pg_control.tmp"} {
		if _, err := os.Lstat(filepath.Join(r.dir, name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if names := names(t, r.home); !slices.Equal(names, []string{"backup", "space"}) {
		t.Errorf("there are %q", names)
	}
	r.clean(t)
}

// clean checks that nothing is left of what was put aside.
func (r *resumable) clean(t *testing.T) {
	t.Helper()
	if names := names(t, r.temp); len(names) > 0 {
		t.Errorf("%q are left in the directory for temporary files", names)
	}
}

// gone checks that nothing is left at all.
func (r *resumable) gone(t *testing.T) {
	t.Helper()
	if names := names(t, r.home); len(names) > 0 {
		t.Errorf("%q are left", names)
	}
	r.clean(t)
}

// kept checks that a run has left what the next one can go on with, and what nobody
// takes for a backup.
func (r *resumable) kept(t *testing.T, err error) {
	t.Helper()
	var resumable *basebackup.ResumableError
	if !errors.As(err, &resumable) || resumable.Path != r.dir || resumable.Files == 0 || resumable.Bytes == 0 {
		t.Fatalf("not resumable: %v", err)
	}
	if !basebackup.HasJournal(r.dir) {
		t.Error("there is no journal")
	}
	for _, name := range []string{"backup_manifest", "global/pg_control"} {
		if _, err := os.Lstat(filepath.Join(r.dir, name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
	r.clean(t)
}

func names(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func strikeResume(t *testing.T, s *server, p phase, f fault) {
	r := newResumable(t, s)
	r.cutFirst()
	result, want, err := endure(t, r.proxy, p, f, func(ctx context.Context) (*basebackup.Result, error) {
		return r.run(ctx, connect(t, r.proxy, p.settings, p.timeout(f)), 3, false)
	})
	if want == waiting {
		if !namesIt(err, p, f) {
			t.Errorf("the error does not say what happened: %v", err)
		}
		r.gone(t)
		return
	}
	r.complete(t, result, err)
	if result.Kept < 1<<20 || result.Attempts < 2 || result.Attempts > len(r.lost)+1 {
		t.Errorf("%d bytes kept in %d attempts", result.Kept, result.Attempts)
	}
	switch {
	case want == unharmed && len(r.lost) != 1:
		t.Errorf("a loss that is none: %v", r.lost)
	case want == noticed && len(r.lost) != 2:
		t.Errorf("lost %v", r.lost)
	case want == noticed && !namesIt(r.lost[1], p, f):
		t.Errorf("the error does not say what happened: %v", r.lost[1])
	}
}

func strikeResumeLater(t *testing.T, s *server, p phase, f fault) {
	r := newResumable(t, s)
	r.cutFirst()
	open := connect(t, r.proxy, p.settings, p.timeout(f))
	_, err := r.run(context.Background(), open, -1, false)
	r.kept(t, err)
	result, want, err := endure(t, r.proxy, p, f, func(ctx context.Context) (*basebackup.Result, error) {
		return r.run(ctx, open, -1, true)
	})
	if want != unharmed {
		r.kept(t, err)
		if !namesIt(err, p, f) {
			t.Errorf("the error does not say what happened: %v", err)
		}
		result, err = r.run(context.Background(), open, -1, true)
	}
	r.complete(t, result, err)
	if result.Kept < 1<<20 || len(r.lost) > 0 {
		t.Errorf("%d bytes kept; tried again after %v", result.Kept, r.lost)
	}
}

func strikeResumeNothing(t *testing.T, s *server, p phase, f fault) {
	for _, retries := range []int{3, -1} {
		r := newResumable(t, s)
		result, want, err := endure(t, r.proxy, p, f, func(ctx context.Context) (*basebackup.Result, error) {
			return r.run(ctx, connect(t, r.proxy, p.settings, p.timeout(f)), retries, false)
		})
		switch {
		case want == unharmed:
			r.complete(t, result, err)
		case want == noticed && !p.first && retries > 0:
			r.complete(t, result, err)
			if result.Kept != 0 || len(r.lost) != 1 || !namesIt(r.lost[0], p, f) {
				t.Errorf("%d bytes kept; lost %v", result.Kept, r.lost)
			}
		default:
			if err == nil || !namesIt(err, p, f) || errors.As(err, new(*basebackup.ResumableError)) {
				t.Errorf("%v", err)
			}
			r.gone(t)
		}
	}
}

func passResume(t *testing.T, s *server, p shape) {
	r := newResumable(t, s)
	r.cutFirst()
	p.arm(r.proxy)
	result, err := r.run(context.Background(), connect(t, r.proxy, p.settings, patience), 3, false)
	r.complete(t, result, err)
	if result.Kept < 1<<20 || result.Attempts != 2 || r.proxy.Connections() != 4 || len(r.lost) != 1 {
		t.Errorf("%d bytes kept, %d attempts over %d connections, lost %v", result.Kept, result.Attempts, r.proxy.Connections(), r.lost)
	}
}
