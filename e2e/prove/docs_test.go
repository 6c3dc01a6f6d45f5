//go:build linux

package prove

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// examples is where the documentation has its examples.
const examples = "../../docs/examples"

// step is a step of a workflow that runs commands.
type step struct{ name, script string }

// steps reads the steps of a workflow that run commands, which are indented as
// "- name:" with "run: |" and the commands below.
func steps(t *testing.T, workflow string) []step {
	t.Helper()
	text, err := os.ReadFile(workflow)
	if err != nil {
		t.Fatal(err)
	}
	var found []step
	var name, indent string
	running := false
	for line := range strings.Lines(string(text)) {
		switch trimmed := strings.TrimSpace(line); {
		case strings.HasPrefix(trimmed, "- name: "):
			name, running = strings.TrimPrefix(trimmed, "- name: "), false
		case trimmed == "run: |":
			found = append(found, step{name: name})
			indent = strings.Repeat(" ", strings.Index(line, "run:")+2)
			running = true
		case running && strings.HasPrefix(line, indent):
			found[len(found)-1].script += strings.TrimPrefix(line, indent)
		case running && trimmed != "":
			running = false
		}
	}
	return found
}

// backups makes a directory of backups by date, of a server with a database of
// the name and with the table that the examples ask for.
func backups(t *testing.T) (s *source, dir string) {
	t.Helper()
	s = newSource(t, 15)
	dir = pgtest.TempDir(t)
	if err := os.Rename(s.backUp(t, "-Ft", "-z"), filepath.Join(dir, "2026-11-22")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "2026-11-21"), 0o755); err != nil { // not the newest
		t.Fatal(err)
	}
	return s, dir
}

// shell runs commands as an example would be run, and returns what they print and
// their exit status.
func shell(t *testing.T, dir string, env []string, command ...string) (string, int) {
	t.Helper()
	in, err := pgtest.Installation(15)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = dir
	cmd.Env = append([]string{"PATH=" + filepath.Dir(pgbasin) + ":" + os.Getenv("PATH") + ":" + in.BinDir, "HOME=" + dir, "TMPDIR=" + os.TempDir()}, env...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func TestTheWorkflowOfTheDocumentationProvesABackup(t *testing.T) {
	together(t)
	s, dir := backups(t)
	work := t.TempDir()
	summary := filepath.Join(work, "summary")
	env := []string{"BACKUPS=" + dir, "PG_MAJOR=15", "GITHUB_STEP_SUMMARY=" + summary}
	script := func(name string) (string, int) {
		for _, st := range steps(t, filepath.Join(examples, "prove.yml")) {
			if st.name == name {
				// As GitHub does it for "shell: bash".
				return shell(t, work, env, "bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", st.script)
			}
		}
		t.Fatalf("there is no step %q", name)
		return "", 0
	}
	// The step "Install" needs a network and the rights to install packages.
	for _, name := range []string{"Fetch the backup", "Prove it", "Show the result"} {
		if out, status := script(name); status != 0 {
			t.Fatalf("%s: exit status %d\n%s", name, status, out)
		}
	}
	shown, err := os.ReadFile(summary)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"passed", "amcheck app", "dump app", "checksums", "assert app: select count(*) > 0 from orders", "backup \"backup\" holds"} {
		if !strings.Contains(string(shown), want) {
			t.Errorf("the summary lacks %q:\n%s", want, shown)
		}
	}

	// The backup of a server without new data must fail the workflow.
	connectTo(t, s, "app")("update orders set at = now() - interval '2 days'")
	if err := os.Rename(s.backUp(t, "-Ft", "-z"), filepath.Join(dir, "2026-11-23")); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(work, "backup")); err != nil {
		t.Fatal(err)
	}
	if out, status := script("Fetch the backup"); status != 0 {
		t.Fatal(out)
	}
	out, status := script("Prove it")
	if status == 0 || !strings.Contains(out, "failed") || !strings.Contains(out, "DOES NOT HOLD: 1 of") {
		t.Errorf("exit status %d\n%s", status, out)
	}
}

func TestTheCronScriptOfTheDocumentationSpeaksOnlyOfFailures(t *testing.T) {
	together(t)
	_, dir := backups(t)
	reports := filepath.Join(t.TempDir(), "reports")
	script, err := filepath.Abs(filepath.Join(examples, "prove-nightly.sh"))
	if err != nil {
		t.Fatal(err)
	}
	nightly := func(args ...string) (string, int) {
		return shell(t, t.TempDir(), nil, append([]string{"sh", script, dir, reports}, args...)...)
	}
	if out, status := nightly("--amcheck"); status != 0 || out != "" {
		t.Errorf("exit status %d\n%s", status, out)
	}
	report, err := os.ReadFile(filepath.Join(reports, "2026-11-22.txt"))
	if err != nil || !strings.Contains(string(report), "2026-11-22\" holds") {
		t.Errorf("the report is %q, %v", report, err)
	}
	if out, status := nightly("--assert", "select false"); status != 1 || !strings.Contains(out, "assert postgres: select false") {
		t.Errorf("exit status %d\n%s", status, out)
	}
	if _, err := os.Stat(filepath.Join(reports, "2026-11-22.xml")); err != nil {
		t.Error(err)
	}
}
