package restore_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/recoveryconf"
	"github.com/pgbasin/pgbasin/restore"
)

func TestWhatCannotBeIsRefusedBeforeAnythingIsWritten(t *testing.T) {
	target := func(t recoveryconf.Target) func(*backup, *restore.Options) {
		return func(_ *backup, o *restore.Options) {
			o.Recovery = recoveryconf.Recovery{RestoreCommand: "cp /archive/%f %p", Target: t}
		}
	}
	makeFile := func(t *testing.T, path string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		change func(b *backup, o *restore.Options)
		want   []string
	}{
		"a directory that holds something": {func(b *backup, o *restore.Options) {
			makeFile(t, filepath.Join(o.DataDir, "x"))
		}, []string{"exists but is not empty"}},
		"a tablespace's directory that holds something": {func(b *backup, o *restore.Options) {
			makeFile(t, filepath.Join(o.Tablespaces[0].New, "PG_15_202209061/1/1"))
		}, []string{"exists but is not empty", "space"}},
		"the tablespace of the running server": {func(b *backup, o *restore.Options) {
			live := filepath.Join(b.root, "live")
			makeFile(t, filepath.Join(live, "PG_15_202209061/1/1"))
			b.rewrite("base.tar", func(m member) []member {
				if m.Name == "tablespace_map" {
					m.content = []byte(fixture.oid + " " + live + "\n")
				}
				return []member{m}
			})
			o.Tablespaces = nil
		}, []string{"exists but is not empty", "live"}},
		"a relative directory":     {func(_ *backup, o *restore.Options) { o.DataDir = "data" }, []string{"not an absolute path"}},
		"a relative WAL directory": {func(_ *backup, o *restore.Options) { o.WALDir = "wal" }, []string{"not an absolute path"}},
		"a tablespace below the data directory": {func(_ *backup, o *restore.Options) {
			o.Tablespaces[0].New = filepath.Join(o.DataDir, "space")
		}, []string{"lie one in the other"}},
		"the WAL where a tablespace is": {func(_ *backup, o *restore.Options) { o.WALDir = o.Tablespaces[0].New }, []string{"would both be"}},
		"the data directory in the backup": {func(b *backup, o *restore.Options) {
			o.DataDir = filepath.Join(b.path, "data")
		}, []string{"lie one in the other", "the backup"}},
		"a mapping of nothing": {func(_ *backup, o *restore.Options) {
			o.Tablespaces = append(o.Tablespaces, restore.Mapping{Old: "/nowhere", New: "/elsewhere"})
		}, []string{`no tablespace "/nowhere"`}},
		"a tablespace that is missing": {func(b *backup, _ *restore.Options) {
			if err := os.Remove(filepath.Join(b.path, fixture.oid+".tar")); err != nil {
				t.Fatal(err)
			}
		}, []string{"is not in the backup", fixtureOID}},
		"an incremental backup": {func(b *backup, _ *restore.Options) {
			b.rewrite("base.tar", func(m member) []member {
				if m.Name == "backup_label" {
					m.content = append(m.content, "INCREMENTAL FROM LSN: 0/1000028\nINCREMENTAL FROM TLI: 1\n"...)
				}
				return []member{m}
			})
		}, []string{"incremental", "0/1000028"}},
		"no backup at all": {func(b *backup, o *restore.Options) { o.Backup = filepath.Join(b.root, "none") }, []string{"none"}},
		"two targets":      {target(recoveryconf.Target{Immediate: true, Name: "x"}), []string{"target"}},
		"a target without WAL": {func(_ *backup, o *restore.Options) {
			o.Recovery.Target.Name = "x"
		}, []string{"restore"}},
		"an LSN before the stop point": {target(recoveryconf.Target{LSN: lsn.LSN(0x1000000)}), []string{"cannot end at LSN 0/1000000", "consistent"}},
		"a time before the backup":     {target(recoveryconf.Target{Time: "2016-02-13 11:50:00+09"}), []string{"cannot end at time", "started after it"}},
		"a setting with a bad name": {func(_ *backup, o *restore.Options) {
			o.Settings = recoveryconf.Params{{Name: "a b", Value: "1"}}
		}, []string{"a b"}},
		"an archive that is not there": {func(b *backup, o *restore.Options) {
			o.WALArchive = filepath.Join(b.root, "archive")
			o.Recovery.RestoreCommand = "x"
		}, []string{"archive"}},
		"an archive without the WAL that is needed": {func(b *backup, o *restore.Options) {
			if err := os.Remove(filepath.Join(b.path, "pg_wal.tar")); err != nil {
				t.Fatal(err)
			}
			o.WALArchive = filepath.Join(b.root, "archive")
			if err := os.Mkdir(o.WALArchive, 0o700); err != nil {
				t.Fatal(err)
			}
			o.Recovery.RestoreCommand = "x"
		}, []string{"is neither in the backup nor in the WAL archive"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBackup(t)
			o := b.options()
			c.change(b, &o)
			for i, w := range c.want {
				if w == fixtureOID {
					c.want[i] = fixture.oid
				}
			}
			t.Log(b.refused(o, c.want...))
		})
	}
}

