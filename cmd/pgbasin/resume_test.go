package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/basebackup"
	"github.com/pgbasin/pgbasin/internal/pgfake"
)

// summarizing is a server whose backups can be resumed, and cut cuts the n-th connection.
func summarizing(cut ...int64) *pgfake.Cluster {
	return &pgfake.Cluster{
		Version: "18.4", SystemID: 42,
		Settings: map[string]string{"summarize_wal": "on", "block_size": "8192", "segment_size": "1GB"},
		Data: &pgfake.Data{Files: []pgfake.File{
			{Path: "PG_VERSION", Data: []byte("18\n")}, {Path: "base/1/1.1", Data: make([]byte, 300*8192)},
			{Path: "base/1/2.1", Data: make([]byte, 300*8192)}, {Path: "pg_tblspc/"},
		}},
		Faults: func(n int) []pgfake.Fault {
			if n < len(cut) && cut[n] > 0 {
				return []pgfake.Fault{{After: cut[n], Kind: pgfake.FIN}}
			}
			return nil
		},
	}
}

// told is standard error with what differs between runs replaced.
func told(text, dir string) string {
	text = strings.ReplaceAll(text, dir, "DIR")
	text = regexp.MustCompile(`read tcp \S+->\S+`).ReplaceAllString(text, "read")
	return regexp.MustCompile(`port \d+`).ReplaceAllString(text, "port PORT")
}

const middle = 4 << 20 // of the second file

func TestABackupThatCannotGoOnIsKeptAndSaysHowToGoOn(t *testing.T) {
	s := pgfake.Serve(t, summarizing(middle))
	dir := filepath.Join(t.TempDir(), "b")
	got := runIn(at(t, s), "", "pgbasin", "backup", "-D", dir, "--retries=0")
	want := `pgbasin: error: could not read COPY data of base.tar: server closed the connection unexpectedly
pgbasin: detail: 1 file with 2 MB has arrived whole and was kept in "DIR". It is not a complete backup.
pgbasin: hint: Go on with it: pgbasin backup --resume -D "DIR", with the other options as before.
`
	if told(got.stderr, dir) != want || got.status != 1 {
		t.Errorf("%d\n%s\nwant\n%s", got.status, told(got.stderr, dir), want)
	}

	// A backup without the option leaves it alone.
	got = runIn(at(t, s), "", "pgbasin", "backup", "-D", dir)
	want = `pgbasin: error: directory "DIR" exists but is not empty
pgbasin: hint: A backup that was broken off is in "DIR": --resume goes on with it, with the other options as before.
`
	if told(got.stderr, dir) != want || got.status != 1 || !basebackup.HasJournal(dir) {
		t.Errorf("%d\n%s\nwant\n%s", got.status, told(got.stderr, dir), want)
	}
	// So does pg_basebackup, in its own words.
	got = runIn(at(t, s), "", "pg_basebackup", "-D", dir)
	want = `pg_basebackup: error: directory "DIR" exists but is not empty
pg_basebackup: hint: Choose another directory, or remove or empty "DIR".
`
	if told(got.stderr, dir) != want || got.status != 1 || !basebackup.HasJournal(dir) {
		t.Errorf("%d\n%s\nwant\n%s", got.status, told(got.stderr, dir), want)
	}

	// Whoever verifies it learns what it is.
	got = runIn(nil, "", "pgbasin", "verify", dir)
	want = "pgbasin: hint: backup \"DIR\" is incomplete: it has the file \"pgbasin_backup.journal\", which is gone when a backup is complete; \"pgbasin backup --resume\" goes on with it.\n"
	if !strings.HasSuffix(told(got.stderr, dir), want) || got.status != 1 {
		t.Errorf("%d\n%s\nwant at the end\n%s", got.status, told(got.stderr, dir), want)
	}
	if got = runIn(nil, "", "pg_verifybackup", dir); strings.Contains(got.stderr, "hint") || got.status != 1 {
		t.Errorf("%d\n%s\nwant no hint", got.status, got.stderr)
	}

	// What cannot be resumed says so, and is left.
	other := summarizing()
	other.SystemID = 43
	got = runIn(at(t, pgfake.Serve(t, other)), "", "pgbasin", "backup", "-D", dir, "--resume", "--json")
	want = `pgbasin: error: cannot resume the backup in "DIR", a fresh one is needed: it is of another cluster, with system identifier 42 and not 43
pgbasin: detail: 1 file with 2 MB has arrived whole and was kept in "DIR". It is not a complete backup.
pgbasin: hint: Remove what is in "DIR" and leave out --resume to take a fresh backup.
`
	if told(got.stderr, dir) != want || got.status != 1 || !basebackup.HasJournal(dir) {
		t.Errorf("%d\n%s\nwant\n%s", got.status, told(got.stderr, dir), want)
	}
}

func TestABackupGoesOnByItself(t *testing.T) {
	s := pgfake.Serve(t, summarizing(middle))
	dir := filepath.Join(t.TempDir(), "b")
	got := runIn(at(t, s), "", "pgbasin", "backup", "-D", dir)
	want := `pgbasin: warning: could not read COPY data of base.tar: server closed the connection unexpectedly
pgbasin: trying to go on with the backup in 1 s
pgbasin: resumed: 49 % kept, N kB to go
`
	text := regexp.MustCompile(`\d+ kB`).ReplaceAllString(got.stderr, "N kB")
	if text != want || got.status != 0 {
		t.Errorf("%d\n%s\nwant\n%s", got.status, text, want)
	}
	if _, err := os.Stat(filepath.Join(dir, "backup_manifest")); err != nil || basebackup.HasJournal(dir) {
		t.Errorf("%v, journal %v", err, basebackup.HasJournal(dir))
	}
}

