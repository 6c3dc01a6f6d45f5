package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/internal/pgfake"
)

func TestServersRefusalsOfReceiveReadLikeThoseOfPgReceivewal(t *testing.T) {
	s := newServer(t)
	dir := t.TempDir()
	env := environment(s, dir)
	s.Exec(t, "select pg_create_physical_replication_slot('there')")
	for _, line := range []string{
		"-D DIR -h 127.0.0.1 -U repl -w",
		"-D DIR -d password=wrong -h 127.0.0.1 -U repl -w",
		"-D DIR -h 127.0.0.1 -U rejected",
		"-D DIR -h 127.0.0.1 -U unprivileged",
		"-D DIR -h 127.0.0.1 -p 1",
		"-D DIR -n -S none",
		"--create-slot -S there",
		"--create-slot -S A",
		"--drop-slot -S none",
		"--create-slot --if-not-exists -S there -v",
		"-D DIR -E 0/1 -v",
	} {
		args := strings.Fields(strings.ReplaceAll(line, "DIR", dir))
		want := runReceiveOracle(t, env, args...)
		got := runIn(env, "", append([]string{receiveOracle}, args...)...)
		first, _, _ := strings.Cut(want.stderr, "pg_receivewal: error: disconnected\n")
		if want.status == 0 && got != want || !strings.HasPrefix(got.stderr, first) || got.status != want.status || want.stdout != got.stdout {
			t.Errorf("%s: %+v\nwant\n%+v", line, got, want)
		}
	}
}

func TestVerboseMessagesAreThoseOfPgReceivewal(t *testing.T) {
	const segment = 1 << 20
	c := &pgfake.Cluster{Version: "18.4", SegmentSize: segment, Flush: 5*segment + 200000, Ancestors: []pgfake.Ancestor{{Timeline: 1, Switch: 3*segment + 5000}}}
	s := pgfake.Serve(t, c)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "000000010000000000000001"), make([]byte, segment), 0o600); err != nil {
		t.Fatal(err)
	}
	got := runIn(at(t, s), "", "pg_receivewal", "-D", dir, "-v", "-Z", "lz4", "-E", fmt.Sprintf("0/%X", 5*segment+100))
	want := `pg_receivewal: starting log streaming at 0/200000 (timeline 1)
pg_receivewal: finished segment at 0/300000 (timeline 1)
pg_receivewal: not renaming "000000010000000000000003.lz4.partial", segment is not complete
pg_receivewal: switched to timeline 2 at 0/301388
pg_receivewal: finished segment at 0/400000 (timeline 2)
pg_receivewal: finished segment at 0/500000 (timeline 2)
pg_receivewal: not renaming "000000020000000000000005.lz4.partial", segment is not complete
pg_receivewal: stopped log streaming at 0/5XXXXX (timeline 2)
`
	if text := regexp.MustCompile(`at 0/5[0-9A-F]{5} \(timeline 2\)\n$`).ReplaceAllString(got.stderr, "at 0/5XXXXX (timeline 2)\n"); text != want || got.stdout != "" || got.status != 0 {
		t.Errorf("%+v, want\n%s", got, want)
	}
}

func TestLossesAreToldAsByPgReceivewal(t *testing.T) {
	const segment = 1 << 20
	c := &pgfake.Cluster{Version: "18.4", SegmentSize: segment, Flush: 3*segment + 200000}
	c.Faults = func(n int) []pgfake.Fault {
		if n == 0 {
			return []pgfake.Fault{{After: 100000, Kind: pgfake.FIN}}
		}
		return nil
	}
	s := pgfake.Serve(t, c)
	for _, loop := range []bool{false, true} {
		args := []string{"pg_receivewal", "-D", t.TempDir(), "-E", "0/300000"}
		want, status := "pg_receivewal: error: server closed the connection unexpectedly\npg_receivewal: disconnected; waiting 1 seconds to try again\n"+
			"pg_receivewal: not renaming \"000000010000000000000003.partial\", segment is not complete\n", 0
		if !loop {
			args = append(args, "-n")
			want, status = "pg_receivewal: error: server closed the connection unexpectedly\npg_receivewal: error: disconnected\n", 1
		} else {
			s = pgfake.Serve(t, &pgfake.Cluster{Version: "18.4", SegmentSize: segment, Flush: 3*segment + 200000, Faults: c.Faults})
		}
		if got := runIn(at(t, s), "", args...); got != (output{"", want, status}) {
			t.Errorf("%+v\nwant\n%s", got, want)
		}
	}
}

func TestReceiveSaysWhatToDo(t *testing.T) {
	const segment = 1 << 20
	for name, c := range map[string]struct {
		cluster *pgfake.Cluster
		there   []string
		args    string
		want    string
	}{
		"removed WAL": {&pgfake.Cluster{Version: "18.4", OldestLog: 40 * segment, Flush: 41 * segment}, []string{"000000010000000000000001"}, "",
			"hint: The archive cannot be continued: move its segments elsewhere, begin again, and take a base backup. With a replication slot"},
		"no slot": {&pgfake.Cluster{Version: "18.4"}, nil, "-S none", "error: replication slot \"none\" does not exist\npg_receivewal: hint: Create it with --create-slot, or leave out -S/--slot.\n"},
		"gap": {&pgfake.Cluster{Version: "18.4"}, []string{"000000010000000000000001", "000000010000000000000003"}, "",
			"between \"000000010000000000000001\" and \"000000010000000000000003\"\npg_receivewal: hint: Put the missing segments there, or move \"000000010000000000000001\" and all that is older elsewhere"},
		"wrong size": {&pgfake.Cluster{Version: "18.4", OldestLog: 40 * segment, Flush: 41 * segment}, []string{"000000010000000000000001", "000000010000000000000002 short"}, "",
			"pg_receivewal: warning: segment file \"000000010000000000000002\" has incorrect size 10, skipping\n"},
		"another branch": {&pgfake.Cluster{Version: "18.4", Timeline: 3, Ancestors: []pgfake.Ancestor{{Timeline: 1, Switch: segment}}}, []string{"000000020000000000000001"}, "",
			"error: timeline 2 is not in the history of timeline 3, which the server is on\npg_receivewal: hint: The server was restored or promoted"},
	} {
		t.Run(name, func(t *testing.T) {
			c.cluster.SegmentSize = segment
			s := pgfake.Serve(t, c.cluster)
			dir := t.TempDir()
			for _, name := range c.there {
				content := make([]byte, segment)
				name, short := strings.CutSuffix(name, " short")
				if short {
					content = content[:10]
				}
				if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			got := runIn(at(t, s), "", append([]string{"pg_receivewal", "-D", dir}, strings.Fields(c.args)...)...)
			if !strings.Contains(got.stderr, c.want) || got.status != 1 || strings.Contains(got.stderr, "waiting") {
				t.Errorf("%+v\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestSlotWithoutSyncIsWarnedAbout(t *testing.T) {
	c := &pgfake.Cluster{Version: "18.4", Slots: []pgfake.Slot{{Name: "s"}}}
	s := pgfake.Serve(t, c)
	got := runIn(at(t, s), "", "pg_receivewal", "-D", t.TempDir(), "-S", "s", "--no-sync", "-E", "0/1")
	if !strings.HasPrefix(got.stderr, "pg_receivewal: warning: replication slot \"s\" does not advance") || got.status != 0 {
		t.Errorf("%+v", got)
	}
}
