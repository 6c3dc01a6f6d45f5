package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/internal/pgfake"
)

// at is the environment in which s is the server.
func at(t *testing.T, s *pgfake.Server) map[string]string {
	t.Helper()
	env := nowhere(t)
	env["PGHOST"], env["PGPORT"] = s.Host(), strconv.Itoa(s.Port())
	return env
}

// baseBackup is the BASE_BACKUP command that the server got.
func baseBackup(s *pgfake.Server) string {
	for _, q := range s.Queries() {
		if strings.HasPrefix(q.Text, "BASE_BACKUP") {
			return q.Text
		}
	}
	return ""
}

func TestOptionsReachTheServer(t *testing.T) {
	for _, c := range []struct {
		version, args, want string
	}{
		{"18.4", "", `BASE_BACKUP (LABEL 'pg_basebackup base backup', PROGRESS, WAIT 0, MANIFEST 'yes', TARGET 'client')`},
		{"18.4", "-cfast -Ft -X none -l it's", `BASE_BACKUP (LABEL 'it''s', PROGRESS, CHECKPOINT 'fast', TABLESPACE_MAP, MANIFEST 'yes', TARGET 'client')`},
		{"18.4", "-X fetch -r 1M --no-estimate-size --no-verify-checksums", `BASE_BACKUP (LABEL 'pg_basebackup base backup', WAL, WAIT 0, MAX_RATE 1024, VERIFY_CHECKSUMS 0, MANIFEST 'yes', TARGET 'client')`},
		{"18.4", "--no-manifest --xlog", `BASE_BACKUP (LABEL 'pg_basebackup base backup', PROGRESS, WAL, WAIT 0, TARGET 'client')`},
		{"18.4", "--manifest-force-encode --manifest-checksums=sha224 -X none", `BASE_BACKUP (LABEL 'pg_basebackup base backup', PROGRESS, MANIFEST 'force-encode', MANIFEST_CHECKSUMS 'sha224', TARGET 'client')`},
		{"9.1.24", "-x -c fast", `BASE_BACKUP LABEL 'pg_basebackup base backup' PROGRESS FAST WAL NOWAIT`},
		{"12.3", "-X none -r 32 -Ft", `BASE_BACKUP LABEL 'pg_basebackup base backup' PROGRESS MAX_RATE 32 TABLESPACE_MAP`},
	} {
		s := pgfake.Serve(t, &pgfake.Cluster{Version: c.version})
		args := append([]string{"pg_basebackup", "-D", filepath.Join(t.TempDir(), "b")}, strings.Fields(c.args)...)
		if got := runIn(at(t, s), "", args...); got != (output{}) {
			t.Errorf("%s %s: %+v", c.version, c.args, got)
		}
		if got := sortedOptions(baseBackup(s)); got != sortedOptions(c.want) {
			t.Errorf("%s %s:\n%s\nwant\n%s", c.version, c.args, baseBackup(s), c.want)
		}
	}
}

// sortedOptions brings options into an order: it is of no importance.
func sortedOptions(command string) string {
	command = strings.NewReplacer("(", "", ")", "", ",", "").Replace(command)
	words := regexp.MustCompile(`'(?:[^']|'')*'|[A-Z_0-9]+`).FindAllString(command, -1)
	slices.Sort(words)
	return strings.Join(words, " ")
}

func TestTargetsAndServerCompressionReachTheServer(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"-t blackhole -X none", `BASE_BACKUP (LABEL 'pg_basebackup base backup', PROGRESS, MANIFEST 'yes', TABLESPACE_MAP, TARGET 'blackhole')`},
		{"-t server:/x:y -X fetch -Z gzip:3", `BASE_BACKUP (LABEL 'pg_basebackup base backup', PROGRESS, WAL, WAIT 0, MANIFEST 'yes', TABLESPACE_MAP, TARGET 'server', TARGET_DETAIL '/x:y', COMPRESSION 'gzip', COMPRESSION_DETAIL '3')`},
		{"-t blackhole -X none -Z server-turkey:sandwich", `BASE_BACKUP (LABEL 'pg_basebackup base backup', PROGRESS, MANIFEST 'yes', TABLESPACE_MAP, TARGET 'blackhole', COMPRESSION 'turkey', COMPRESSION_DETAIL 'sandwich')`},
	} {
		s := pgfake.Serve(t, &pgfake.Cluster{Version: "18.4"})
		runIn(at(t, s), "", append([]string{"pg_basebackup"}, strings.Fields(c.args)...)...)
		if got := sortedOptions(baseBackup(s)); got != sortedOptions(c.want) {
			t.Errorf("%s:\n%s\nwant\n%s", c.args, baseBackup(s), c.want)
		}
	}
}

