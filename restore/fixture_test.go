package restore_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/pgbasin/pgbasin/basebackup"
	"github.com/pgbasin/pgbasin/conninfo"
	"github.com/pgbasin/pgbasin/internal/durable"
	"github.com/pgbasin/pgbasin/internal/pgtest"
	"github.com/pgbasin/pgbasin/replproto"
	"github.com/pgbasin/pgbasin/restore"
)

// A backup of a real server 15 with a tablespace is taken once, in tar format.
// Each test has a copy of it.
var fixture struct {
	once  sync.Once
	err   error
	dir   string // base.tar, <oid>.tar, pg_wal.tar, backup_manifest
	space string // the location of the tablespace on the server
	oid   string
}

func TestMain(m *testing.M) {
	status := m.Run()
	if fixture.dir != "" {
		os.RemoveAll(fixture.dir)
	}
	os.Exit(status)
}

func takeFixture(t *testing.T) error {
	s := pgtest.Start(t, 15, pgtest.Setting("wal_level", "replica"))
	fixture.space = s.CreateTablespace(t, "space")
	s.Exec(t, "create table apart tablespace space as select i, md5(i::text) from generate_series(1, 2000) i")
	fixture.oid = s.QueryString(t, "select oid::text from pg_tablespace where spcname = 'space'")
	given, err := conninfo.Parse(s.DSN())
	if err != nil {
		return err
	}
	settings, err := conninfo.Resolve(given, nil)
	if err != nil {
		return err
	}
	cfg := &replproto.Config{Settings: settings}
	if fixture.dir, err = os.MkdirTemp("", "pgbasin-restore-"); err != nil {
		return err
	}
	_, err = basebackup.Run(context.Background(), basebackup.Options{
		Connect:        func(ctx context.Context) (*replproto.Conn, error) { return replproto.Connect(ctx, cfg) },
		FastCheckpoint: true, Label: "fixture",
	}, basebackup.TarDirectory(basebackup.TarOptions{Path: filepath.Join(fixture.dir, "b"), Sync: durable.NoSync}))
	return err
}

// backup is a copy of the fixture that a test may damage.
type backup struct {
	t    *testing.T
	path string
	root string // of the test's own files
}

