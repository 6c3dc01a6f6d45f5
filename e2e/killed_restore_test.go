//go:build unix

package e2e

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// A restore that is killed at any moment leaves nothing that a server starts on,
// and the same restore works afterwards.
func TestKilledRestores(t *testing.T) {
	const kills = 20
	s := startSource(t, 15, sourceConfig{tablespace: true, bytes: 60 << 20, rate: 20})
	dir := pgtest.TempDir(t)
	backup, data := filepath.Join(dir, "backup"), filepath.Join(dir, "data")
	run(t, pgbasin, append([]string{"backup", "-Ft", "-Zzstd", "-cfast", "-N", "-D", backup}, shortConnection(s.Server)...)...).succeeded(t)
	args := []string{"restore", "-D", data, "-T", s.space + "=" + data + "-space", "--waldir", data + "-wal", backup}

	began := time.Now()
	whole := &program{path: pgbasin, args: args}
	whole.run(t).succeeded(t)
	took := time.Since(began)
	removeAll := func() {
		for _, path := range []string{data, data + "-space", data + "-wal"} {
			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
		}
	}
	removeAll()

	in, err := pgtest.Installation(15)
	if err != nil {
		t.Fatal(err)
	}
	postgres, err := in.Path("postgres")
	if err != nil {
		t.Fatal(err)
	}
	unfinished := 0
	for i := range kills {
		p := &program{path: pgbasin, args: args}
		p.start(t)
		// The moment is what is tested: anywhere in the time that one takes.
		time.Sleep(time.Duration(rand.Int64N(int64(took))) * 9 / 10)
		p.cmd.Process.Kill()
		p.wait(t)
		if _, err := os.Lstat(filepath.Join(data, "global/pg_control")); err == nil {
			removeAll() // it was faster than the first one
			continue
		}
		unfinished++
		if i%5 == 0 {
			// A server says so, too.
			c := exec.Command(postgres, "-D", data, "-c", "config_file=/dev/null", "-c", "hba_file=/dev/null")
			c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
			if out, err := c.CombinedOutput(); err == nil || strings.Contains(string(out), "ready to accept") {
				t.Errorf("a server started on what was left: %s", out)
			}
		}
	}
	if unfinished < kills/2 {
		t.Errorf("only %d of %d restores were killed in the middle", unfinished, kills)
	}
	if _, err := os.Lstat(filepath.Join(data, "global/pg_control")); err != nil {
		run(t, pgbasin, args...).succeeded(t)
	}
	startAndCompare(t, s.Server, data, s.sums, 0)
}
