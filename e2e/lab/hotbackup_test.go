//go:build linux

package lab

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// A hotBackup is a data directory copied by hand while the server writes to it.
type hotBackup struct {
	dir    string // the copy, as cp -R made it, with backup_label
	tar    string // the same as .tar.gz, one directory down
	before state  // of the table when it began
	after  state  // when it had ended
}

// backup makes a hot backup the first time that a section asks for one.
func (l *lab) backup(t *testing.T) *hotBackup {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hot == nil {
		home, err := l.MakeDir("backup")
		if err != nil {
			t.Fatal(err)
		}
		b := l.copyByHand(t, filepath.Join(home, "data5445"), false)
		b.tar = b.dir + ".tar.gz"
		tool(t, "tar", "-czf", b.tar, "-C", home, filepath.Base(b.dir))
		l.hot = b
	}
	return l.hot
}

// copyByHand is the lab's hot backup: pg_start_backup, cp -R, pg_stop_backup. Up
// to 14 it can also be an exclusive one, whose label lies in the data directory
// while it is copied.
func (l *lab) copyByHand(t *testing.T, dir string, exclusive bool) *hotBackup {
	t.Helper()
	ctx := context.Background()
	conn := l.Conn(t) // a non-exclusive backup ends with its session
	b := &hotBackup{dir: dir, before: l.state(t)}
	begin := "select pg_start_backup('hot-backup test', true, false)"
	switch {
	case exclusive:
		begin = "select pg_start_backup('hot-backup test', true)"
	case l.Major() >= 15:
		begin = "select pg_backup_start('hot-backup test', true)"
	}
	if _, err := conn.Exec(ctx, begin); err != nil {
		t.Fatal(err)
	}
	l.rows(t, 2)
	out, err := exec.Command("cp", "-R", l.DataDir(), dir).CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if !strings.Contains(line, "No such file or directory") { // files come and go
			t.Fatalf("cp: %v\n%s", err, out)
		}
	}
	l.rows(t, 2)
	switch {
	case exclusive:
		_, err = conn.Exec(ctx, "select pg_stop_backup()")
	default:
		end := "select labelfile from pg_stop_backup(false)"
		if l.Major() >= 15 {
			end = "select labelfile from pg_backup_stop()"
		}
		var label string
		if err = conn.QueryRow(ctx, end).Scan(&label); err == nil {
			err = os.WriteFile(filepath.Join(dir, "backup_label"), []byte(label), 0o600)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	b.after = l.state(t)
	return b
}

// A copy of a running server, with the WAL that was archived meanwhile, is a
// backup; what the copy has of the running server does not get into the way.
func TestMatrixManualHotBackup(t *testing.T) {
	onMajors(t, func(t *testing.T, l *lab) {
		b := l.backup(t)
		if !exists(filepath.Join(b.dir, "postmaster.pid")) {
			t.Error("the copy has no postmaster.pid, as it has to have here")
		}
		histories, err := filepath.Glob(filepath.Join(l.archive, "*.backup"))
		if err != nil || len(histories) == 0 {
			t.Fatalf("the archive has no backup history file: %v", err)
		}
		content, err := os.ReadFile(histories[len(histories)-1])
		if err != nil || !strings.Contains(string(content), "\nLABEL: hot-backup test\n") {
			t.Errorf("%v: %s", err, content)
		}
		backups := []*hotBackup{b}
		if l.Major() <= 14 {
			backups = append(backups, l.copyByHand(t, filepath.Join(pgtest.TempDir(t), "exclusive"), true))
		}
		for _, b := range backups {
			s := l.recover(t, b.dir, "--target-immediate")
			if got := stateOf(t, s); got.rows < b.before.rows || got.rows > b.after.rows {
				t.Errorf("%v in a backup from between %v and %v", got, b.before, b.after)
			}
			if exists(filepath.Join(s.DataDir(), "backup_label")) {
				t.Error("backup_label is still there after recovery")
			}
		}
	})
}

// tool runs a program that is not under test and has to succeed.
func tool(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}
