package backupset_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/backupset"
	"github.com/pgbasin/pgbasin/basebackup"
	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/internal/durable"
	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// source is a server with a tablespace that has a table in it.
func source(t *testing.T, major int) (s *pgtest.Server, location string, oid uint32) {
	s = pgtest.Start(t, major, pgtest.WALSegSize(1))
	location = s.CreateTablespace(t, "space")
	s.Exec(t, "create table kept (n int) tablespace space; insert into kept select generate_series(1, 5000); create table t (n int); insert into t select generate_series(1, 20000)")
	n, err := strconv.Atoi(s.QueryString(t, "select oid::text from pg_tablespace where spcname = 'space'"))
	if err != nil {
		t.Fatal(err)
	}
	return s, location, uint32(n)
}

func TestEveryFormOfOneBackupReadsTheSame(t *testing.T) {
	s, location, oid := source(t, 15)
	dir := t.TempDir()
	plain, space, walDir, tars := filepath.Join(dir, "plain"), filepath.Join(dir, "space"), filepath.Join(dir, "wal"), filepath.Join(dir, "tars")
	result := backup(t, s, basebackup.Plain(basebackup.PlainOptions{
		Path: plain, WALDir: walDir, Sync: durable.NoSync, Tablespaces: []basebackup.TablespaceMapping{{Old: location, New: space}},
	}), basebackup.Options{})
	want := contents{}
	tree(t, plain, "", want)
	tree(t, walDir, "pg_wal/", want)
	under := "pg_tblspc/" + strconv.Itoa(int(oid))
	tree(t, space, under+"/", want)
	delete(want, "backup_manifest")
	want["pg_wal"] = "dir" // its link is followed

	set := open(t, plain)
	got := readAll(t, set)
	same(t, got, want)
	if got[under] != "-> "+space {
		t.Errorf("the tablespace's link is %q", got[under])
	}
	h := peek(t, set)
	if set.Form != backupset.Plain || h.Version != 150000 || h.SystemID != result.SystemID || h.Control == nil || h.Label.Start != result.Start || h.Manifest == nil || h.StaleManifest || !h.All || h.ByHand {
		t.Errorf("%v, %+v", set.Form, h)
	}
	if stop, tli, ok := h.Stop(); !ok || stop != result.Stop || tli != 1 {
		t.Errorf("stop %v, want %v", stop, result.Stop)
	}
	if len(h.Tablespaces) != 1 || h.Tablespaces[0] != (backupset.TablespaceInfo{TablespaceLink: h.Tablespaces[0].TablespaceLink, Where: backupset.InArchive}) ||
		h.Tablespaces[0].OID != oid || h.Tablespaces[0].Location != space {
		t.Errorf("tablespaces: %+v", h.Tablespaces)
	}
	if d := describe(t, set); len(d.Problems) != 0 || d.Incremental || d.Stored <= d.Bytes || d.Contents[1].Bytes == 0 || d.WAL.Segments == 0 {
		t.Errorf("description: %+v", d)
	}

	// A backup in tar files, and what other compression makes of it.
	result = backup(t, s, basebackup.TarDirectory(basebackup.TarOptions{Path: tars, Sync: durable.NoSync}), basebackup.Options{})
	set = open(t, tars)
	wantTars := readAll(t, set)
	for _, a := range []codec.Algorithm{codec.None, codec.Gzip, codec.LZ4, codec.Zstd} {
		t.Run(a.String(), func(t *testing.T) {
			path := tars
			if a != codec.None {
				path = t.TempDir()
				for _, name := range []string{"base.tar", "pg_wal.tar", strconv.Itoa(int(oid)) + ".tar"} {
					// The suffix is that of another method: content counts.
					recompress(t, filepath.Join(tars, name), filepath.Join(path, name+".gz"), a)
				}
				if err := os.Link(filepath.Join(tars, "backup_manifest"), filepath.Join(path, "backup_manifest")); err != nil {
					t.Fatal(err)
				}
			}
			set := open(t, path)
			if set.Form != backupset.TarDirectory || len(set.Archives) != 3 || set.Archives[1].OID != oid || set.Archives[2].Kind != backupset.WAL || set.Archives[0].Compression != a {
				t.Fatalf("%v: %+v", set.Form, set.Archives)
			}
			h := peek(t, set)
			if h.Version != 150000 || h.Label.Start != result.Start || h.Manifest == nil || h.Manifest.Files == 0 || h.Manifest.Bytes == 0 ||
				h.All != (a == codec.None) || (h.Control != nil) != (a == codec.None) {
				t.Errorf("%+v", h)
			}
			if len(h.Tablespaces) != 1 || h.Tablespaces[0].Where != backupset.InArchive || h.Tablespaces[0].Location != location {
				t.Errorf("tablespaces: %+v", h.Tablespaces)
			}
			same(t, readAll(t, set), wantTars)
			if a == codec.Gzip {
				return // the rest takes long under the race detector, and LZ4 and zstd have it
			}
			d := describe(t, set)
			if len(d.Problems) != 0 || d.Control == nil || d.SystemID != result.SystemID || d.WAL.Segments == 0 || d.Bytes == 0 || d.Contents[1].Bytes == 0 {
				t.Errorf("%+v", d)
			}
			m, err := set.OpenManifest()
			if err != nil {
				t.Fatal(err)
			}
			m.Close()

			// Without the manifest the version comes from the tablespace's directory.
			if err := os.Rename(filepath.Join(path, "backup_manifest"), filepath.Join(path, "elsewhere")); err != nil {
				t.Fatal(err)
			}
			set = open(t, path)
			if h := peek(t, set); h.Version != 150000 || h.Manifest != nil || len(set.Unknown) != 1 {
				t.Errorf("without manifest: %+v", h)
			}
			if _, err := set.OpenManifest(); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("without manifest: %v", err)
			}
			if err := os.Rename(filepath.Join(path, "elsewhere"), filepath.Join(path, "backup_manifest")); err != nil {
				t.Fatal(err)
			}

			// And without the tablespace it is no whole backup.
			hidden := set.Archives[1].Path()
			if err := os.Rename(hidden, hidden+".away"); err != nil {
				t.Fatal(err)
			}
			set = open(t, path)
			if h := peek(t, set); len(h.Tablespaces) != 1 || h.Tablespaces[0].Where != backupset.Nowhere {
				t.Errorf("without a tablespace: %+v", h.Tablespaces)
			}
			if d := describe(t, set); len(d.Problems) != 2 || !strings.Contains(d.Problems[0], "tablespace "+strconv.Itoa(int(oid))) || !strings.Contains(d.Problems[1], under) {
				t.Errorf("without a tablespace: %q", d.Problems)
			}
			if err := os.Rename(hidden+".away", hidden); err != nil {
				t.Fatal(err)
			}
		})
	}

	same(t, wantTars.files("backup_label", "pg_wal", "global/pg_control", "tablespace_map"), want.files("backup_label", "pg_wal", "global/pg_control"))
}