func TestVerboseMessagesAreThoseOfPgBasebackup(t *testing.T) {
	s := pgfake.Serve(t, &pgfake.Cluster{Version: "18.4"})
	got := runIn(at(t, s), "", "pg_basebackup", "-D", filepath.Join(t.TempDir(), "b"), "-v", "--no-slot")
	want := `pg_basebackup: initiating base backup, waiting for checkpoint to complete
pg_basebackup: checkpoint completed
pg_basebackup: write-ahead log start point: X/X on timeline 1
pg_basebackup: starting background WAL receiver
pg_basebackup: write-ahead log end point: X/X
pg_basebackup: waiting for background process to finish streaming ...
pg_basebackup: syncing data to disk ...
pg_basebackup: renaming backup_manifest.tmp to backup_manifest
pg_basebackup: base backup completed
`
	if text := regexp.MustCompile(`[0-9A-F]+/[0-9A-F]+`).ReplaceAllString(got.stderr, "X/X"); text != want || got.stdout != "" || got.status != 0 {
		t.Errorf("%+v, want\n%s", got, want)
	}
}

func TestServersNoticesStandVerbatimAtTheBeginningOfALine(t *testing.T) {
	notice := pgfake.Notice("WARNING", "01000", "checksum verification failed in file \"base/1/1259\", block 3", pgfake.Detail("d"))
	s := pgfake.Serve(t, &pgfake.Cluster{
		Version: "18.4",
		Tamper:  pgfake.Before(pgfake.At{Command: "BASE_BACKUP", Part: pgfake.PartStart}, notice),
	})
	got := runIn(at(t, s), "", "pg_basebackup", "-D", filepath.Join(t.TempDir(), "b"), "-P")
	if !strings.Contains(got.stderr, "waiting for checkpoint\nWARNING:  checksum verification failed in file \"base/1/1259\", block 3\nDETAIL:  d\n") {
		t.Errorf("%+v", got)
	}
}

func TestProgressToAPipeIsLines(t *testing.T) {
	for version, pattern := range map[string]string{
		"18.4": `\Awaiting for checkpoint\n( *\d+/\d+ kB \(\d+%\), [01]/1 tablespace\n)*(\d+)/(\d+) kB \(100%\), 1/1 tablespace\n\z`,
		"14.1": `\Awaiting for checkpoint\n( *\d+/\d+ kB \(\d+%\), [01]/1 tablespace\n)*(\d+)/(\d+) kB \(100%\), 1/1 tablespace\n\z`,
	} {
		s := pgfake.Serve(t, &pgfake.Cluster{Version: version})
		got := runIn(at(t, s), "", "pg_basebackup", "-D", filepath.Join(t.TempDir(), "b"), "-P")
		if !regexp.MustCompile(pattern).MatchString(got.stderr) || got.status != 0 {
			t.Errorf("%s: %+v", version, got)
		}
	}
}

func TestResultAsJSON(t *testing.T) {
	s := pgfake.Serve(t, &pgfake.Cluster{Version: "18.4", SystemID: 1<<63 + 1})
	dir := filepath.Join(t.TempDir(), "b")
	got := runIn(at(t, s), "", "pgbasin", "backup", "--json", "-D", dir, "-l", "<&>")
	var r map[string]any
	if err := json.Unmarshal([]byte(got.stdout), &r); err != nil || got.status != 0 || strings.Count(got.stdout, "\n") != 1 {
		t.Fatalf("%v: %+v", err, got)
	}
	for name, want := range map[string]any{
		"system_identifier": "9223372036854775809", "server_version": "18.4", "label": "<&>", "timeline": 1.0, "stop_timeline": 1.0,
		"manifest": true, "verified": true, "destination": dir, "format": "plain",
	} {
		if r[name] != want {
			t.Errorf("%s: %v, want %v", name, r[name], want)
		}
	}
	for _, name := range []string{"bytes", "wal_bytes", "files", "duration_seconds"} {
		if n, ok := r[name].(float64); !ok || n < 0 || n == 0 && name != "duration_seconds" {
			t.Errorf("%s: %v", name, r[name])
		}
	}
	for _, name := range []string{"start_lsn", "stop_lsn"} {
		if v, _ := r[name].(string); !regexp.MustCompile(`^[0-9A-F]+/[0-9A-F]+$`).MatchString(v) {
			t.Errorf("%s: %v", name, r[name])
		}
	}
	spaces, _ := r["tablespaces"].([]any)
	if len(spaces) != 1 {
		t.Fatalf("tablespaces: %v", r["tablespaces"])
	}
	if space := spaces[0].(map[string]any); space["oid"] != 0.0 || space["location"] != "" || space["path"] != dir || space["bytes"].(float64) <= 0 {
		t.Errorf("tablespace: %v", space)
	}
	if _, ok := r["error"]; ok {
		t.Errorf("a success has an error: %v", r)
	}
}