func TestASecondLossBeforeAnythingHasComeStartsOver(t *testing.T) {
	s := pgfake.Serve(t, summarizing(100000, 0, 100000))
	dir := filepath.Join(t.TempDir(), "b")
	got := runIn(at(t, s), "", "pgbasin", "backup", "-D", dir, "--retries", "2")
	want := strings.Repeat("pgbasin: warning: could not read COPY data of base.tar: server closed the connection unexpectedly\n"+
		"pgbasin: trying to go on with the backup in N s\n", 2)
	if text := regexp.MustCompile(`in \d s`).ReplaceAllString(got.stderr, "in N s"); text != want || got.status != 0 {
		t.Errorf("%d\n%s\nwant\n%s", got.status, got.stderr, want)
	}
}

// Servers that cannot go on, and options that cannot be gone on with, are as ever.
func TestWhatCannotGoOnFailsAtOnceAndIsRemoved(t *testing.T) {
	off := summarizing(middle)
	off.Settings["summarize_wal"] = "off"
	old := summarizing(middle)
	old.Version, old.Settings = "16.10", nil
	for name, c := range map[string]struct {
		cluster *pgfake.Cluster
		args    []string
	}{
		"summarize_wal off":   {off, nil},
		"16":                  {old, nil},
		"-Ft":                 {summarizing(middle), []string{"-Ft"}},
		"--no-manifest":       {summarizing(middle), []string{"--no-manifest"}},
		"--no-verify":         {summarizing(middle), []string{"--no-verify"}},
		"checksums NONE":      {summarizing(middle), []string{"--manifest-checksums=NONE"}},
		"as pg_basebackup":    {summarizing(middle), nil},
		"nothing has come":    {summarizing(100000), []string{"--retries=0"}},
		"while it connects":   {summarizing(100), nil},
		"before it transfers": {summarizing(400), nil},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "b")
			args := append([]string{"pgbasin", "backup", "-D", dir}, c.args...)
			if name == "as pg_basebackup" {
				args = []string{"pg_basebackup", "-D", dir}
			}
			got := runIn(at(t, pgfake.Serve(t, c.cluster)), "", args...)
			if got.status != 1 || strings.Contains(got.stderr, "resume") || strings.Contains(got.stderr, "trying") {
				t.Errorf("%+v", got)
			}
			if _, err := os.Stat(dir); !os.IsNotExist(err) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestRefusalsOfResume(t *testing.T) {
	for args, want := range map[string]string{
		"--resume -D x -Ft":                       "--resume needs a backup in plain format: what was received as tar files cannot be gone on with; take a fresh backup",
		"--resume -t blackhole -X none":           "--resume needs a backup in plain format, and a backup target is specified",
		"--resume -D x -i m":                      "--resume needs a full backup: a full one is gone on with as an incremental one, and an incremental one cannot be; take a fresh backup",
		"--resume -D x --no-manifest":             "--resume needs a backup with a manifest: without one there is no journal of what has arrived; take a fresh backup",
		"--resume -D x --no-verify":               "--resume cannot be used with --no-verify: without checksums there is no journal of what has arrived; take a fresh backup",
		"--resume -D x --manifest-checksums=none": "--resume needs checksums in the manifest: without them there is no journal of what has arrived; take a fresh backup",
		"--retries=-1 -D x":                       "--retries must be in range 0..1073741824",
		"--retries=many -D x":                     "invalid value \"many\" for option --retries",
	} {
		got := runIn(nowhere(t), "", append([]string{"pgbasin", "backup"}, strings.Fields(args)...)...)
		if got.stderr != "pgbasin: error: "+want+"\n" || got.status != 1 {
			t.Errorf("%s: %+v, want %s", args, got, want)
		}
	}
	dir := t.TempDir()
	got := runIn(nowhere(t), "", "pgbasin", "backup", "--resume", "-D", dir)
	want := `pgbasin: error: cannot resume the backup in "DIR", a fresh one is needed: there is no file "pgbasin_backup.journal" in it, so that it is not known what has arrived
pgbasin: hint: Remove what is in "DIR" and leave out --resume to take a fresh backup.
`
	if told(got.stderr, dir) != want || got.status != 1 {
		t.Errorf("%d\n%s\nwant\n%s", got.status, told(got.stderr, dir), want)
	}
	if err := os.WriteFile(filepath.Join(dir, "backup_manifest"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	got = runIn(nowhere(t), "", "pgbasin", "backup", "--resume", "-D", dir)
	if want := "pgbasin: error: there is nothing to resume: the backup in \"DIR\" is complete\n"; told(got.stderr, dir) != want || got.status != 1 {
		t.Errorf("%d\n%s\nwant\n%s", got.status, told(got.stderr, dir), want)
	}
	// pg_basebackup knows nothing of it.
	got = runIn(nowhere(t), "", "pg_basebackup", "--resume", "-D", dir)
	if !strings.HasPrefix(got.stderr, "pg_basebackup: unrecognized option '--resume'\n") || got.status != 1 {
		t.Errorf("%+v", got)
	}
}
