//go:build unix

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// A backup on standard output can be piped into tar, with its WAL and its
// manifest, and starts.
func TestMatrixStandardOutput(t *testing.T) {
	onMajors(t, matrixMajors(t), func(t *testing.T, major int) {
		s := startSource(t, major, sourceConfig{bytes: 4 << 20, rate: 60})
		for _, c := range []struct {
			name, method string
			program      string
			args         []string
			through      string
		}{
			{"none", "none", pgBasebackup, []string{"-Ft", "-Xn", "-D-"}, "cat"},
			{"fetch", "fetch", pgBasebackup, []string{"-Ft", "-X", "fetch", "-zD-"}, "gzip -d"},
			{"stream", "stream", pgbasin, []string{"backup", "--format=tar", "--pgdata=-"}, "cat"},
			{"stream zstd", "stream", pgbasin, []string{"backup", "-Ft", "-D", "-", "-Z", "zstd", "-v"}, "zstd -d"},
		} {
			t.Run(c.name, func(t *testing.T) {
				if c.method == "none" {
					s.Exec(t, "select pg_create_physical_replication_slot('keep', true)")
					defer s.Exec(t, "select pg_drop_replication_slot('keep')")
				}
				data := filepath.Join(pgtest.TempDir(t), "data")
				if err := os.Mkdir(data, 0o700); err != nil {
					t.Fatal(err)
				}
				pipe := exec.Command("bash", "-c", `set -o pipefail; `+c.through+` | tar -xpf - -C "$1"`, "bash", data)
				in, err := pipe.StdinPipe()
				if err != nil {
					t.Fatal(err)
				}
				var complaints strings.Builder
				pipe.Stderr = &complaints
				if err := pipe.Start(); err != nil {
					t.Fatal(err)
				}
				committed := s.load.Commits()
				p := &program{path: c.program, args: append(c.args, append(shortConnection(s.Server), "-cfast")...), stdout: in}
				o := p.run(t)
				if err := in.Close(); err != nil {
					t.Error(err)
				}
				if err := pipe.Wait(); err != nil || complaints.Len() > 0 {
					t.Errorf("tar: %v\n%s", err, complaints.String())
				}
				o.succeeded(t)
				if major >= 13 {
					if major <= 16 {
						verifyBackup(t, major, c.method != "none", data)
					} else if _, err := os.Stat(filepath.Join(data, "backup_manifest")); err != nil {
						t.Error(err)
					}
				}
				if c.method == "none" {
					giveWAL(t, s.Server, data)
				}
				startAndCompare(t, s.Server, data, s.sums, committed)
			})
		}
	})
}

// A backup of several tablespaces is no single tar.
func TestStandardOutputRefusesTablespaces(t *testing.T) {
	s := pgtest.Start(t, 18)
	s.CreateTablespace(t, "space")
	o := run(t, pgBasebackup, append(shortConnection(s), "-cfast", "-Ft", "-D-")...)
	if o.status != 1 || !strings.Contains(o.stderr, "can only write single tablespace to stdout, database has 2") {
		t.Errorf("exit status %d\n%s", o.status, o.stderr)
	}
}

// A reader that goes away, or a full disk behind standard output, is an error.
func TestStandardOutputFails(t *testing.T) {
	s := pgtest.Start(t, 18)
	for _, c := range []struct{ name, script, says string }{
		{"reader gone", `"$@" | head -c 100000 | wc -c >/dev/null; exit ${PIPESTATUS[0]}`, "roken pipe"},
		{"full device", `"$@" > /dev/full`, "No space left on device"},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := append([]string{"-c", c.script, "bash", pgBasebackup}, shortConnection(s)...)
			run(t, "bash", append(args, "-cfast", "-Ft", "-D-")...).failed(t, c.says)
		})
	}
	noSlots(t, s)
}
