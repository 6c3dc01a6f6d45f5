package restore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/backupset"
	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/internal/backuptest"
	"github.com/pgbasin/pgbasin/manifest"
	"github.com/pgbasin/pgbasin/restore"
)

const inSpace = "pg_tblspc/16400/PG_17_202406281/5/"

// onlySample is a backup with a bit of everything.
func onlySample() *backuptest.Backup {
	return &backuptest.Backup{
		Start: 0x1000000, TLI: 1, Control: backuptest.Control{SystemID: 7}, Checksums: manifest.SHA256, Tablespaces: map[uint32]string{16400: "/srv/space"},
		Files: map[string][]byte{
			"base/5/1": bytes.Repeat([]byte("one"), 300_000), "base/5/10": []byte("ten"), "base/5/1_fsm": {}, "base/6/1": []byte("six"),
			"postgresql.conf": []byte("# conf\n"), "postgresql.auto.conf": []byte("# auto\n"), inSpace + "9": []byte("nine"), inSpace + "99": []byte("more"),
		},
		WAL: map[string][]byte{"000000010000000000000001": []byte("log one"), "000000010000000000000002": []byte("log two")},
	}
}

// onlyForms are the sample as it can be stored.
func onlyForms(t *testing.T, b *backuptest.Backup) map[string]string {
	t.Helper()
	dir := t.TempDir()
	forms := map[string]string{"plain": filepath.Join(dir, "plain")}
	b.Plain(forms["plain"])
	one := *b
	one.Tablespaces, one.Files = nil, maps.Clone(b.Files)
	maps.DeleteFunc(one.Files, func(name string, _ []byte) bool { return strings.HasPrefix(name, "pg_tblspc/") })
	for _, a := range []codec.Algorithm{codec.None, codec.Gzip, codec.LZ4, codec.Zstd} {
		tar, file := "tar"+a.Suffix(), "one tar"+a.Suffix()
		forms[tar], forms[file] = filepath.Join(dir, tar), filepath.Join(dir, "one.tar"+a.Suffix())
		b.Tar(forms[tar], codec.Spec{Algorithm: a})
		one.Single(filepath.Join(dir, "one.tar"), codec.Spec{Algorithm: a})
	}
	return forms
}