func newBackup(t *testing.T) *backup {
	t.Helper()
	fixture.once.Do(func() { fixture.err = takeFixture(t) })
	if fixture.err != nil {
		t.Fatal(fixture.err)
	}
	b := &backup{t: t, root: t.TempDir()}
	b.path = filepath.Join(b.root, "backup")
	if err := os.Mkdir(b.path, 0o700); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(filepath.Join(fixture.dir, "b"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if err := os.Link(filepath.Join(fixture.dir, "b", e.Name()), filepath.Join(b.path, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// replace gives a file of the backup other content; the fixture keeps its own.
func (b *backup) replace(name string, content []byte) {
	b.t.Helper()
	path := filepath.Join(b.path, name)
	if err := os.Remove(path); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// options restore the backup beside itself.
func (b *backup) options() restore.Options {
	return restore.Options{
		Backup: b.path, DataDir: filepath.Join(b.root, "data"), Sync: restore.NoSync,
		Tablespaces: []restore.Mapping{{Old: fixture.space, New: filepath.Join(b.root, "space")}},
	}
}

// member is a member of a tar file; its content is changed in place.
type member struct {
	*tar.Header
	content []byte
}

// rewrite passes the members of one of the backup's tar files through edit,
// which returns what is to be in their place.
func (b *backup) rewrite(name string, edit func(m member) []member) {
	b.t.Helper()
	path := filepath.Join(b.path, name)
	old, err := os.ReadFile(path)
	if err != nil {
		b.t.Fatal(err)
	}
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	r := tar.NewReader(bytes.NewReader(old))
	write := func(members []member) {
		for _, m := range members {
			m.Size = int64(len(m.content))
			m.PAXRecords, m.Format = nil, tar.FormatUnknown
			if err := w.WriteHeader(m.Header); err != nil {
				b.t.Fatal(err)
			}
			w.Write(m.content)
		}
	}
	for {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			b.t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			b.t.Fatal(err)
		}
		write(edit(member{h, content}))
	}
	if err := w.Close(); err != nil {
		b.t.Fatal(err)
	}
	b.replace(name, out.Bytes())
}

// without leaves members out whose name has one of the prefixes.
func without(prefixes ...string) func(m member) []member {
	return func(m member) []member {
		for _, p := range prefixes {
			if strings.HasPrefix(strings.TrimPrefix(m.Name, "./"), p) {
				return nil
			}
		}
		return []member{m}
	}
}

// noManifest makes it a backup like those before 13.
func (b *backup) noManifest() {
	b.t.Helper()
	if err := os.Remove(filepath.Join(b.path, "backup_manifest")); err != nil {
		b.t.Fatal(err)
	}
}

// one makes a single tar of the backup as it would be made by hand, in a
// directory of its own.
func (b *backup) one(prefix string, more ...member) string {
	b.t.Helper()
	path := filepath.Join(b.root, "one.tar")
	f, err := os.Create(path)
	if err != nil {
		b.t.Fatal(err)
	}
	defer f.Close()
	src, err := os.Open(filepath.Join(b.path, "base.tar"))
	if err != nil {
		b.t.Fatal(err)
	}
	defer src.Close()
	w := tar.NewWriter(f)
	r := tar.NewReader(src)
	for {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			b.t.Fatal(err)
		}
		h.Name, h.Format = prefix+strings.TrimPrefix(h.Name, "./"), tar.FormatUnknown
		if err := w.WriteHeader(h); err != nil {
			b.t.Fatal(err)
		}
		if _, err := io.Copy(w, r); err != nil {
			b.t.Fatal(err)
		}
	}
	for _, m := range more {
		m.Name, m.Size = prefix+m.Name, int64(len(m.content))
		if err := w.WriteHeader(m.Header); err != nil {
			b.t.Fatal(err)
		}
		w.Write(m.content)
	}
	if err := w.Close(); err != nil {
		b.t.Fatal(err)
	}
	return path
}

// tarOf reads a tar file.
func tarOf(t *testing.T, path string) []member {
	t.Helper()
	r := tar.NewReader(strings.NewReader(read(t, path)))
	var all []member
	for {
		h, err := r.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, member{h, content})
	}
}

// manifestOf makes a manifest for the members of a data directory.
func manifestOf(t *testing.T, members []member) []byte {
	t.Helper()
	var b bytes.Buffer
	b.WriteString("{ \"PostgreSQL-Backup-Manifest-Version\": 1,\n\"Files\": [\n")
	separator := ""
	for _, m := range members {
		if m.Typeflag != tar.TypeReg {
			continue
		}
		fmt.Fprintf(&b, "%s{ \"Path\": %q, \"Size\": %d, \"Last-Modified\": \"2026-01-01 00:00:00 GMT\", \"Checksum-Algorithm\": \"SHA256\", \"Checksum\": \"%x\" }",
			separator, m.Name, len(m.content), sha256.Sum256(m.content))
		separator = ",\n"
	}
	label := string(members[0].content)
	start := label[len("START WAL LOCATION: "):strings.Index(label, " (file")]
	fmt.Fprintf(&b, "\n],\n\"WAL-Ranges\": [\n{ \"Timeline\": 1, \"Start-LSN\": %q, \"End-LSN\": %q }\n],\n", start, start+"F")
	fmt.Fprintf(&b, "\"Manifest-Checksum\": \"%x\"}\n", sha256.Sum256(b.Bytes()))
	return b.Bytes()
}

// run prepares and runs a restore.
func run(o restore.Options) (*restore.Result, error) {
	p, err := restore.Prepare(context.Background(), o)
	if err != nil {
		return nil, err
	}
	return p.Run(context.Background())
}

// refused fails the test unless the restore ends in an error with these words
// and leaves nothing but the backup.
func (b *backup) refused(o restore.Options, words ...string) error {
	b.t.Helper()
	before := tree(b.t, b.root)
	_, err := run(o)
	if err == nil {
		b.t.Fatalf("no error, want one with %q", words)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			b.t.Errorf("error %q has not %q", err, w)
		}
	}
	if after := tree(b.t, b.root); after != before {
		b.t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	return err
}

// tree lists the files below a directory, with sizes.
func tree(t *testing.T, root string) string {
	t.Helper()
	var out strings.Builder
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		out.WriteString(path)
		if info.Mode().IsRegular() {
			out.WriteString(" " + info.Mode().String())
		}
		out.WriteByte('\n')
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
