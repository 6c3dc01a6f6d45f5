package basebackup_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/basebackup"
	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/incremental"
	"github.com/pgbasin/pgbasin/internal/pgfake"
	"github.com/pgbasin/pgbasin/replproto"
)

// source is a manifest that says what becomes of it.
type source struct {
	io.Reader
	closed int
}

func (s *source) Close() error { s.closed++; return nil }

// given opens a manifest as Options.PreviousManifest does.
func given(b []byte) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return &source{Reader: bytes.NewReader(b)}, nil }
}

// before is a manifest of a backup of the cluster with system identifier 42.
func before() pgfake.Manifest {
	return pgfake.Manifest{
		Version: 2, SystemID: 42, Files: []pgfake.File{{Path: "PG_VERSION", Data: []byte("18\n")}},
		Ranges: []pgfake.WALRange{{Timeline: 1, Start: 0x1000028, End: 0x1000100}},
	}
}

func TestIncrementalBackupsInEveryFormHoldWhatTheServerSends(t *testing.T) {
	for _, version := range []string{"17.10", "18.4"} {
		for _, f := range []form{plainForm, tarForm(codec.None), tarForm(codec.Zstd), oneForm} {
			for _, server := range []string{"", "gzip", "zstd"} {
				if server != "" && (f.name == oneForm.name || f.name == tarForm(codec.Zstd).name) {
					continue // refused, in TestRefusals
				}
				for _, verify := range []bool{true, false} {
					t.Run(fmt.Sprintf("%s/%s/%s/%v", version, f.name, server, verify), func(t *testing.T) {
						dir := t.TempDir()
						location := filepath.Join(dir, "space")
						if f.name == oneForm.name {
							location = ""
						}
						c := &pgfake.Cluster{Version: version, SystemID: 42, Data: pgfake.SmallData(version, location)}
						s := pgfake.Serve(t, c)
						path := filepath.Join(dir, "backup")
						var out bytes.Buffer
						m := before().Bytes()
						result, err := basebackup.Run(context.Background(), basebackup.Options{
							Connect: connector(t, s), ServerCompression: server, NoVerify: !verify, PreviousManifest: given(m),
						}, f.make(path, &out))
						if err != nil {
							t.Fatal(err)
						}
						looked := verify || server == "" || f.name == plainForm.name
						if !result.Incremental || result.Verified != verify || (result.From == 0x1000028) != looked || (result.FromTimeline == 1) != looked {
							t.Errorf("%+v", result)
						}
						if got := c.Manifests(); len(got) != 1 || !bytes.Equal(got[0], m) {
							t.Errorf("the server got %q", got)
						}
						files := f.read(t, path, &out)
						if f.name == plainForm.name {
							for name, content := range readTree(t, location) {
								files["pg_tblspc/16384/"+name] = content
							}
						}
						want := map[string]string{
							"base/1/INCREMENTAL.1249": string(pgfake.IncrementalFile(c.Data.Files[4].Data, 1, 3, 5, 7, 9)),
							"base/1/1259_fsm":         string(c.Data.Files[3].Data),
							"global/INCREMENTAL.1262": string(pgfake.IncrementalFile(c.Data.Files[6].Data)),
						}
						if location != "" {
							space := c.Data.Tablespaces[0].Files[0]
							want["pg_tblspc/16384/"+incremental.Name(space.Path)] = string(pgfake.IncrementalFile(space.Data, 1))
						}
						for name, content := range want {
							if got, ok := files[name]; !ok || got != content {
								t.Errorf("%s: there %v, %d bytes, want %d", name, ok, len(got), len(content))
							}
						}
						if _, ok := files["base/1/1249"]; ok {
							t.Error("a file is there whole that was sent as an incremental one")
						}
					})
				}
			}
		}
	}
}

