//go:build linux

package combine

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/conninfo"
	"github.com/pgbasin/pgbasin/internal/pgtest"
	"github.com/pgbasin/pgbasin/replproto"
	"github.com/pgbasin/pgbasin/tarstream"
)

// take takes a backup in tar format, with its WAL: an incremental one if previous
// is the directory of another.
func take(t *testing.T, s *pgtest.Server, dir, previous string) {
	t.Helper()
	ctx := context.Background()
	given, err := conninfo.Parse(s.DSN())
	if err != nil {
		t.Fatal(err)
	}
	settings, err := conninfo.Resolve(given, nil)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := replproto.Connect(ctx, &replproto.Config{Settings: settings})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if previous != "" {
		m, err := os.Open(filepath.Join(previous, "backup_manifest"))
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		if err := conn.UploadManifest(ctx, m); err != nil {
			t.Fatal(err)
		}
	}
	b, err := conn.BaseBackup(ctx, replproto.BaseBackupOptions{
		Label: "combined", FastCheckpoint: true, WAL: true, TablespaceMap: true, Manifest: true, Incremental: previous != "",
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for {
		a, err := b.Next()
		if err == io.EOF {
			break
		}
		if err == nil {
			err = store(filepath.Join(dir, a.Name), a, codec.Spec{})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := b.Finish(); err != nil {
		t.Fatal(err)
	}
}

func store(path string, src io.Reader, c codec.Spec) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := codec.NewWriter(f, c)
	if err != nil {
		return err
	}
	_, err = io.Copy(z, src)
	return errors.Join(err, z.Close())
}

// compressed is the same backup in compressed tars.
func compressed(t *testing.T, backup, dir string, a codec.Algorithm) {
	t.Helper()
	each(t, backup, dir, func(name string, f *os.File) error {
		if name == "backup_manifest" {
			return store(filepath.Join(dir, name), f, codec.Spec{})
		}
		return store(filepath.Join(dir, name+a.Suffix()), f, codec.Spec{Algorithm: a})
	})
}

// unpacked is the same backup as a data directory, with its tablespaces beside
// it.
func unpacked(t *testing.T, backup, dir string) {
	t.Helper()
	each(t, backup, dir, func(name string, f *os.File) error {
		if name == "backup_manifest" {
			return store(filepath.Join(dir, name), f, codec.Spec{})
		}
		to := dir
		if oid, ok := strings.CutSuffix(name, ".tar"); ok && oid != "base" {
			to = dir + ".space"
			if err := os.Mkdir(to, 0o755); err != nil {
				return err
			}
			if err := os.MkdirAll(filepath.Join(dir, "pg_tblspc"), 0o700); err != nil {
				return err
			}
			if err := os.Symlink(to, filepath.Join(dir, "pg_tblspc", oid)); err != nil {
				return err
			}
		}
		e, err := tarstream.NewExtractor(tarstream.ExtractOptions{Dir: to, Exists: func(name string) bool { return name == "pg_tblspc" }})
		if err != nil {
			return err
		}
		p := tarstream.NewParser(tarstream.Drop(e, func(h *tarstream.Header) bool {
			_, err := strconv.Atoi(strings.TrimPrefix(h.Name, "pg_tblspc/"))
			return err == nil // the link is there
		}))
		_, err = io.Copy(p, f)
		return errors.Join(err, p.Close(), e.Close())
	})
}

// each makes dir and calls do for each file of a backup.
func each(t *testing.T, backup, dir string, do func(name string, f *os.File) error) {
	t.Helper()
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(backup)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		f, err := os.Open(filepath.Join(backup, e.Name()))
		if err == nil {
			err = errors.Join(do(e.Name(), f), f.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
