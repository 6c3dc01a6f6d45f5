package prove

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/program"
	"github.com/pgbasin/pgbasin/prove"
)

func TestStatementsAreForTheDatabaseNamedBeforeThem(t *testing.T) {
	file := filepath.Join(t.TempDir(), "check.sql")
	if err := os.WriteFile(file, []byte("select 1;"), 0o600); err != nil {
		t.Fatal(err)
	}
	o, err := parse([]string{"--assert", "a", "-d", "app", "--sql", file, "--assert=b", "--dbname=other", "--assert", "c = 'd'", "backup"})
	if err != nil {
		t.Fatal(err)
	}
	want := []prove.Statement{
		{Database: "postgres", SQL: "a", Assert: true},
		{Database: "app", SQL: "select 1;", Name: file},
		{Database: "app", SQL: "b", Assert: true},
		{Database: "other", SQL: "c = 'd'", Assert: true},
	}
	if !slices.Equal(o.checks.Statements, want) {
		t.Errorf("got %+v, want %+v", o.checks.Statements, want)
	}
}

func TestTimeoutsHaveAUnitOrAreSeconds(t *testing.T) {
	for text, want := range map[string]time.Duration{"90": 90 * time.Second, "90s": 90 * time.Second, "30m": 30 * time.Minute, "1h30m": 90 * time.Minute} {
		o, err := parse([]string{"--timeout", text, "backup"})
		if err != nil || o.timeout != want {
			t.Errorf("%s: %s, %v", text, o.timeout, err)
		}
	}
	for _, text := range []string{"", "0", "-1s", "0s", "soon", "1d"} {
		if _, err := parse([]string{"--timeout", text, "backup"}); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}

// call runs the command, which has no backup and starts nothing.
func call(args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	status = Run(&program.Program{
		Name: "pgbasin", Call: "pgbasin prove", Args: args, Stdout: &out, Console: program.NewConsole(&errs),
		LookupEnv: func(string) (string, bool) { return "", false },
	})
	return status, out.String(), errs.String()
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "no backup specified"},
		{[]string{"a", ""}, "no backup specified"},
		{[]string{"--sql", "/no/such/file", "a"}, "could not read SQL file \"/no/such/file\": No such file or directory"},
		{[]string{"--assert", " ", "a"}, "no value for option --assert"},
		{[]string{"--dbname=", "a"}, "no value for option --dbname"},
		{[]string{"--junit=", "a"}, "no value for option --junit"},
		{[]string{"--junit=/no/such/directory/x", "a"}, "could not create JUnit report \"/no/such/directory/x\": No such file or directory"},
		{[]string{"--timeout=never", "a"}, "invalid timeout \"never\""},
		{[]string{"--standby", "a"}, "a standby never ends its recovery, and cannot be proved"},
		{[]string{"--target-immediate", "--target-action=pause", "a"}, "a server that shall pause at the recovery target cannot be checked"},
		{[]string{"--set", "port=1", "a"}, "setting \"port\" cannot be changed: it keeps the server apart from everything else"},
		{[]string{"--scratch=/no/such/directory", "--run-as=", "a"}, "no value for option --run-as"},
	} {
		status, stdout, stderr := call(c.args...)
		if status != 1 || stdout != "" || !strings.HasPrefix(stderr, "pgbasin: error: "+c.want+"\n") {
			t.Errorf("%q: exit status %d, %q, %q", c.args, status, stdout, stderr)
		}
	}
}

// Whoever reads the reports must not take a proof that could not begin for one
// without failures.
func TestWhatCannotBeginFailsInBothReports(t *testing.T) {
	junit := filepath.Join(t.TempDir(), "junit.xml")
	status, stdout, _ := call("--json", "--junit", junit, "--set", "port=1", "a")
	var report struct {
		OK     bool
		Checks []struct{ Status string }
	}
	if err := json.Unmarshal([]byte(stdout), &report); err != nil {
		t.Fatal(err)
	}
	if status != 1 || report.OK || len(report.Checks) != 1 || report.Checks[0].Status != "failed" {
		t.Errorf("exit status %d, %s", status, stdout)
	}
	text, err := os.ReadFile(junit)
	if err != nil {
		t.Fatal(err)
	}
	var suites struct {
		Failures int `xml:"failures,attr"`
	}
	if err := xml.Unmarshal(text, &suites); err != nil || suites.Failures != 1 {
		t.Errorf("%d failures, %v in\n%s", suites.Failures, err, text)
	}
}

func TestTheSummarySaysWhatADisasterWouldCost(t *testing.T) {
	began := time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	report := &prove.Report{
		Backup: "/backups/last", Started: began, Restore: 90 * time.Second, Recover: 1500 * time.Millisecond, Total: 2 * time.Hour, Log: "a line\nanother",
		Recovery: prove.Recovery{Replayed: 1, LastCommit: began.Add(-3 * time.Hour), Newest: began.Add(-3 * time.Hour)},
		Cases: []*prove.Case{
			{Check: prove.CheckRestore, Status: prove.Passed, Duration: 90 * time.Second, Summary: "2 files"},
			{Check: prove.CheckAssert, Database: "app", Subject: "select false", Status: prove.Failed, Problems: []string{"first\nand more", "second"}, Count: 2},
		},
	}
	var b bytes.Buffer
	out := output{w: &b}
	for _, c := range report.Cases {
		out.testCase(c)
	}
	if err := out.summary(report); err != nil {
		t.Fatal(err)
	}
	want := `passed  1 min 30 s  restore  2 files
failed     0.0 s  assert app: select false  first (and 1 more)
                   and more
                   second

newest data: 2026-11-22 00:00:00Z, 3 h 00 min old
time: restore 1 min 30 s, recovery 1.5 s, in all 2 h 00 min
end of the server's log:
a line
another
backup "/backups/last" DOES NOT HOLD: 1 of 2 checks failed
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}