// filesIn are the regular files below a directory, and their contents.
func filesIn(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		if !d.Type().IsRegular() {
			t.Errorf("%s is no regular file", name)
			return nil
		}
		b, err := os.ReadFile(path)
		files[filepath.ToSlash(name)] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func onlyOptions(t *testing.T, backup string, names ...string) restore.OnlyOptions {
	return restore.OnlyOptions{
		Backup: backup, Names: names, Dir: filepath.Join(t.TempDir(), "made", "out"), Sync: restore.NoSync,
		Observer: restore.Observer{Warning: func(m string) { t.Log("warning: " + m) }, Cleanup: func(m string) { t.Log("cleanup: " + m) }},
	}
}

func TestOnlyGetsChosenFilesOutOfEveryForm(t *testing.T) {
	b := onlySample()
	all := maps.Clone(b.Files)
	for name, content := range b.WAL {
		all["pg_wal/"+name] = content
	}
	all["PG_VERSION"], all["global/pg_control"] = []byte("17\n"), b.Control.Bytes()
	for form, path := range onlyForms(t, b) {
		t.Run(form, func(t *testing.T) {
			for _, c := range []struct {
				names    string
				want     string
				compared int64
			}{
				{"global/pg_control", "global/pg_control", 1},
				{"base/5/1 PG_VERSION", "base/5/1 PG_VERSION", 2},
				{"base/5/", "base/5/1 base/5/10 base/5/1_fsm", 3},
				{"./base base/5/1", "base/5/1 base/5/10 base/5/1_fsm base/6/1", 4},
				{"postgresql.auto.conf postgresql.conf", "postgresql.auto.conf postgresql.conf", 1},
				{"pg_wal", "pg_wal/000000010000000000000001 pg_wal/000000010000000000000002", 0},
				{"pg_wal/000000010000000000000002", "pg_wal/000000010000000000000002", 0},
				{inSpace + "9", inSpace + "9", 1},
				{"pg_tblspc/16400 base/6", "base/6/1 " + inSpace + "9 " + inSpace + "99", 3},
				{"pg_tblspc", inSpace + "9 " + inSpace + "99", 2},
			} {
				if strings.HasPrefix(form, "one") && strings.Contains(c.names, "pg_tblspc") {
					continue // has no tablespaces
				}
				for _, noVerify := range []bool{false, true} {
					o := onlyOptions(t, path, strings.Fields(c.names)...)
					o.NoVerify = noVerify
					if form == "one tar.zst" {
						f, err := os.Open(path)
						if err != nil {
							t.Fatal(err)
						}
						defer f.Close()
						o.Backup, o.Stdin = "-", f
					}
					r, err := restore.Only(context.Background(), o)
					if err != nil {
						t.Fatalf("%s: %v", c.names, err)
					}
					want := map[string]string{}
					size := int64(0)
					for _, name := range strings.Fields(c.want) {
						want[name] = string(all[name])
						size += int64(len(all[name]))
					}
					if got := filesIn(t, o.Dir); !maps.Equal(got, want) {
						t.Errorf("%s: got %q", c.names, slices.Sorted(maps.Keys(got)))
					}
					compared := c.compared
					if noVerify {
						compared = 0
					}
					if r.Files != int64(len(want)) || r.Bytes != size || r.Verified == noVerify || r.Compared != compared || r.Dir != o.Dir {
						t.Errorf("%s: %+v", c.names, r)
					}
				}
			}
		})
	}
}

func TestOnlyRefusesWhatIsNotThereAndLeavesNothing(t *testing.T) {
	for form, path := range onlyForms(t, onlySample()) {
		o := onlyOptions(t, path, "base/5/1", "base/5/100", "pg_tblspc/16401", "base/5/1/")
		_, err := restore.Only(context.Background(), o)
		var missing *restore.NotFoundError
		if !errors.As(err, &missing) || !slices.Equal(missing.Names, []string{"base/5/100", "pg_tblspc/16401"}) {
			t.Errorf("%s: %v", form, err)
		}
		if _, err := os.Lstat(filepath.Dir(o.Dir)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: something is left: %v", form, err)
		}
	}
}

func TestOnlyRefusesNamesThatAreNone(t *testing.T) {
	path := onlyForms(t, onlySample())["tar"]
	for _, name := range []string{"", ".", "/", "/etc/passwd", "..", "../x", "base/../../x", "a\x00b"} {
		o := onlyOptions(t, path, "base", name)
		if _, err := restore.Only(context.Background(), o); err == nil || !strings.Contains(err.Error(), "is not the path of a file") {
			t.Errorf("%q: %v", name, err)
		}
	}
	o := onlyOptions(t, path)
	if _, err := restore.Only(context.Background(), o); err == nil {
		t.Error("nothing was named, and that is no error")
	}
	o = onlyOptions(t, path, "base")
	o.Dir = "relative"
	if _, err := restore.Only(context.Background(), o); err == nil {
		t.Error("a relative directory was accepted")
	}
}

func TestOnlyHoldsFilesAgainstTheManifest(t *testing.T) {
	listed := onlySample()
	for what, change := range map[string]func(files map[string][]byte){
		"content":           func(files map[string][]byte) { files["base/5/10"] = []byte("TEN") },
		"size":              func(files map[string][]byte) { files["base/5/10"] = []byte("tens") },
		"not in the backup": func(files map[string][]byte) { files["base/5/11"] = nil },
		"not listed":        func(files map[string][]byte) { delete(files, "base/5/10") },
	} {
		b := *listed
		b.ManifestFiles = maps.Clone(b.Files)
		change(b.ManifestFiles)
		for form, path := range onlyForms(t, &b) {
			o := onlyOptions(t, path, "base/5")
			_, err := restore.Only(context.Background(), o)
			var differs *manifest.VerifyErrors
			if !errors.As(err, &differs) || differs.Total != 1 || !strings.HasPrefix(differs.Errors[0].Path, "base/5/1") {
				t.Errorf("%s, %s: %v", what, form, err)
			}
			if _, err := os.Lstat(o.Dir); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s, %s: something is left", what, form)
			}
			// The difference is in what was not asked for.
			if r, err := restore.Only(context.Background(), onlyOptions(t, path, "base/6", "base/5/1")); err != nil || !r.Verified || r.Compared != 2 {
				t.Errorf("%s, %s: other files: %+v, %v", what, form, r, err)
			}
			o = onlyOptions(t, path, "base/5")
			o.NoVerify = true
			if r, err := restore.Only(context.Background(), o); err != nil || r.Verified {
				t.Errorf("%s, %s, without verification: %+v, %v", what, form, r, err)
			}
		}
	}
	b := *listed
	b.NoManifest = true
	for form, path := range onlyForms(t, &b) {
		if r, err := restore.Only(context.Background(), onlyOptions(t, path, "base/5")); err != nil || r.Verified || r.Compared != 0 || r.Files != 3 {
			t.Errorf("%s without a manifest: %+v, %v", form, r, err)
		}
	}
}

