package backupset_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/backupset"
	"github.com/pgbasin/pgbasin/tarstream"
)

// tarOf makes a tar as other programs do.
func tarOf(t testing.TB, members ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range members {
		content := h.Uname // a place for it
		h.Uname = ""
		h.Size = int64(len(content))
		if h.Mode == 0 {
			h.Mode = 0o600
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func member(name, content string) tar.Header {
	return tar.Header{Name: name, Uname: content, Typeflag: tar.TypeReg}
}

func gzipped(t testing.TB, b []byte) string {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	z.Write(b)
	z.Close()
	return out.String()
}

func TestWhatIsNoBackupIsNamed(t *testing.T) {
	wal := "\x13\xd1\x02\x00" + strings.Repeat("\x00", 32) + "\x00\x20\x00\x00" + strings.Repeat("\x00", 1000)
	smallTar := string(tarOf(t, member("backup_label", "x")))
	for name, c := range map[string]struct {
		files map[string]string // "" is a file by itself
		want  string
	}{
		"empty directory":    {map[string]string{}, "it is an empty directory"},
		"empty file":         {map[string]string{"": ""}, "it is an empty file"},
		"pg_dump":            {map[string]string{"": "PGDMP\x01\x0e" + strings.Repeat("x", 600)}, "an archive of pg_dump"},
		"SQL":                {map[string]string{"": "--\n-- PostgreSQL database dump\n--\n"}, "an SQL script of pg_dump or pg_dumpall"},
		"SQL, gzipped":       {map[string]string{"": gzipped(t, []byte("--\n-- PostgreSQL database dump\n--\n"))}, "psql reads it, compressed with gzip"},
		"pg_dump tar":        {map[string]string{"": string(tarOf(t, member("toc.dat", "PGDMP")))}, "a tar archive of pg_dump"},
		"pg_dump directory":  {map[string]string{"toc.dat": "PGDMP", "3001.dat.gz": "x"}, "a directory of pg_dump"},
		"xz":                 {map[string]string{"": "\xfd7zXZ\x00rest"}, "compressed with xz"},
		"text":               {map[string]string{"": strings.Repeat("text ", 200)}, "no tar archive"},
		"short text":         {map[string]string{"": "text"}, "too short for a tar archive"},
		"WAL":                {map[string]string{"": wal}, "a file of WAL"},
		"WAL archive":        {map[string]string{"000000010000000000000001.gz": "x", "00000002.history": "x"}, "a directory of WAL files"},
		"WAL partial":        {map[string]string{"000000010000000000000001.gz.partial": "x"}, "a directory of WAL files"},
		"manifest":           {map[string]string{"": "{ \"PostgreSQL-Backup-Manifest-Version\": 1,\n"}, "the manifest of a backup"},
		"no base":            {map[string]string{"16384.tar": smallTar, "pg_wal.tar": smallTar}, "but no base.tar"},
		"backups inside":     {map[string]string{"monday/base.tar.gz": "x", "tuesday/PG_VERSION": "15\n"}, `name one of them: "monday", "tuesday"`},
		"tablespace":         {map[string]string{"PG_15_202209061/1/1": "x"}, "the directory of a tablespace"},
		"global":             {map[string]string{"pg_control": "x"}, "name the directory above it"},
		"a tar in directory": {map[string]string{"mine.tgz": "x"}, "a tar made by hand is opened by its own name"},
		"pg_wal.tar alone":   {map[string]string{"": "x"}, "too short"},
		"xz inside":          {map[string]string{"base.tar.xz": "\xfd7zXZ\x00rest"}, "compressed with xz"},
	} {
		dir := filepath.Join(t.TempDir(), "it")
		for file, content := range c.files {
			path := filepath.Join(dir, file)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			write(t, path, content)
		}
		if len(c.files) == 0 {
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		_, err := backupset.Open(dir, backupset.Options{})
		var not *backupset.NotBackupError
		if !errors.As(err, &not) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if content, ok := c.files[""]; ok {
			set, err := backupset.Open("-", backupset.Options{Stdin: strings.NewReader(content)})
			if err != nil {
				t.Fatal(err)
			}
			if _, err = set.Peek(context.Background()); !errors.As(err, &not) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s on standard input: %v, want %q", name, err, c.want)
			}
		}
	}
}

func TestUnfinishedBackupsAreNamedIncomplete(t *testing.T) {
	smallTar := string(tarOf(t, member("backup_label", "x")))
	for marker, files := range map[string]map[string]string{
		"backup_manifest.tmp":        {"base.tar": smallTar, "backup_manifest.tmp": ""},
		"base.tar.gz.tmp":            {"base.tar.gz.tmp": gzipped(t, []byte(smallTar)), "16384.tar": smallTar},
		"global/pg_control.tmp":      {"PG_VERSION": "9.5\n", "global/pg_control.tmp": "", "pg_tblspc/x": ""},
		"pgbasin_restore.incomplete": {"PG_VERSION": "15\n", "global/pg_control.tmp": "", "pgbasin_restore.incomplete": ""},
		"pgbasin_backup.journal":     {"PG_VERSION": "18\n", "global/pg_control.tmp": "", "pgbasin_backup.journal": ""},
	} {
		dir := t.TempDir()
		for file, content := range files {
			path := filepath.Join(dir, file)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			write(t, path, content)
		}
		_, err := backupset.Open(dir, backupset.Options{})
		var incomplete *backupset.IncompleteError
		if !errors.As(err, &incomplete) || incomplete.Marker != marker {
			t.Errorf("%s: %v", marker, err)
		}
		set, err := backupset.Open(dir, backupset.Options{AllowIncomplete: true})
		if err != nil || set.Incomplete == nil || set.Incomplete.Marker != marker {
			t.Errorf("%s, allowed: %+v, %v", marker, set, err)
		}
	}
}

func TestABackupWithTheSameArchiveTwiceIsAmbiguous(t *testing.T) {
	smallTar := string(tarOf(t, member("backup_label", "x")))
	for _, names := range [][2]string{{"base.tar", "base.tar.gz"}, {"16384.tar.lz4", "16384.tar.zst"}, {"pg_wal.tar", "pg_wal.tar.gz"}} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "base.tar"), smallTar)
		for _, name := range names {
			write(t, filepath.Join(dir, name), smallTar)
		}
		_, err := backupset.Open(dir, backupset.Options{})
		var ambiguous *backupset.AmbiguousError
		if !errors.As(err, &ambiguous) || ambiguous.First != names[0] || ambiguous.Second != names[1] {
			t.Errorf("%v: %v", names, err)
		}
	}
}

