package backupset_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/backupset"
	"github.com/pgbasin/pgbasin/basebackup"
	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/conninfo"
	"github.com/pgbasin/pgbasin/internal/pgtest"
	"github.com/pgbasin/pgbasin/replproto"
	"github.com/pgbasin/pgbasin/tarstream"
)

// contents is what an archive holds: by name the digest of a file's content, "dir", or "-> target".
type contents map[string]string

// collector fills contents.
type collector struct {
	under string
	into  contents
	name  string
	sum   hash.Hash
	order []string
}

func (c *collector) Member(h *tarstream.Header) error {
	c.name, c.sum = c.under+h.Name, nil
	c.order = append(c.order, h.Name)
	if _, ok := c.into[c.name]; ok && h.Type != tarstream.Directory {
		return fmt.Errorf("%s came twice", c.name)
	}
	switch h.Type {
	case tarstream.Directory:
		c.into[c.name] = "dir"
	case tarstream.Symlink:
		c.into[c.name] = "-> " + h.Linkname
	default:
		c.sum = sha256.New()
	}
	return nil
}

func (c *collector) Content(p []byte) error {
	c.sum.Write(p)
	return nil
}

func (c *collector) EndMember() error {
	if c.sum != nil {
		c.into[c.name] = hex.EncodeToString(c.sum.Sum(nil)[:8])
	}
	return nil
}

// readAll reads every archive of a backup.
func readAll(t *testing.T, s *backupset.Set) contents {
	t.Helper()
	all := contents{}
	for i := range s.Archives {
		a := &s.Archives[i]
		c := &collector{into: all}
		switch a.Kind {
		case backupset.Tablespace:
			c.under = fmt.Sprintf("pg_tblspc/%d/", a.OID)
		case backupset.WAL:
			c.under = "pg_wal/"
		}
		if err := s.Read(context.Background(), a, c); err != nil {
			t.Fatalf("%s: %v", a.Name, err)
		}
	}
	return all
}

// tree is what a directory on disk holds, read with other means.
func tree(t *testing.T, root, under string, into contents) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		name := under + filepath.ToSlash(rel)
		switch {
		case d.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			into[name] = "-> " + target
			return err
		case d.IsDir():
			into[name] = "dir"
		case d.Type().IsRegular():
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			sum := sha256.Sum256(b)
			into[name] = hex.EncodeToString(sum[:8])
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// files leaves out directories, links and the names given, with what is below them.
func (c contents) files(without ...string) contents {
	out := contents{}
next:
	for name, v := range c {
		for _, w := range without {
			if name == w || strings.HasPrefix(name, w+"/") {
				continue next
			}
		}
		if v != "dir" && !strings.HasPrefix(v, "-> ") {
			out[name] = v
		}
	}
	return out
}

func same(t *testing.T, got, want contents) {
	t.Helper()
	for name, w := range want {
		if g, ok := got[name]; !ok {
			t.Errorf("%s is missing", name)
		} else if g != w {
			t.Errorf("%s is %s, want %s", name, g, w)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s is too many", name)
		}
	}
}

func open(t *testing.T, path string) *backupset.Set {
	t.Helper()
	s, err := backupset.Open(path, backupset.Options{Note: func(m string) { t.Log("note: " + m) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func peek(t *testing.T, s *backupset.Set) *backupset.Head {
	t.Helper()
	h, err := s.Peek(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func describe(t *testing.T, s *backupset.Set) *backupset.Description {
	t.Helper()
	d, err := s.Describe(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// backup takes a backup with pgbasin.
func backup(t *testing.T, s *pgtest.Server, to basebackup.Destination, o basebackup.Options) *basebackup.Result {
	t.Helper()
	given, err := conninfo.Parse(s.DSN())
	if err != nil {
		t.Fatal(err)
	}
	settings, err := conninfo.Resolve(given, nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg := &replproto.Config{Settings: settings, ApplicationName: "backupset_test"}
	o.Connect = func(ctx context.Context) (*replproto.Conn, error) { return replproto.Connect(ctx, cfg) }
	o.FastCheckpoint = true
	result, err := basebackup.Run(context.Background(), o, to)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// run runs a program in a directory.
func run(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// recompress writes a compressed copy of a file.
func recompress(t *testing.T, from, to string, a codec.Algorithm) {
	t.Helper()
	if a == codec.Gzip {
		// Under the race detector this package's own takes very long.
		run(t, "/", "sh", "-c", `gzip -1 <"$0" >"$1"`, from, to)
		return
	}
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	z, err := codec.NewWriter(f, codec.Spec{Algorithm: a, Level: 1, LevelSet: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