func TestAMalformedIncrementalFileIsAnErrorByName(t *testing.T) {
	whole := pgfake.IncrementalFile(make([]byte, 3*8192), 0, 2)
	space := pgfake.TablespaceVersionDir("18.4")
	for name, c := range map[string]struct {
		path    string
		content []byte
		want    string
	}{
		"cut off":    {"base/1/INCREMENTAL.7", whole[:len(whole)-1], `file "base/1/INCREMENTAL.7" has 24575 bytes`},
		"empty":      {"base/1/INCREMENTAL.7", nil, `file "base/1/INCREMENTAL.7" ends too early`},
		"magic":      {"global/INCREMENTAL.7", make([]byte, 12), `file "global/INCREMENTAL.7" has bad incremental magic number`},
		"tablespace": {space + "/5/INCREMENTAL.7", make([]byte, 12), `file "pg_tblspc/16384/` + space + `/5/INCREMENTAL.7" has bad incremental magic number`},
	} {
		for _, f := range []form{plainForm, tarForm(codec.None), tarForm(codec.Gzip), oneForm} {
			for _, server := range []string{"", "zstd"} {
				if server != "" && f.name != plainForm.name && f.name != tarForm(codec.None).name || name == "tablespace" && f.name == oneForm.name {
					continue
				}
				t.Run(name+"/"+f.name+"/"+server, func(t *testing.T) {
					dir := t.TempDir()
					data := &pgfake.Data{Files: []pgfake.File{{Path: "PG_VERSION", Data: []byte("18\n")}, {Path: "pg_tblspc/"}, {Path: "global/"}}}
					bad := pgfake.File{Path: c.path, Data: c.content}
					if name == "tablespace" {
						data.Tablespaces = []pgfake.Tablespace{{OID: 16384, Location: filepath.Join(dir, "space"), Files: []pgfake.File{bad}}}
					} else {
						data.Files = append(data.Files, bad)
					}
					s := pgfake.Serve(t, &pgfake.Cluster{Version: "18.4", SystemID: 42, Data: data})
					var out bytes.Buffer
					_, err := basebackup.Run(context.Background(), basebackup.Options{
						Connect: connector(t, s), ServerCompression: server, PreviousManifest: given(before().Bytes()),
					}, f.make(filepath.Join(dir, "backup"), &out))
					if err == nil || !strings.HasPrefix(err.Error(), c.want) {
						t.Errorf("%v, want %s", err, c.want)
					}
					assertNothingLeft(t, filepath.Join(dir, "backup"))
				})
			}
		}
	}
}

// A full backup may hold a file that is only named like an incremental one.
func TestOnlyIncrementalBackupsHaveIncrementalFiles(t *testing.T) {
	data := &pgfake.Data{Files: []pgfake.File{{Path: "PG_VERSION", Data: []byte("18\n")}, {Path: "base/1/INCREMENTAL.7", Data: []byte("mine")}, {Path: "pg_tblspc/"}}}
	s := pgfake.Serve(t, &pgfake.Cluster{Version: "18.4", Data: data})
	result, err := basebackup.Run(context.Background(), basebackup.Options{Connect: connector(t, s)}, plainForm.make(filepath.Join(t.TempDir(), "b"), nil))
	if err != nil || result.Incremental {
		t.Errorf("%+v, %v", result, err)
	}
}

func TestAManifestThatCannotBeUsedIsRefusedBeforeAnythingIsDone(t *testing.T) {
	manifest := func(change func(*pgfake.Manifest)) func() (io.ReadCloser, error) {
		m := before()
		change(&m)
		return given(m.Bytes())
	}
	whole := before().Bytes()
	gone := errors.New("gone")
	for name, c := range map[string]struct {
		version string
		open    func() (io.ReadCloser, error)
		want    string
	}{
		"server before 17": {"16.14", nil, "an incremental backup needs server version 17 or later, this server is 16.14"},
		"not to be opened": {"", func() (io.ReadCloser, error) { return nil, gone }, "gone"},
		"not to be read": {"", func() (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(bytes.NewReader(whole[:99]), failing{gone})), nil
		}, "gone"},
		"cut off":                  {"", given(whole[:len(whole)/2]), "could not parse backup manifest"},
		"changed":                  {"", given(bytes.Replace(whole, []byte(`"Size": 3`), []byte(`"Size": 4`), 1)), "manifest checksum mismatch"},
		"no manifest":              {"", given([]byte("#!/bin/sh\n")), "could not parse backup manifest"},
		"of a server before 17":    {"", manifest(func(m *pgfake.Manifest) { m.Version = 1 }), "backup manifest version 1 does not support incremental backup"},
		"of another cluster":       {"", manifest(func(m *pgfake.Manifest) { m.SystemID++ }), "system identifier in backup manifest is 43, but database system identifier is 42"},
		"that needs no WAL at all": {"", manifest(func(m *pgfake.Manifest) { m.Ranges = nil }), "manifest contains no required WAL ranges"},
	} {
		t.Run(name, func(t *testing.T) {
			var opened *source
			open := func() (io.ReadCloser, error) {
				r, err := c.open()
				if err != nil {
					return nil, err
				}
				opened = &source{Reader: r}
				return opened, nil
			}
			if c.version == "" {
				c.version = "18.4"
			}
			s := pgfake.Serve(t, &pgfake.Cluster{Version: c.version, SystemID: 42})
			dir, temp := filepath.Join(t.TempDir(), "backup"), t.TempDir()
			_, err := basebackup.Run(context.Background(), basebackup.Options{Connect: connector(t, s), PreviousManifest: open, TempDir: temp}, plainForm.make(dir, nil))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("%v, want %s", err, c.want)
			}
			var previous *basebackup.PreviousManifestError
			var unsupported *replproto.UnsupportedError
			if !errors.As(err, &previous) && !errors.As(err, &unsupported) {
				t.Errorf("%T does not say that it is about the manifest", err)
			}
			for _, q := range s.Queries() {
				if !strings.HasPrefix(q.Text, "IDENTIFY_SYSTEM") && !strings.HasPrefix(q.Text, "SHOW") {
					t.Errorf("the server was asked %q", q.Text)
				}
			}
			if opened != nil && opened.closed != 1 {
				t.Errorf("the manifest was closed %d times", opened.closed)
			}
			if _, err := os.Stat(dir); err == nil {
				t.Errorf("%s was made", dir)
			}
			assertNothingLeft(t, temp)
		})
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// Scripts give it as a pipe, from where it was archived.
func TestTheManifestMayComeFromAPipe(t *testing.T) {
	c := &pgfake.Cluster{Version: "18.4", SystemID: 42}
	s := pgfake.Serve(t, c)
	want := before().Bytes()
	temp := t.TempDir()
	result, err := basebackup.Run(context.Background(), basebackup.Options{
		Connect: connector(t, s), TempDir: temp,
		PreviousManifest: func() (io.ReadCloser, error) {
			r, w, err := os.Pipe()
			if err == nil {
				go func() {
					w.Write(want)
					w.Close()
				}()
			}
			return r, err
		},
	}, plainForm.make(filepath.Join(t.TempDir(), "b"), nil))
	if err != nil || !result.Incremental {
		t.Fatalf("%+v, %v", result, err)
	}
	if got := c.Manifests(); len(got) != 1 || !bytes.Equal(got[0], want) {
		t.Errorf("the server got %q", got)
	}
	assertNothingLeft(t, temp)
}