const label = "START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\nCHECKPOINT LOCATION: 0/2000060\nBACKUP METHOD: streamed\nBACKUP FROM: primary\nSTART TIME: 2026-01-31 12:00:00 UTC\nLABEL: x\nSTART TIMELINE: 1\n"

func TestATarThatIsCutOffOrDamagedIsAnErrorThatNamesTheFile(t *testing.T) {
	whole := tarOf(t, member("backup_label", label), member("tablespace_map", ""), member("base/1/1", strings.Repeat("x", 5000)), member("PG_VERSION", "15\n"))
	path := filepath.Join(t.TempDir(), "it")
	for _, content := range []string{
		string(whole[:700]), string(whole[:3000]), string(whole[:7000]), string(whole[:len(whole)-1024]), string(whole[:len(whole)-512]),
		gzipped(t, whole[:3000]), gzipped(t, whole)[:60], gzipped(t, whole[:len(whole)-1024]),
		strings.Replace(string(whole), "base/1/1", "base/1/2", 1), // the header's sum is wrong
	} {
		write(t, path, content)
		set, err := backupset.Open(path, backupset.Options{})
		if err == nil {
			_, err = set.Describe(context.Background())
		}
		var damaged *backupset.ArchiveError
		if !errors.As(err, &damaged) || !strings.Contains(err.Error(), path) {
			t.Errorf("%d bytes described: %v", len(content), err)
		}
		if set == nil {
			continue
		}
		err = set.Read(context.Background(), set.Data(), &collector{into: contents{}})
		if !errors.As(err, &damaged) || !strings.Contains(err.Error(), path) {
			t.Errorf("%d bytes read: %v", len(content), err)
		}
	}
}