const fixtureOID = "the fixture's OID"

// What tars that an attacker made do to a restore: nothing, and nothing outside.
func TestHostileArchivesAreRefusedByName(t *testing.T) {
	type header = tar.Header
	long := strings.Repeat("n", 300)
	for name, c := range map[string]struct {
		members []*header
		want    string
	}{
		"an absolute name":             {[]*header{{Name: "/tmp/pgbasin-evil", Typeflag: tar.TypeReg}}, "/tmp/pgbasin-evil"},
		"a name with dots":             {[]*header{{Name: "base/../../evil", Typeflag: tar.TypeReg}}, "base/../../evil"},
		"a link and a file through it": {[]*header{{Name: "base/out", Linkname: "/tmp", Typeflag: tar.TypeSymlink}, {Name: "base/out/evil", Typeflag: tar.TypeReg}}, "base/out"},
		"a link for a tablespace and a file through it": {[]*header{
			{Name: "pg_tblspc/77", Linkname: "/tmp", Typeflag: tar.TypeSymlink}, {Name: "pg_tblspc/77/evil", Typeflag: tar.TypeReg},
		}, "77"},
		"a hard link":            {[]*header{{Name: "base/hard", Linkname: "/etc/passwd", Typeflag: tar.TypeLink}}, "base/hard"},
		"a device":               {[]*header{{Name: "base/null", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3}}, "base/null"},
		"a fifo":                 {[]*header{{Name: "base/fifo", Typeflag: tar.TypeFifo}}, "base/fifo"},
		"a file twice":           {[]*header{{Name: "base/twice", Typeflag: tar.TypeReg}, {Name: "base/twice", Typeflag: tar.TypeReg}}, "base/twice"},
		"pg_control twice":       {[]*header{{Name: "global/pg_control", Typeflag: tar.TypeReg}}, "pg_control"},
		"a name of 300 bytes":    {[]*header{{Name: "base/" + long, Typeflag: tar.TypeReg}}, long},
		"a size that is a lie":   {[]*header{{Name: "base/huge", Typeflag: tar.TypeReg, Size: 9 << 30}}, "base/huge"},
		"the restore's own file": {[]*header{{Name: "pgbasin_restore.incomplete", Typeflag: tar.TypeReg}}, "pgbasin_restore.incomplete"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBackup(t)
			b.noManifest()
			// Few files do: it is the last ones that matter.
			b.rewrite("base.tar", without("tablespace_map", "base/4/", "base/5/", "base/1/1", "base/1/2"))
			path := b.one("")
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			end, err := f.Seek(-1024, 2) // the zero blocks
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			w := tar.NewWriter(&out)
			for _, h := range c.members {
				h.Mode = 0o600
				if err := w.WriteHeader(h); err != nil {
					t.Fatal(err)
				}
			}
			if last := c.members[len(c.members)-1]; last.Size == 0 {
				w.Close()
			}
			if _, err := f.WriteAt(out.Bytes(), end); err != nil {
				t.Fatal(err)
			}
			f.Close()
			o := b.options()
			o.Backup, o.Tablespaces = path, nil
			t.Log(b.refused(o, c.want))
			for _, path := range []string{"/tmp/pgbasin-evil", "/tmp/evil", filepath.Join(filepath.Dir(b.root), "evil")} {
				if exists(path) {
					t.Errorf("%s was written", path)
				}
			}
		})
	}
}

