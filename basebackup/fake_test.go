package basebackup_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/basebackup"
	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/conninfo"
	"github.com/pgbasin/pgbasin/internal/durable"
	"github.com/pgbasin/pgbasin/internal/pgfake"
	"github.com/pgbasin/pgbasin/replproto"
)

// connector connects to a fake server.
func connector(t testing.TB, s *pgfake.Server) func(context.Context) (*replproto.Conn, error) {
	t.Helper()
	given, err := conninfo.Parse(s.ConnString())
	if err != nil {
		t.Fatal(err)
	}
	settings, err := conninfo.Resolve(given, nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg := &replproto.Config{Settings: settings, ApplicationName: "basebackup_test"}
	return func(ctx context.Context) (*replproto.Conn, error) { return replproto.Connect(ctx, cfg) }
}

// form is a way to store a backup.
type form struct {
	name string
	make func(path string, out io.Writer) basebackup.Destination
	// read returns what the backup holds, members and files by name; tablespace
	// files below their archive's name.
	read func(t *testing.T, path string, out *bytes.Buffer) map[string]string
}

var (
	plainForm = form{
		name: "plain",
		make: func(path string, _ io.Writer) basebackup.Destination {
			return basebackup.Plain(basebackup.PlainOptions{Path: path, Sync: durable.NoSync})
		},
		read: func(t *testing.T, path string, _ *bytes.Buffer) map[string]string { return readTree(t, path) },
	}
	oneForm = form{
		name: "one tar",
		make: func(_ string, out io.Writer) basebackup.Destination {
			return basebackup.TarStream(out, codec.Spec{})
		},
		read: func(t *testing.T, _ string, out *bytes.Buffer) map[string]string {
			files := map[string]string{}
			readTar(t, files, "", out)
			return files
		},
	}
)

func tarForm(a codec.Algorithm) form {
	return form{
		name: "tar" + a.Suffix(),
		make: func(path string, _ io.Writer) basebackup.Destination {
			return basebackup.TarDirectory(basebackup.TarOptions{Path: path, Compression: codec.Spec{Algorithm: a}, Sync: durable.NoSync})
		},
		read: func(t *testing.T, path string, _ *bytes.Buffer) map[string]string { return readTarDirectory(t, path) },
	}
}

func readTree(t *testing.T, root string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, path)
		switch {
		case d.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			files[name] = "-> " + target
			return err
		case d.Type().IsRegular():
			b, err := os.ReadFile(path)
			files[name] = string(b)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// readTarDirectory reads archives with the standard library, so that not the
// same code writes and reads.
func readTarDirectory(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		base, _, isTar := strings.Cut(e.Name(), ".tar")
		if !isTar {
			files[e.Name()] = string(b)
			continue
		}
		r, err := codec.NewReader(bytes.NewReader(b), codec.ByName(e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		prefix := base + "/"
		switch base {
		case "base":
			prefix = ""
		case "pg_wal", "pg_xlog":
		default:
			prefix = "pg_tblspc/" + base + "/"
		}
		readTar(t, files, prefix, r)
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func readTar(t *testing.T, files map[string]string, prefix string, r io.Reader) {
	t.Helper()
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeDir {
			continue
		}
		b, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		name := prefix + strings.TrimSuffix(h.Name, "/")
		if _, twice := files[name]; twice {
			t.Errorf("the backup holds %s twice", name)
		}
		if h.Typeflag == tar.TypeSymlink {
			b = []byte("-> " + h.Linkname)
		}
		files[name] = string(b)
	}
	// Behind the two zero blocks there may be padding and nothing else.
	rest, err := io.ReadAll(r)
	if err != nil || len(bytes.Trim(rest, "\x00")) > 0 {
		t.Errorf("%d bytes behind the end of the archive, %v", len(rest), err)
	}
}

func names(files map[string]string) string {
	var list []string
	for name := range files {
		list = append(list, name)
	}
	sort.Strings(list)
	return strings.Join(list, " ")
}

// assertNothingLeft checks that a failed backup left no trace.
func assertNothingLeft(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil || len(entries) > 0 {
		t.Errorf("the failed backup left %v, %v", entries, err)
	}
}

func major(version string) (n int) {
	fmt.Sscanf(version, "%d", &n)
	return n
}