func TestABackupOfPgBasebackupIsRead(t *testing.T) {
	s, location, oid := source(t, 15)
	tool, err := s.Install().Path("pg_basebackup")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	run(t, dir, tool, "-d", s.DSN(), "-D", "tgz", "-Ft", "-z", "-c", "fast")
	run(t, dir, tool, "-d", s.DSN(), "-D", "plain", "-c", "fast", "-T", location+"="+filepath.Join(dir, "space"), "-X", "fetch")
	for _, name := range []string{"tgz", "plain"} {
		set := open(t, filepath.Join(dir, name))
		h := peek(t, set)
		if h.Version != 150000 || h.Label == nil || h.Manifest == nil || len(h.Tablespaces) != 1 || h.Tablespaces[0].OID != oid || h.Tablespaces[0].Where != backupset.InArchive {
			t.Errorf("%s: %+v", name, h)
		}
		if d := describe(t, set); len(d.Problems) != 0 || d.WAL.Segments == 0 {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

func TestOneTarIsReadFromAFileAndFromStandardInput(t *testing.T) {
	s := pgtest.Start(t, 15, pgtest.WALSegSize(1))
	s.Exec(t, "create table t as select g, repeat('x', 100) from generate_series(1, 20000) g")
	var stream bytes.Buffer
	result := backup(t, s, basebackup.TarStream(&stream, codec.Spec{}), basebackup.Options{})
	dir := t.TempDir()
	file := filepath.Join(dir, "stream")
	write(t, file, stream.String())
	want := readAll(t, open(t, file))
	if want["backup_manifest"] == "" || want["global/pg_control"] == "" || len(want.files()) == 0 {
		t.Fatalf("%d members", len(want))
	}
	for _, a := range []codec.Algorithm{codec.None, codec.Gzip, codec.LZ4, codec.Zstd} {
		path := file
		if a != codec.None {
			path = filepath.Join(dir, a.String())
			recompress(t, file, path, a)
		}
		set := open(t, path)
		h := peek(t, set)
		if set.Form != backupset.Tar || h.Version != 150000 || h.Label.Start != result.Start || set.Archives[0].Compression != a {
			t.Errorf("%v: %+v", a, h)
		}
		if (h.Manifest != nil) != (a == codec.None) {
			t.Errorf("%v: manifest %+v", a, h.Manifest)
		}
		same(t, readAll(t, set), want)
		d := describe(t, set)
		if len(d.Problems) != 0 || d.Manifest == nil || d.WAL.Segments == 0 || d.SystemID != result.SystemID {
			t.Errorf("%v: %+v", a, d)
		}
		if stop, _, ok := d.Stop(); !ok || stop != result.Stop {
			t.Errorf("%v: stop %v, want %v", a, stop, result.Stop)
		}

		for _, first := range []string{"peek", "read", "describe"} {
			if a == codec.Gzip && first != "peek" {
				continue // takes long under the race detector
			}
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			// Reads that are cut short, as those of a pipe are.
			set, err := backupset.Open("-", backupset.Options{Stdin: &short{f}})
			if err != nil {
				t.Fatal(err)
			}
			if first == "describe" {
				d := describe(t, set)
				if len(d.Problems) != 0 || d.Manifest == nil || d.Stored != -1 || d.Version != 150000 {
					t.Errorf("%v: %+v", a, d)
				}
			} else {
				if first == "peek" {
					if h := peek(t, set); h.Label == nil || h.Label.Start != result.Start || !h.TablespaceMap || h.All {
						t.Errorf("%v: %+v", a, h)
					}
				}
				same(t, readAll(t, set), want)
			}
			if err := set.Read(context.Background(), set.Data(), &collector{into: contents{}}); err == nil {
				t.Error("standard input was read twice")
			}
			f.Close()
		}
	}
}

type short struct{ f *os.File }

func (s *short) Read(p []byte) (int, error) { return s.f.Read(p[:min(len(p), 7001)]) }