func TestWhatLiesBesideTheDataDirectoryInATarIsNotRestored(t *testing.T) {
	for _, name := range []string{"harm", "database/harm", "data/../harm"} {
		b := newBackup(t)
		b.rewrite("base.tar", without("tablespace_map", "base/4/", "base/5/", "base/1/1", "base/1/2"))
		path := b.one("data/")
		content := []byte(read(t, path))
		var out bytes.Buffer
		w := tar.NewWriter(&out)
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		w.Close()
		if err := os.WriteFile(path, append(content[:len(content)-1024], out.Bytes()...), 0o600); err != nil {
			t.Fatal(err)
		}
		o := b.options()
		o.Backup, o.Tablespaces = path, nil
		t.Log(b.refused(o, name))
	}
}

func TestTheNextRestoreRemovesWhatAKilledOneLeft(t *testing.T) {
	b := newBackup(t)
	good := read(t, filepath.Join(b.path, "base.tar"))
	b.rewrite("base.tar", func(m member) []member {
		if m.Name == "base/1/1259" {
			m.content[1] ^= 1
		}
		return []member{m}
	})
	o := b.options()
	o.NoClean = true
	if _, err := run(o); err == nil {
		t.Fatal("no error")
	}
	space := o.Tablespaces[0].New
	for _, dir := range []string{o.DataDir, space} {
		if !exists(filepath.Join(dir, "pgbasin_restore.incomplete")) {
			t.Errorf("%s is not marked", dir)
		}
	}
	if exists(filepath.Join(o.DataDir, "global/pg_control")) {
		t.Error("a server could be started on what is left")
	}

	// It is no backup either.
	other := b.options()
	other.Backup, other.DataDir, other.Tablespaces = o.DataDir, filepath.Join(b.root, "other"), nil
	b.refused(other, "incomplete")

	// Debris of another restore is not this one's to remove.
	other = b.options()
	other.DataDir = filepath.Join(b.root, "other")
	b.refused(other, "exists but is not empty", space)

	b.replace("base.tar", []byte(good))
	o.NoClean = false
	if _, err := run(o); err != nil {
		t.Fatal(err)
	}
	if !exists(filepath.Join(o.DataDir, "global/pg_control")) || exists(filepath.Join(space, "pgbasin_restore.incomplete")) {
		t.Error("not restored")
	}
	var notEmpty *restore.NotEmptyError
	if _, err := run(o); !errors.As(err, &notEmpty) {
		t.Errorf("a complete restore is taken for debris: %v", err)
	}
}

func TestADirectoryThatAServerCanHaveRunOnIsNeverDebris(t *testing.T) {
	b := newBackup(t)
	o := b.options()
	if _, err := run(o); err != nil {
		t.Fatal(err)
	}
	// As if the restore had been killed after its last step but one.
	marker := `{"note":"x","restore":"R","data_directory":"` + o.DataDir + `"}`
	for _, dir := range []string{o.DataDir, o.Tablespaces[0].New} {
		if err := os.WriteFile(filepath.Join(dir, "pgbasin_restore.incomplete"), []byte(marker), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b.refused(o, "exists but is not empty")
}