func TestOnlyIsStrictAboutItsBackupAndItsDirectory(t *testing.T) {
	incremental := onlySample()
	incremental.From, incremental.FromTLI = 0x500000, 1
	paths := onlyForms(t, incremental)
	var base *restore.IncrementalError
	for _, form := range []string{"plain", "tar", "tar.zst", "one tar.gz"} {
		if _, err := restore.Only(context.Background(), onlyOptions(t, paths[form], "PG_VERSION")); !errors.As(err, &base) {
			t.Errorf("%s: %v", form, err)
		}
	}

	twice := onlySample()
	twice.Twice = "base/5/10"
	for form, path := range onlyForms(t, twice) {
		if form == "plain" {
			continue
		}
		if _, err := restore.Only(context.Background(), onlyOptions(t, path, "base/5/10")); err == nil {
			t.Errorf("%s: a member that is there twice was accepted", form)
		}
	}

	path := onlyForms(t, onlySample())["plain"]
	o := onlyOptions(t, path, "PG_VERSION")
	o.Dir = filepath.Join(path, "base", "new")
	var overlap *restore.OverlapError
	if _, err := restore.Only(context.Background(), o); !errors.As(err, &overlap) {
		t.Errorf("into the backup: %v", err)
	}
	o.Dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(o.Dir, "mine"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var full *restore.NotEmptyError
	if _, err := restore.Only(context.Background(), o); !errors.As(err, &full) {
		t.Errorf("into a directory that is not empty: %v", err)
	}
	if got := filesIn(t, o.Dir); len(got) != 1 {
		t.Errorf("the directory has %v", got)
	}
}

// A killed run leaves what the next one removes; until then it is no backup.
func TestWhatAKilledRunOfOnlyLeftIsKnown(t *testing.T) {
	path := onlyForms(t, onlySample())["tar.zst"]
	o := onlyOptions(t, path, "PG_VERSION", "base/5/100")
	o.NoClean = true
	if _, err := restore.Only(context.Background(), o); err == nil {
		t.Fatal("no error")
	}
	left := filesIn(t, o.Dir)
	if left["PG_VERSION"] == "" || left[backupset.RestoreMarker] == "" {
		t.Fatalf("it left %v", slices.Sorted(maps.Keys(left)))
	}
	var incomplete *backupset.IncompleteError
	if _, err := backupset.Open(o.Dir, backupset.Options{}); !errors.As(err, &incomplete) {
		t.Errorf("it is opened as a backup: %v", err)
	}
	o.Names, o.Sync = []string{"base/6"}, restore.Fsync
	if _, err := restore.Only(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(slices.Sorted(maps.Keys(filesIn(t, o.Dir)))); got != "[base/6/1]" {
		t.Errorf("the directory has %s", got)
	}
}

func TestOnlyEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	stop := errors.New("stop")
	cancel(stop)
	path := onlyForms(t, onlySample())["tar.gz"]
	o := onlyOptions(t, path, "base")
	if _, err := restore.Only(ctx, o); !errors.Is(err, stop) {
		t.Error(err)
	}
	if _, err := os.Lstat(o.Dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something is left: %v", err)
	}
}

// What was got out of a real backup is what a restore of all of it has.
func TestOnlyOfARealBackupIsWhatARestoreHas(t *testing.T) {
	b := newBackup(t)
	whole := b.options()
	p, err := restore.Prepare(context.Background(), whole)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	o := onlyOptions(t, b.path, "global", "base/1", "pg_tblspc/"+fixture.oid)
	o.Sync = restore.Syncfs
	r, err := restore.Only(context.Background(), o)
	if err != nil || !r.Verified || r.Compared != r.Files || r.Files < 300 {
		t.Fatalf("%+v, %v", r, err)
	}
	for name, content := range filesIn(t, o.Dir) {
		if strings.Contains(name, "pg_internal.init") {
			continue // left out of a restore
		}
		at := filepath.Join(whole.DataDir, name)
		if rest, ok := strings.CutPrefix(name, "pg_tblspc/"+fixture.oid+"/"); ok {
			at = filepath.Join(p.Tablespaces[0].Path, rest)
		}
		if want, err := os.ReadFile(at); err != nil || string(want) != content {
			t.Errorf("%s is another one: %v", name, err)
		}
	}
}
