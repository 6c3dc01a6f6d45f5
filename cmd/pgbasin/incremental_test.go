package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/internal/pgfake"
)

// manifestFile writes a manifest of a backup of the cluster with system identifier
// 42, with something changed.
func manifestFile(t *testing.T, change func(*pgfake.Manifest)) string {
	t.Helper()
	m := pgfake.Manifest{Version: 2, SystemID: 42, Ranges: []pgfake.WALRange{{Timeline: 1, Start: 0x1000028, End: 0x1000100}}}
	if change != nil {
		change(&m)
	}
	path := filepath.Join(t.TempDir(), "backup_manifest")
	if err := os.WriteFile(path, m.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestIncrementalRefusalsAreToldWithWhatToDo(t *testing.T) {
	good := manifestFile(t, nil)
	directory := t.TempDir()
	script := filepath.Join(directory, "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	old := manifestFile(t, func(m *pgfake.Manifest) { m.Version = 1 })
	other := manifestFile(t, func(m *pgfake.Manifest) { m.SystemID = 43 })
	upload := func(message string, fields ...pgfake.Field) *pgfake.Cluster {
		m := pgfake.Error("ERROR", "55000", message, fields...)
		return &pgfake.Cluster{RefuseManifest: func(_ []byte, whole bool) *pgfake.Message {
			if !whole {
				return nil
			}
			return &m
		}}
	}
	// backup is a server that refuses the backup as such. What it says is what
	// servers of 17 and 18 say.
	backup := func(message string, fields ...pgfake.Field) *pgfake.Cluster {
		return &pgfake.Cluster{Tamper: pgfake.Replace(pgfake.At{Command: "BASE_BACKUP", Part: pgfake.PartStart, N: pgfake.Any},
			pgfake.Error("ERROR", "55000", message, fields...), pgfake.ReadyForQuery(), pgfake.Close(pgfake.Hang))}
	}
	const refused = "could not initiate base backup: ERROR:  "
	for _, c := range []struct {
		name, manifest string
		cluster        *pgfake.Cluster
		want, dropIn   string // after "error: "
	}{
		{"too old", good, &pgfake.Cluster{Version: "16.14"},
			"an incremental backup needs server version 17 or later, this server is 16.14\nhint: Leave out -i/--incremental to take a full backup.",
			"server does not support incremental backup\nhint: Leave out -i/--incremental to take a full backup."},
		{"no such file", "/no/such/file", nil, "could not open file \"/no/such/file\": No such file or directory", ""},
		{"empty name", "", nil, "could not open file \"\": No such file or directory", ""},
		{"a directory", directory, nil, "could not read backup manifest: could not read file \"" + directory + "\": Is a directory", ""},
		{"no manifest", script, nil, "could not use manifest \"" + script + "\": could not parse backup manifest: Token \"#\" is invalid. (line 1, byte 0)\n" +
			"hint: -i/--incremental takes the backup_manifest of the backup to build on, unchanged.", ""},
		{"an old manifest", old, nil, "could not use manifest \"" + old + "\": backup manifest version 1 does not support incremental backup\n" +
			"hint: The manifest is of a server before 17: take a full backup, without -i/--incremental.", ""},
		{"another cluster's", other, nil, "could not use manifest \"" + other + "\": system identifier in backup manifest is 43, but database system identifier is 42\n" +
			"hint: The manifest is of a backup of another cluster: name one of this cluster, or take a full backup, without -i/--incremental.", ""},
		{"refused as it is uploaded", good, upload("something new"), "could not upload manifest: ERROR:  something new\nremoving data directory \"DIR\"", ""},
		{"not summarized", good, backup("incremental backups cannot be taken unless WAL summarization is enabled"),
			refused + "incremental backups cannot be taken unless WAL summarization is enabled\n" +
				"hint: Set summarize_wal = on on the server, reload it, and take a full backup, without -i/--incremental: the next one can build on that.\n" +
				"removing data directory \"DIR\"", ""},
		{"summaries gone", good, backup("WAL summaries are required on timeline 1 from 0/2000028 to 0/4000028, but the summaries for that timeline and LSN range are incomplete",
			pgfake.Detail("The first unsummarized LSN in this range is 0/2000028.")),
			refused + "WAL summaries are required on timeline 1 from 0/2000028 to 0/4000028, but the summaries for that timeline and LSN range are incomplete\n" +
				"DETAIL:  The first unsummarized LSN in this range is 0/2000028.\n" +
				"hint: The server has no record of what changed since the backup to build on, because summarize_wal was off for a while or summaries are kept" +
				" for less time than passes between backups (wal_summary_keep_time): take a full backup, without -i/--incremental.\n" +
				"removing data directory \"DIR\"", ""},
		{"a timeline that is not the server's", good, backup("timeline 3 found in manifest, but not in this server's history"),
			refused + "timeline 3 found in manifest, but not in this server's history\n" +
				"hint: The backup to build on was taken on a timeline that does not lead to where this server is: take a full backup, without -i/--incremental.\n" +
				"removing data directory \"DIR\"", ""},
		{"WAL of another past", good, backup("manifest requires WAL from initial timeline 2 starting at 0/2000028, but that timeline begins at 0/3000000"),
			refused + "manifest requires WAL from initial timeline 2 starting at 0/2000028, but that timeline begins at 0/3000000\n" +
				"hint: The backup to build on is not of this server's past: take a full backup, without -i/--incremental.\n" +
				"removing data directory \"DIR\"", ""},
		{"a standby with nothing new", good, backup("manifest requires WAL from final timeline 1 ending at 0/2000028, but this backup starts at 0/2000000", pgfake.Hint("This can happen.")),
			refused + "manifest requires WAL from final timeline 1 ending at 0/2000028, but this backup starts at 0/2000000\nHINT:  This can happen.\n" +
				"removing data directory \"DIR\"", ""},
		{"a file that is none", good, &pgfake.Cluster{Data: &pgfake.Data{Files: []pgfake.File{{Path: "base/1/INCREMENTAL.7", Data: make([]byte, 12)}, {Path: "pg_tblspc/"}}}},
			"file \"base/1/INCREMENTAL.7\" has bad incremental magic number (0x0 not 0xd3ae1f0d)\n" +
				"hint: What arrived is not what the server read: take the backup again, and check network, memory and disks if this happens again.\n" +
				"removing data directory \"DIR\"", ""},
		{"a summarizer that stands", good, backup("WAL summarization is not progressing", pgfake.Detail("it is stuck")),
			refused + "WAL summarization is not progressing\nDETAIL:  it is stuck\n" +
				"hint: The server's log may say why its WAL summarizer does not go on.\nremoving data directory \"DIR\"", ""},
	} {
		for _, name := range []string{"pgbasin", "pg_basebackup"} {
			t.Run(c.name+"/"+name, func(t *testing.T) {
				cluster := pgfake.Cluster{}
				if c.cluster != nil {
					cluster.Version, cluster.Data = c.cluster.Version, c.cluster.Data
					cluster.Tamper, cluster.RefuseManifest = c.cluster.Tamper, c.cluster.RefuseManifest
				}
				if cluster.SystemID = 42; cluster.Version == "" {
					cluster.Version = "18.4"
				}
				dir := filepath.Join(t.TempDir(), "b")
				args := []string{name, "-D", dir, "-i", c.manifest}
				text := c.want
				if name == "pgbasin" {
					args = append([]string{name, "backup"}, args[1:]...)
				} else if c.dropIn != "" {
					text = c.dropIn
				}
				got := runIn(at(t, pgfake.Serve(t, &cluster)), "", args...)
				want := ""
				for i, line := range strings.Split(strings.ReplaceAll(text, "DIR", dir), "\n") {
					switch {
					case i == 0:
						line = name + ": error: " + line
					case !strings.HasPrefix(line, "DETAIL") && !strings.HasPrefix(line, "HINT"):
						line = name + ": " + line
					}
					want += line + "\n"
				}
				if got != (output{"", want, 1}) {
					t.Errorf("exit status %d:\n%s\nwant\n%s", got.status, got.stderr, want)
				}
				if _, err := os.Stat(dir); err == nil {
					t.Errorf("%s was left", dir)
				}
			})
		}
	}
}

func TestIncrementalBackupsAreAskedForAndReported(t *testing.T) {
	for _, c := range []struct {
		args, options string
	}{
		{"-Fp", "MANIFEST 'yes'"},
		{"-Ft -Zzstd", "TABLESPACE_MAP, MANIFEST 'yes'"},
		{"-Ft --no-manifest", "TABLESPACE_MAP"},
	} {
		cluster := &pgfake.Cluster{Version: "18.4", SystemID: 42}
		s := pgfake.Serve(t, cluster)
		args := append([]string{"pgbasin", "backup", "--json", "-D", filepath.Join(t.TempDir(), "b"), "--incremental", manifestFile(t, nil)}, strings.Fields(c.args)...)
		got := runIn(at(t, s), "", args...)
		var r map[string]any
		if err := json.Unmarshal([]byte(got.stdout), &r); err != nil || got.status != 0 || got.stderr != "" {
			t.Fatalf("%s: %v: %+v", c.args, err, got)
		}
		if r["incremental"] != true || r["incremental_from_lsn"] != "0/1000028" || r["incremental_from_timeline"] != 1.0 {
			t.Errorf("%s: %v", c.args, r)
		}
		want := "BASE_BACKUP (INCREMENTAL, LABEL 'pgbasin base backup', PROGRESS, WAIT 0, TARGET 'client', " + c.options + ")"
		if got := baseBackup(s); sortedOptions(got) != sortedOptions(want) {
			t.Errorf("%s:\n%s\nwant\n%s", c.args, got, want)
		}
	}
}

func TestAFullBackupIsReportedAsOne(t *testing.T) {
	s := pgfake.Serve(t, &pgfake.Cluster{Version: "18.4"})
	got := runIn(at(t, s), "", "pgbasin", "backup", "--json", "-D", filepath.Join(t.TempDir(), "b"))
	if !strings.Contains(got.stdout, `"incremental":false`) || strings.Contains(got.stdout, "incremental_from") {
		t.Errorf("%+v", got)
	}
}