func TestHostileMembersAreRefused(t *testing.T) {
	for name, members := range map[string][]tar.Header{
		"outside": {member("data/PG_VERSION", "15\n"), member("other/file", "x")},
		"parent":  {member("PG_VERSION", "15\n"), member("base/../../x", "x")},
		"root":    {member("PG_VERSION", "15\n"), member("/etc/passwd", "x")},
		"a link that holds data": {member("PG_VERSION", "15\n"),
			{Name: "base", Linkname: "/srv/base", Typeflag: tar.TypeSymlink}},
		"a deep link": {member("PG_VERSION", "15\n"),
			{Name: "base/1", Linkname: "/srv/base", Typeflag: tar.TypeSymlink}},
		"a link upwards": {member("PG_VERSION", "15\n"),
			{Name: "pg_tblspc/1", Linkname: "../../x", Typeflag: tar.TypeSymlink}},
		"a file in place of the prefix": {member("data/PG_VERSION", "15\n"), member("data", "x")},
	} {
		path := filepath.Join(t.TempDir(), "it")
		write(t, path, string(tarOf(t, members...)))
		set := open(t, path)
		if err := set.Read(context.Background(), set.Data(), &collector{into: contents{}}); err == nil {
			t.Errorf("%s: read", name)
		}
	}
}

func TestLinksOfAHandMadeTarBecomeWhatAServerWouldSend(t *testing.T) {
	path := filepath.Join(t.TempDir(), "it")
	write(t, path, string(tarOf(t, member("data/PG_VERSION", "15\n"),
		tar.Header{Name: "data/pg_wal", Linkname: "/srv/wal", Typeflag: tar.TypeSymlink},
		tar.Header{Name: "data/server.key", Linkname: "/etc/ssl/key", Typeflag: tar.TypeSymlink},
		tar.Header{Name: "data/pg_tblspc/7", Linkname: "/srv/space", Typeflag: tar.TypeSymlink})))
	var notes []string
	set, err := backupset.Open(path, backupset.Options{Note: func(m string) { notes = append(notes, m) }})
	if err != nil {
		t.Fatal(err)
	}
	got := readAll(t, set)
	if len(got) != 3 || got["pg_wal"] != "dir" || got["pg_tblspc/7"] != "-> /srv/space" || len(notes) != 2 {
		t.Errorf("%v, notes %q", got, notes)
	}
	h := peek(t, set)
	if len(h.Links) != 2 || len(h.Tablespaces) != 1 || h.Tablespaces[0].Where != backupset.Nowhere {
		t.Errorf("%+v", h)
	}
}

func TestAnErrorOfTheVisitorComesBackAsItIs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "it")
	write(t, path, gzipped(t, tarOf(t, member("PG_VERSION", "15\n"))))
	set := open(t, path)
	if err := set.Read(context.Background(), set.Data(), failing{}); err != io.ErrNoProgress {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(io.ErrClosedPipe)
	if err := set.Read(ctx, set.Data(), failing{}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("canceled: %v", err)
	}
}

type failing struct{}

func (failing) Member(*tarstream.Header) error { return nil }
func (failing) Content([]byte) error           { return io.ErrNoProgress }
func (failing) EndMember() error               { return nil }

func TestAnIncrementalBackupIsToldByItsLabelAndItsFiles(t *testing.T) {
	for name, members := range map[string][]tar.Header{
		"label": {member("backup_label", label+"INCREMENTAL FROM LSN: 0/1000028\nINCREMENTAL FROM TLI: 1\n"), member("tablespace_map", ""), member("PG_VERSION", "18\n")},
		"files": {member("backup_label", label), member("tablespace_map", ""), member("PG_VERSION", "18\n"), member("base/1/INCREMENTAL.1259", "x")},
	} {
		path := filepath.Join(t.TempDir(), "it")
		write(t, path, gzipped(t, tarOf(t, members...)))
		if d := describe(t, open(t, path)); !d.Incremental || d.Version != 180000 {
			t.Errorf("%s: %+v", name, d)
		}
	}
}
