package basebackup_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/basebackup"
	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/internal/durable"
	"github.com/pgbasin/pgbasin/internal/pgfake"
	"github.com/pgbasin/pgbasin/replproto"
)

// The recordings are of a real server 9.5.3 with a tablespace at /tmp/rec/ts.
const (
	recordedSystem   = 7710876247589456981
	recordedLocation = "/tmp/rec/ts"
	recordedSpace    = "16387"
)

func TestPlainBackupOfTheRecorded95(t *testing.T) {
	s := pgfake.Replay(t, "plain_stream.1", "plain_stream.2")
	dir := t.TempDir()
	path, space, walDir := filepath.Join(dir, "data"), filepath.Join(dir, "space"), filepath.Join(dir, "xlog")
	result, err := basebackup.Run(context.Background(), basebackup.Options{
		Connect: connector(t, s), FastCheckpoint: true,
		PrimaryConnInfo: func(replproto.Version) string { return `user=repl password='it''s'` },
	}, basebackup.Plain(basebackup.PlainOptions{
		Path: path, WALDir: walDir, Sync: durable.Fsync,
		Tablespaces: []basebackup.TablespaceMapping{{Old: recordedLocation + "/", New: space}},
	}))
	if err != nil {
		t.Fatal(err)
	}
	if result.SystemID != recordedSystem || result.Start != 0x5000028 || result.Stop != 0x50000C0 || result.Timeline != 1 ||
		result.Manifest || result.Verified || len(result.Tablespaces) != 2 || result.WALBytes != 16<<20 {
		t.Errorf("result: %+v", result)
	}
	files := readTree(t, path)
	for name, want := range map[string]string{
		"PG_VERSION":                 "9.5\n",
		"pg_tblspc/" + recordedSpace: "-> " + space,
		"pg_xlog":                    "-> " + walDir,
		"recovery.conf":              "standby_mode = 'on'\nprimary_conninfo = 'user=repl password=''it''''s'''\n",
	} {
		if files[name] != want {
			t.Errorf("%s is %q, want %q", name, files[name], want)
		}
	}
	if len(files["global/pg_control"]) != 8192 || !strings.Contains(files["backup_label"], "START WAL LOCATION: 0/5000028") {
		t.Errorf("pg_control has %d bytes, backup_label is %q", len(files["global/pg_control"]), files["backup_label"])
	}
	log := readTree(t, walDir)
	const segment = "000000010000000000000005"
	if len(log[segment]) != 16<<20 || !strings.HasPrefix(log[segment], "\x87\xd0") {
		t.Errorf("segment %s has %d bytes; there are %s", segment, len(log[segment]), names(log))
	}
	if _, done := log["archive_status/"+segment+".done"]; !done {
		t.Errorf("no archive status; there are %s", names(log))
	}
	spaceFiles := readTree(t, space)
	if len(spaceFiles) == 0 || !strings.Contains(names(spaceFiles), "PG_9.5_") {
		t.Errorf("the tablespace holds %s", names(spaceFiles))
	}
	for _, dir := range []string{path, space, walDir, filepath.Join(path, "base")} {
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", dir, info, err)
		}
	}
}

func TestTarBackupsOfTheRecorded95(t *testing.T) {
	for _, a := range []codec.Algorithm{codec.None, codec.Gzip} {
		s := pgfake.Replay(t, "tar_fetch.1")
		path := filepath.Join(t.TempDir(), "b")
		result, err := basebackup.Run(context.Background(), basebackup.Options{
			Connect: connector(t, s), FastCheckpoint: true, WAL: basebackup.WALFetch, Label: `lab: "x" mode`,
		}, basebackup.TarDirectory(basebackup.TarOptions{Path: path, Compression: codec.Spec{Algorithm: a}}))
		if err != nil {
			t.Fatal(err)
		}
		if result.Start != 0x4000028 || result.Stop != 0x40000C0 || result.Files == 0 {
			t.Errorf("result: %+v", result)
		}
		entries, _ := os.ReadDir(path)
		if len(entries) != 2 || entries[0].Name() != recordedSpace+".tar"+a.Suffix() || entries[1].Name() != "base.tar"+a.Suffix() {
			t.Errorf("the backup holds %v", entries)
		}
		files := readTarDirectory(t, path)
		if files["tablespace_map"] != recordedSpace+" "+recordedLocation+"\n" {
			t.Errorf("tablespace_map is %q", files["tablespace_map"])
		}
		if len(files["pg_xlog/000000010000000000000004"]) != 16<<20 || !strings.Contains(files["backup_label"], `LABEL: lab: "x" mode`) {
			t.Errorf("backup_label is %q; there are %s", files["backup_label"], names(files))
		}
	}
}

func TestOneTarOfTheRecorded95IsRefusedForItsTablespace(t *testing.T) {
	s := pgfake.Replay(t, "tar_fetch.1")
	var out bytes.Buffer
	_, err := basebackup.Run(context.Background(), basebackup.Options{Connect: connector(t, s), WAL: basebackup.WALFetch}, basebackup.TarStream(&out, codec.Spec{}))
	if err == nil || err.Error() != "can only write single tablespace to stdout, database has 2" || out.Len() != 0 {
		t.Errorf("error: %v; %d bytes written", err, out.Len())
	}
}