func TestFailuresAreToldWithWhatToDo(t *testing.T) {
	refusal := func(severity, code, message string) func(int) *pgfake.Message {
		m := pgfake.Error(severity, code, message)
		return func(int) *pgfake.Message { return &m }
	}
	changed := func(_ pgfake.BackupRequest, b *pgfake.BaseBackup) {
		tar := bytes.Clone(b.Archives[0].Tar)
		tar[bytes.Index(tar, []byte("base/1/1259_fsm   "))] = 'B'
		b.Archives[0].Tar = tar
	}
	const failed = "connection to server at \"127.0.0.1\", port PORT failed: "
	for _, c := range []struct {
		name    string
		cluster *pgfake.Cluster
		args    string
		want    string // after "error: "
	}{
		{"wrong password", &pgfake.Cluster{Refuse: refusal("FATAL", "28P01", "password authentication failed for user \"nobody\"")}, "",
			failed + "FATAL:  password authentication failed for user \"nobody\"\n" +
				"hint: Check user name and password. A password comes from the prompt (-W), the connection string, PGPASSWORD or the password file."},
		{"no pg_hba.conf entry", &pgfake.Cluster{Refuse: refusal("FATAL", "28000", "no pg_hba.conf entry for replication connection from host \"1\"")}, "",
			failed + "FATAL:  no pg_hba.conf entry for replication connection from host \"1\"\n" +
				"hint: Backups are replication connections: the server's pg_hba.conf needs a line such as \"host replication USER ADDRESS scram-sha-256\"."},
		{"unknown role", &pgfake.Cluster{Refuse: refusal("FATAL", "28000", "role \"x\" does not exist")}, "",
			failed + "FATAL:  role \"x\" does not exist"},
		{"no privilege", &pgfake.Cluster{Refuse: refusal("FATAL", "42501", "permission denied to start WAL sender")}, "",
			failed + "FATAL:  permission denied to start WAL sender\n" +
				"hint: Give the user the right to replicate: ALTER ROLE ... REPLICATION."},
		{"no walsender left", &pgfake.Cluster{Refuse: refusal("FATAL", "53300", "number of requested standby connections exceeds max_wal_senders (currently 1)")}, "",
			failed + "FATAL:  number of requested standby connections exceeds max_wal_senders (currently 1)\n" +
				"hint: Raise max_wal_senders on the server. -X stream, the default, takes two of them, -X fetch one."},
		{"starting up", &pgfake.Cluster{Refuse: refusal("FATAL", "57P03", "the database system is starting up")}, "",
			failed + "FATAL:  the database system is starting up\n" +
				"hint: The server is starting or shutting down: try again when it accepts connections."},
		{"ended by an administrator", &pgfake.Cluster{Tamper: pgfake.Replace(pgfake.At{Command: "BASE_BACKUP", Part: pgfake.PartData, N: 1},
			pgfake.Error("FATAL", "57P01", "terminating connection due to administrator command"), pgfake.Close(pgfake.FIN))}, "-X none",
			"could not read COPY data of base.tar: FATAL:  terminating connection due to administrator command\n" +
				"hint: The server's log may say why the connection ended. Take the backup again when the server is up.\n" +
				"removing data directory \"DIR\""},
		{"unknown slot", &pgfake.Cluster{}, "-S nope",
			"could not use replication slot \"nope\": COMMAND: ERROR:  replication slot \"nope\" does not exist\n" +
				"hint: Create it with -C/--create-slot, or leave out -S/--slot to use a temporary one.\n" +
				"removing data directory \"DIR\""},
		{"existing slot", &pgfake.Cluster{Slots: []pgfake.Slot{{Name: "s"}}}, "-C -S s",
			"COMMAND: ERROR:  replication slot \"s\" already exists\n" +
				"hint: Leave out -C/--create-slot to use the slot that is there.\n" +
				"removing data directory \"DIR\""},
		{"changed archive", &pgfake.Cluster{Edit: changed}, "",
			"checksum mismatch for file \"base/1/1259_fsm\"\n" +
				"hint: What arrived is not what the server read: take the backup again, and check network, memory and disks if this happens again.\n" +
				"removing data directory \"DIR\""},
		{"page checksums", &pgfake.Cluster{Edit: func(_ pgfake.BackupRequest, b *pgfake.BaseBackup) { b.Warnings = []string{"bad page"} }}, "",
			"checksum error occurred\n" +
				"detail: All data has arrived and was kept in \"DIR\", but it is not marked as a complete backup.\n" +
				"hint: The server's warnings name the damaged pages."},
		{"several tablespaces", &pgfake.Cluster{Data: pgfake.SmallData("18.4", "/fake/ts")}, "-Ft -D -",
			"can only write single tablespace to stdout, database has 2"},
		{"manifest into a compressed tar", &pgfake.Cluster{}, "-Ft -D - -X fetch -Z server-gzip",
			"cannot inject manifest into a compressed tar file\n" +
				"hint: Use client-side compression, send the output to a directory rather than standard output, or use --no-manifest."},
		{"configuration into a compressed tar", &pgfake.Cluster{}, "-Ft -X fetch -Z server-gzip -R",
			"cannot inject recovery configuration into a compressed tar file\n" +
				"hint: Use client-side compression, or leave out -R/--write-recovery-conf."},

		{"too old to stream", &pgfake.Cluster{Version: "9.2.1"}, "",
			"WAL streaming needs server version 9.3 or later, this server is 9.2.1\n" +
				"hint: Use -X none or -X fetch to disable log streaming."},
		{"too old for slots", &pgfake.Cluster{Version: "9.3.1"}, "-S s",
			"a replication slot needs server version 9.4 or later, this server is 9.3.1\n" +
				"hint: Leave out -S/--slot and -C/--create-slot."},
		{"too old for a rate", &pgfake.Cluster{Version: "9.3.1"}, "-r 100",
			"a maximum transfer rate needs server version 9.4 or later, this server is 9.3.1\n" +
				"hint: Leave out -r/--max-rate."},
		{"too old for manifests", &pgfake.Cluster{Version: "12.1"}, "--manifest-checksums=sha256",
			"a backup manifest needs server version 13 or later, this server is 12.1\n" +
				"hint: Leave out --manifest-checksums and --manifest-force-encode."},
		{"too old for targets", &pgfake.Cluster{Version: "14.1"}, "-X none -t blackhole",
			"a backup target needs server version 15 or later, this server is 14.1\n" +
				"hint: Leave out -t/--target and have the backup sent here with -D/--pgdata."},
		{"too old for compression", &pgfake.Cluster{Version: "14.1"}, "-Z server-gzip",
			"server-side compression needs server version 15 or later, this server is 14.1\n" +
				"hint: Use client-side compression."},
		{"too old for WAL behind a tar", &pgfake.Cluster{Version: "9.6.1"}, "-Ft -D -",
			"WAL streaming in tar mode to stdout without a named replication slot needs server version 10 or later, this server is 9.6.1\n" +
				"hint: Use -X fetch, or a slot of your own with -C and -S."},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.cluster.Version == "" {
				c.cluster.Version = "18.4"
			}
			s := pgfake.Serve(t, c.cluster)
			dir := filepath.Join(t.TempDir(), "b")
			args := strings.Fields("pg_basebackup " + c.args)
			if !slices.Contains(args, "-D") && !slices.Contains(args, "-t") {
				args = append(args, "-D", dir)
			}
			got := runIn(at(t, s), "", args...)
			want := ""
			for i, line := range strings.Split(strings.NewReplacer("PORT", strconv.Itoa(s.Port()), "DIR", dir).Replace(c.want), "\n") {
				if i == 0 {
					line = "error: " + line
				}
				want += "pg_basebackup: " + line + "\n"
			}
			stderr := got.stderr
			if c.name == "page checksums" {
				stderr = stderr[strings.Index(stderr, "pg_basebackup: "):] // behind the warnings
			}
			stderr = regexp.MustCompile(`could not send replication command ".*": ERROR`).ReplaceAllString(stderr, "COMMAND: ERROR")
			if stderr != want || got.status != 1 {
				t.Errorf("exit status %d:\n%s\nwant\n%s", got.status, got.stderr, want)
			}
			if _, err := os.Stat(dir); err == nil && c.name != "page checksums" {
				t.Errorf("%s was left", dir)
			}
		})
	}
}