// What is in front of the manifest in the same file is not part of it.
func TestTheManifestBeginsWhereItsReaderStands(t *testing.T) {
	c := &pgfake.Cluster{Version: "18.4", SystemID: 42}
	s := pgfake.Serve(t, c)
	want := before().Bytes()
	path := filepath.Join(t.TempDir(), "m")
	if err := os.WriteFile(path, append([]byte("header"), want...), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := basebackup.Run(context.Background(), basebackup.Options{
		Connect: connector(t, s),
		PreviousManifest: func() (io.ReadCloser, error) {
			f, err := os.Open(path)
			if err == nil {
				_, err = f.Seek(6, io.SeekStart)
			}
			return f, err
		},
	}, plainForm.make(filepath.Join(t.TempDir(), "b"), nil))
	if got := c.Manifests(); err != nil || len(got) != 1 || !bytes.Equal(got[0], want) {
		t.Errorf("%v, the server got %q", err, got)
	}
}

func TestWhatTheServerRefusesOfAnIncrementalBackupLeavesNothing(t *testing.T) {
	refused := pgfake.Error("ERROR", "55000", "incremental backups cannot be taken unless WAL summarization is enabled")
	for name, c := range map[string]struct {
		cluster *pgfake.Cluster
		want    string
	}{
		"the manifest": {&pgfake.Cluster{RefuseManifest: func(_ []byte, whole bool) *pgfake.Message { return &refused }}, "could not upload manifest: ERROR:  incremental"},
		"the backup": {&pgfake.Cluster{Tamper: pgfake.Replace(pgfake.At{Command: "BASE_BACKUP", Part: pgfake.PartStart}, refused, pgfake.ReadyForQuery(), pgfake.Close(pgfake.Hang))},
			"ERROR:  incremental backups cannot be taken"},
		"and sends a full one": {&pgfake.Cluster{Edit: edit(func(tar []byte) []byte {
			return bytes.Replace(tar, []byte("INCREMENTAL FROM"), []byte("INCREMENTAL.FROM"), 2)
		})}, "server was asked for an incremental backup, but its backup_label is that of a full one"},
	} {
		t.Run(name, func(t *testing.T) {
			c.cluster.Version, c.cluster.SystemID = "18.4", 42
			s := pgfake.Serve(t, c.cluster)
			dir := filepath.Join(t.TempDir(), "backup")
			_, err := basebackup.Run(context.Background(), basebackup.Options{Connect: connector(t, s), PreviousManifest: given(before().Bytes())}, plainForm.make(dir, nil))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %s", err, c.want)
			}
			if strings.Contains(c.want, "ERROR") && !replproto.HasCode(err, "55000") {
				t.Errorf("the SQLSTATE is lost: %v", err)
			}
			assertNothingLeft(t, dir)
		})
	}
}
