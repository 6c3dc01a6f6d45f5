//go:build unix

package resume

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/pgbasin/pgbasin/basebackup"
)

// However far a backup is when the program dies at its end, what is left is a backup, or
// one that can be resumed, or does not look like one.
func (s *source) killedAtTheEnd(t *testing.T) {
	few.Together(t)
	there := func(name string) func(*place) bool {
		return func(p *place) bool {
			_, err := os.Lstat(filepath.Join(p.dir, name))
			return err == nil
		}
	}
	complete := there("backup_manifest")
	for _, when := range []func(*place) bool{
		there("backup_manifest.received.tmp"),
		there("backup_manifest.tmp"),
		func(p *place) bool { return !basebackup.HasJournal(p.dir) },
		there("global/pg_control"),
		complete,
	} {
		p := s.place(t)
		p.killed(t, mainConnection, s.whole*3/4, "-T", p.mapping())
		p.reconnect(t)
		// With --no-sync the end would be over at once.
		run := start(t, "backup", "--resume", "-D", p.dir, "-cfast", "-h", p.SocketDir(), "-p", strconv.Itoa(p.Port()))
		eventually(t, "the point to kill it at", func() bool { return when(p) || run.ended() })
		run.cmd.Process.Kill()
		<-run.done
		switch resumable := basebackup.HasJournal(p.dir); {
		case resumable && (complete(p) || there("global/pg_control")(p)):
			t.Error("what is not complete looks as if it were")
		case resumable:
			start(t, p.args("--resume")...).succeeded(t)
			p.check(t)
		case complete(p):
			p.check(t)
		default:
			again := start(t, p.args("--resume")...)
			if again.wait(t) != 1 {
				t.Error("resumed without a journal")
			}
			says(t, again.stderr.String(), "there is no file \"pgbasin_backup.journal\" in it")
		}
	}
}