func TestDirectoryThatIsNotEmptyIsLeftAlone(t *testing.T) {
	s := pgfake.Serve(t, &pgfake.Cluster{Version: "18.4"})
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "precious"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	got := runIn(at(t, s), "", "pg_basebackup", "-D", dir)
	want := "pg_basebackup: error: directory \"" + dir + "\" exists but is not empty\n" +
		"pg_basebackup: hint: Choose another directory, or remove or empty \"" + dir + "\".\n"
	if got != (output{"", want, 1}) {
		t.Errorf("%+v, want %s", got, want)
	}
	if _, err := os.Stat(filepath.Join(dir, "precious")); err != nil || baseBackup(s) != "" {
		t.Errorf("%v; server was asked %q", err, baseBackup(s))
	}
}

func TestErrorComesBeforeWhatWasCleanedUp(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "b")
	for _, c := range []struct{ args, last string }{
		{"", "removing data directory \"" + dir + "\""},
		{"-n", "data directory \"" + dir + "\" not removed at user's request"},
	} {
		s := pgfake.Serve(t, &pgfake.Cluster{Version: "18.4", Faults: func(n int) []pgfake.Fault {
			if n == 0 {
				return []pgfake.Fault{{After: 20000, Kind: pgfake.FIN}}
			}
			return nil
		}})
		got := runIn(at(t, s), "", append([]string{"pg_basebackup", "-D", dir}, strings.Fields(c.args)...)...)
		lines := strings.Split(strings.TrimSuffix(got.stderr, "\n"), "\n")
		if got.status != 1 || !strings.HasPrefix(lines[0], "pg_basebackup: error: ") || !strings.Contains(got.stderr, "server closed the connection unexpectedly") ||
			lines[len(lines)-1] != "pg_basebackup: "+c.last || !strings.Contains(got.stderr, "hint: The server's log may say why") {
			t.Errorf("%q: %+v", c.args, got)
		}
	}
}

