package manifest

import (
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// verifybackup runs pg_verifybackup on a directory, without its WAL.
func verifybackup(t *testing.T, program, dir string) (messages string, accepted bool) {
	t.Helper()
	cmd := exec.Command(program, "--no-parse-wal", dir)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		t.Fatal(err)
	}
	return strings.TrimSuffix(string(out), "\n"), err == nil
}

func oracle(t *testing.T) string {
	t.Helper()
	in, err := pgtest.Installation(15)
	if err != nil {
		t.Fatal(err)
	}
	program, err := in.Path("pg_verifybackup")
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// The table of judgements is itself judged by the original. What the original
// finds in the files, once it has taken a manifest, does not matter here.
func TestPgVerifybackupNamesTheSameMistakes(t *testing.T) {
	program := oracle(t)
	for _, j := range judgements {
		t.Run(j.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, content := range map[string]string{"PG_VERSION": "15\n", "backup_manifest": j.manifest} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want := cmp.Or(j.pg15, j.postgres, j.want, "ok")
			// All that the later releases say about the JSON, in whole
			// sentences, is this in 15.
			if strings.HasPrefix(want, prefix) && strings.HasSuffix(want, ".") {
				want = prefix + "parsing failed"
			}
			out, accepted := verifybackup(t, program, dir)
			got, isError := strings.CutPrefix(out, "pg_verifybackup: error: ")
			if want == "ok" {
				if !accepted && (!isError || strings.Contains(got, "manifest: ") || strings.Contains(got, "manifest checksum")) {
					t.Errorf("pg_verifybackup does not take the manifest: %s", out)
				}
				return
			}
			if accepted || got != want {
				t.Errorf("pg_verifybackup says %q\nwant                 %q", got, want)
			}
		})
	}
}
