package info

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/basebackup"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/program"
	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/conninfo"
	"github.com/pgbasin/pgbasin/internal/durable"
	"github.com/pgbasin/pgbasin/internal/pgtest"
	"github.com/pgbasin/pgbasin/replproto"
)

// info runs the command.
func info(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	p := &program.Program{Name: "pgbasin", Call: "pgbasin info", Argv0: "pgbasin", Version: "v0", Args: args, Stdin: strings.NewReader(""), Stdout: &out, Console: program.NewConsole(&errs)}
	status = Run(p)
	return status, out.String(), errs.String()
}

func backupTo(t *testing.T, s *pgtest.Server, to basebackup.Destination, o basebackup.Options) *basebackup.Result {
	t.Helper()
	given, err := conninfo.Parse(s.DSN())
	if err != nil {
		t.Fatal(err)
	}
	settings, err := conninfo.Resolve(given, nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg := &replproto.Config{Settings: settings}
	o.Connect = func(ctx context.Context) (*replproto.Conn, error) { return replproto.Connect(ctx, cfg) }
	o.FastCheckpoint = true
	result, err := basebackup.Run(t.Context(), o, to)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func TestInfoOfABackupAndOfADirectoryOfBackups(t *testing.T) {
	dir := pgtest.TempDir(t)
	archive, backups := filepath.Join(dir, "archive"), filepath.Join(dir, "backups")
	for _, d := range []string{archive, backups} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(d, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	s := pgtest.Start(t, 15, pgtest.WALSegSize(1), pgtest.Settings(map[string]string{
		"archive_mode": "on", "archive_command": "cp %p " + archive + "/%f", "log_timezone": "UTC",
	}))
	location := s.CreateTablespace(t, "space")
	s.Exec(t, "create table t (n int) tablespace space; insert into t values (1)")
	second := filepath.Join(backups, "a second one")
	first := backupTo(t, s, basebackup.TarDirectory(basebackup.TarOptions{
		Path: filepath.Join(backups, "first"), Compression: codec.Spec{Algorithm: codec.Gzip}, Sync: durable.NoSync,
	}), basebackup.Options{Label: "monday"})
	s.Exec(t, "select pg_create_restore_point('before \"it\"')")
	backupTo(t, s, basebackup.TarDirectory(basebackup.TarOptions{Path: second, Sync: durable.NoSync}), basebackup.Options{WAL: basebackup.WALNone})

	status, out, errs := info(t, "--wal-archive="+archive, filepath.Join(backups, "first"))
	if status != 0 || errs != "" {
		t.Fatalf("status %d: %s%s", status, out, errs)
	}
	for _, want := range []string{
		"state:              complete\n",
		"form:               tar, gzip\n",
		"server version:     15\n",
		"label:              monday\n",
		"method:             streamed, from a primary\n",
		"type:               full\n",
		"start LSN:          " + first.Start.String() + " on timeline 1\n",
		"stop LSN:           " + first.Stop.String() + " on timeline 1 (from the manifest)\n",
		"tablespace:         16384 at " + location + ", ",
		" in the backup, all that it needs\n",
		"first consistent:   " + first.Stop.String() + " on timeline 1",
		"restore point:      \"before \"it\"\", LSN ",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if !regexp.MustCompile(`(?m)^start time:         \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\nstart LSN`).MatchString(out) {
		t.Errorf("no start time in\n%s", out)
	}

	status, out, errs = info(t, "--json", "--wal-archive", archive, filepath.Join(backups, "first"))
	var got backup
	if err := json.Unmarshal([]byte(out), &got); status != 0 || err != nil || strings.Count(out, "\n") != 1 {
		t.Fatalf("status %d, %v: %s%s", status, err, out, errs)
	}
	if got.State != "complete" || *got.ServerVersion != "15" || *got.StartLSN != first.Start || *got.StopLSN != first.Stop || got.Compression != "gzip" ||
		*got.SystemIdentifier == "" || len(got.Tablespaces) != 1 || *got.Tablespaces[0].Bytes == 0 || !got.WALComplete || *got.Files == 0 || got.Manifest.Checksums != "CRC32C" ||
		got.Window == nil || *got.Window.ConsistentLSN != first.Stop || len(got.Window.RestorePoints) != 1 || got.Window.RestorePoints[0].Name != `before "it"` {
		t.Errorf("%s", out)
	}

	// A backup that was cut off, one that was never finished, and what is no backup.
	cut, unfinished := filepath.Join(backups, "cut.tar"), filepath.Join(backups, "unfinished")
	content, err := os.ReadFile(filepath.Join(second, "base.tar"))
	if err != nil {
		t.Fatal(err)
	}
	for path, b := range map[string][]byte{
		cut: content[:len(content)/2], filepath.Join(unfinished, "base.tar.tmp"): content[:100_000], filepath.Join(backups, "notes.txt"): []byte("notes"), filepath.Join(backups, "other/file"): nil,
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	status, out, errs = info(t, cut)
	if status != 0 || errs != "" || !strings.Contains(out, "state:              broken\n                    could not read archive \""+cut+"\"") || !strings.Contains(out, "server version:     15\n") {
		t.Errorf("cut off: status %d\n%s%s", status, out, errs)
	}
	status, out, errs = info(t, backups)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if status != 0 || len(lines) != 5 || !strings.HasPrefix(lines[0], "backup ") || !strings.Contains(out, "  incomplete") {
		t.Fatalf("status %d:\n%s%s", status, out, errs)
	}
	at := strings.Index(lines[0], "state")
	for name, state := range map[string]string{"first": "complete", "a second one": "complete", "cut.tar": "broken", "unfinished": "incomplete"} {
		for _, l := range lines[1:] {
			if strings.HasPrefix(l, name+"  ") && !strings.HasPrefix(l[at:], state) {
				t.Errorf("%s: %q, want %s", name, l, state)
			}
		}
	}
	if strings.Index(out, "first ") > strings.Index(out, "a second one") {
		t.Errorf("the second one stands before the first:\n%s", out)
	}
	status, out, _ = info(t, "--json", backups)
	var all struct{ Backups []map[string]any }
	if err := json.Unmarshal([]byte(out), &all); status != 0 || err != nil || len(all.Backups) != 4 {
		t.Errorf("status %d, %v: %s", status, err, out)
	}
}

func TestWhatCannotBeReadIsAFailure(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "pgbasin: error: no backup specified\npgbasin: hint: Try \"pgbasin info --help\" for more information.\n"},
		{[]string{"a", "b"}, "pgbasin: error: too many command-line arguments (first is \"b\")\npgbasin: hint: Try \"pgbasin info --help\" for more information.\n"},
		{[]string{"--wal-archive=", "a"}, "pgbasin: error: no WAL archive specified\npgbasin: hint: Try \"pgbasin info --help\" for more information.\n"},
		{[]string{filepath.Join(dir, "none")}, "pgbasin: error: could not open backup \"" + filepath.Join(dir, "none") + "\": No such file or directory\n"},
		{[]string{dir}, "pgbasin: error: \"" + dir + "\" is not a base backup: it is an empty directory\n"},
		{[]string{"-"}, "pgbasin: error: \"-\" is not a base backup: it is an empty file\n"},
	} {
		status, out, errs := info(t, c.args...)
		if status != 1 || out != "" || errs != c.want {
			t.Errorf("%q: status %d, %q, %q, want %q", c.args, status, out, errs, c.want)
		}
	}
	status, out, _ := info(t, "--json", dir)
	if status != 1 || out != "{\"error\":\"\\\""+dir+"\\\" is not a base backup: it is an empty directory\"}\n" {
		t.Errorf("status %d, %q", status, out)
	}
	if status, out, errs := info(t, "--help"); status != 0 || !strings.Contains(out, "pgbasin info [OPTION]... BACKUP") || errs != "" {
		t.Errorf("help: status %d, %q, %q", status, out, errs)
	}
}

func TestSizesAreShortAndExactWhereTheyAreSmall(t *testing.T) {
	for n, want := range map[int64]string{0: "0 bytes", 10239: "10239 bytes", 10240: "10 kB", 24 << 20: "24 MB", 300 << 30: "300 GB", 1 << 62: "4096 PB"} {
		if got := size(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}