func TestPasswordIsAskedForOnceAndTakenFromTheInput(t *testing.T) {
	for _, c := range []struct {
		args, stdin string
		status      int
		prompts     int
	}{
		{"", "secret\n", 0, 1},
		{"-W", "secret\n", 0, 1},
		{"", "wrong\n", 1, 1},
		{"-w", "secret\n", 1, 0},
	} {
		s := pgfake.Serve(t, &pgfake.Cluster{Version: "18.4", Password: "secret"})
		got := runIn(at(t, s), c.stdin, append([]string{"pg_basebackup", "-D", filepath.Join(t.TempDir(), "b")}, strings.Fields(c.args)...)...)
		if got.status != c.status || strings.Count(got.stderr, "Password: ") != c.prompts {
			t.Errorf("%q %q: %+v", c.args, c.stdin, got)
		}
	}
}

func TestRecoveryConfigurationHoldsTheConnection(t *testing.T) {
	s := pgfake.Serve(t, &pgfake.Cluster{Version: "18.4", Password: "se'cret"})
	env := at(t, s)
	env["PGAPPNAME"] = "my app"
	dir := filepath.Join(t.TempDir(), "b")
	got := runIn(env, "se'cret\n", "pg_basebackup", "-D", dir, "-R", "-C", "-S", "standby1", "-d", "dbname=sync sslmode=disable")
	if got.status != 0 {
		t.Fatalf("%+v", got)
	}
	conf, err := os.ReadFile(filepath.Join(dir, "postgresql.auto.conf"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"primary_conninfo = 'user=nobody", "password=''se\\\\''cret''", "port=" + env["PGPORT"], "application_name=''my app''", "sslmode=disable", "dbname=sync",
		"primary_slot_name = 'standby1'",
	} {
		if !strings.Contains(string(conf), want) {
			t.Errorf("postgresql.auto.conf lacks %q:\n%s", want, conf)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "standby.signal")); err != nil {
		t.Error(err)
	}
}
