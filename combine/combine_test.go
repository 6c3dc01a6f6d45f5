package combine_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/combine"
	"github.com/pgbasin/pgbasin/incremental"
	"github.com/pgbasin/pgbasin/internal/backuptest"
	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/manifest"
	"github.com/pgbasin/pgbasin/verify"
)

const blockSize = 8192

func blocks(who ...byte) []byte {
	var b []byte
	for _, w := range who {
		b = append(b, bytes.Repeat([]byte{w}, blockSize)...)
	}
	return b
}

func changed(truncation uint32, by map[uint32][]byte) []byte {
	return backuptest.Incremental(incremental.DefaultLayout, truncation, by)
}

const space = "pg_tblspc/16400/PG_17_202406281/5/"

// sample is a chain with a bit of everything, and what comes out of it.
func sample() (list []*backuptest.Backup, want map[string]string) {
	stored := []map[string][]byte{
		{
			"base/5/1": blocks(1, 2, 3), "base/5/2": blocks(4), "base/5/3": blocks(5, 6), "base/5/4": blocks(7, 8), "base/5/4_fsm": blocks(1),
			space + "9": blocks(1, 2), "base/5/PG_VERSION": []byte("17\n"), "postgresql.conf": []byte("# 0\n"), "INCREMENTAL.notes": []byte("mine"),
		},
		{
			"base/5/INCREMENTAL.1": changed(3, map[uint32][]byte{1: blocks(10)}), "base/5/INCREMENTAL.3": changed(1, nil),
			"base/5/INCREMENTAL.4": changed(2, nil), "base/5/4_fsm": blocks(2), space + "INCREMENTAL.9": changed(3, map[uint32][]byte{2: blocks(11)}),
			"base/5/PG_VERSION": []byte("17\n"), "postgresql.conf": []byte("# 1\n"), "INCREMENTAL.notes": []byte("mine, too"),
		},
		{
			"base/5/INCREMENTAL.1": changed(5, map[uint32][]byte{4: blocks(12)}), "base/5/INCREMENTAL.3": changed(2, nil),
			"base/5/INCREMENTAL.4": changed(2, nil), "base/5/4_fsm": blocks(3), space + "INCREMENTAL.9": changed(3, map[uint32][]byte{0: blocks(13)}),
			"base/5/PG_VERSION": []byte("17\n"), "postgresql.conf": []byte("# 2\n"), "INCREMENTAL.notes": []byte("still mine"), "base/5/new": blocks(14),
		},
	}
	for i, files := range stored {
		b := &backuptest.Backup{
			Start: lsn.LSN(0x1000000 * (i + 1)), TLI: 1, Files: files, Control: backuptest.Control{SystemID: 77, Checksums: true},
			Checksums: manifest.CRC32C, Tablespaces: map[uint32]string{16400: "/srv/space"},
			WAL: map[string][]byte{"000000010000000000000001": fmt.Appendf(nil, "WAL %d", i)},
		}
		if i > 0 {
			b.From, b.FromTLI = list[i-1].Start, 1
		}
		list = append(list, b)
	}
	last := list[2]
	want = map[string]string{
		"base/5/1": string(blocks(1, 10, 3, 0, 12)), "base/5/3": string(blocks(5, 0)), "base/5/4": string(blocks(7, 8)), "base/5/4_fsm": string(blocks(3)),
		"base/5/new": string(blocks(14)), space + "9": string(blocks(13, 2, 11)), "base/5/PG_VERSION": "17\n", "postgresql.conf": "# 2\n",
		"INCREMENTAL.notes": "still mine", "PG_VERSION": "17\n", "backup_label": string(backuptest.Label(last.Start, 1, 0, 0)),
		"global/pg_control": string(last.Control.Bytes()), "pg_wal/000000010000000000000001": "WAL 2",
	}
	return list, want
}

// store writes a chain in tars of an algorithm, or as data directories.
func store(t testing.TB, list []*backuptest.Backup, tar bool, a codec.Algorithm) []string {
	t.Helper()
	dir := t.TempDir()
	var paths []string
	for i, b := range list {
		path := filepath.Join(dir, fmt.Sprintf("backup%d", i))
		if tar {
			b.Tar(path, codec.Spec{Algorithm: a})
		} else {
			b.Plain(path)
		}
		paths = append(paths, path)
	}
	return paths
}

// options are those of a run into a new directory, with the tablespace beside it.
func options(t testing.TB, paths []string, tar bool) combine.Options {
	out := filepath.Join(t.TempDir(), "out")
	old := "/srv/space"
	if !tar {
		old = backuptest.Location(paths[len(paths)-1], 16400)
	}
	return combine.Options{
		Backups: paths, Output: out, Checksums: manifest.CRC32C, Sync: combine.NoSync, Jobs: 2,
		Tablespaces: []combine.Mapping{{Old: old, New: out + ".space"}},
		Observer: combine.Observer{
			Warning: func(m, _ string) { t.Logf("warning: %s", m) },
			Cleanup: func(m string) { t.Logf("cleanup: %s", m) },
		},
	}
}

// tree reads all files of a result, links followed.
func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	var walk func(dir, name string)
	walk = func(dir, name string) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			at, name := filepath.Join(dir, e.Name()), strings.TrimPrefix(name+"/"+e.Name(), "/")
			if info, err := os.Stat(at); err != nil {
				t.Fatal(err)
			} else if info.IsDir() {
				walk(at, name)
				continue
			}
			b, err := os.ReadFile(at)
			if err != nil {
				t.Fatal(err)
			}
			files[name] = string(b)
		}
	}
	walk(dir, "")
	return files
}

func same(t testing.TB, got, want map[string]string) {
	t.Helper()
	for name, content := range want {
		if g, ok := got[name]; !ok {
			t.Errorf("%s is missing", name)
		} else if g != content {
			t.Errorf("%s is wrong: %d bytes instead of %d", name, len(g), len(content))
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s is too much", name)
		}
	}
}

// verified sees that a result is what its manifest says.
func verified(t testing.TB, dir string) {
	t.Helper()
	report, err := verify.Run(context.Background(), verify.Options{Path: dir, NoParseWAL: true, Observer: verify.Observer{
		Problem: func(p *verify.Problem) { t.Errorf("verify: %v", p) }, Warning: func(m string) { t.Errorf("verify: %s", m) },
	}})
	if err != nil || !report.OK() {
		t.Errorf("verify: %v", err)
	}
}

func TestADataDirectoryComesOutOfAnyForm(t *testing.T) {
	list, want := sample()
	for _, c := range []struct {
		tar bool
		a   codec.Algorithm
	}{{false, 0}, {true, codec.None}, {true, codec.Gzip}, {true, codec.Zstd}} {
		t.Run(fmt.Sprintf("%v %v", c.tar, c.a), func(t *testing.T) {
			paths := store(t, list, c.tar, c.a)
			o := options(t, paths, c.tar)
			result, err := combine.Run(context.Background(), o)
			if err != nil {
				t.Fatal(err)
			}
			got := tree(t, o.Output)
			if got["backup_manifest"] == "" {
				t.Error("there is no manifest")
			}
			delete(got, "backup_manifest")
			same(t, got, want)
			verified(t, o.Output)
			if target, err := os.Readlink(filepath.Join(o.Output, "pg_tblspc/16400")); target != o.Output+".space" {
				t.Errorf("the tablespace is at %q: %v", target, err)
			}
			if result.Files != int64(len(want)) || !result.Verified || result.SystemID != 77 || result.Start != 0x3000000 {
				t.Errorf("%+v", result)
			}
		})
	}
}

func TestTarsComeOutOfAnyForm(t *testing.T) {
	list, want := sample()
	want["tablespace_map"] = "16400 /srv/space\n"
	for _, tar := range []bool{false, true} {
		for _, a := range []codec.Algorithm{codec.None, codec.Gzip} {
			t.Run(fmt.Sprintf("%v %v", tar, a), func(t *testing.T) {
				paths := store(t, list, tar, codec.LZ4)
				o := options(t, paths, tar)
				o.Format, o.Compression = combine.Tar, codec.Spec{Algorithm: a}
				o.Tablespaces[0].New = "/srv/space"
				if _, err := combine.Run(context.Background(), o); err != nil {
					t.Fatal(err)
				}
				verified(t, o.Output)
				// What it holds is seen when it is made a data directory.
				again := options(t, []string{o.Output}, true)
				if _, err := combine.Run(context.Background(), again); err != nil {
					t.Fatal(err)
				}
				got := tree(t, again.Output)
				delete(got, "backup_manifest")
				withoutMap := map[string]string{}
				for name, content := range want {
					if name != "tablespace_map" {
						withoutMap[name] = content
					}
				}
				same(t, got, withoutMap)
			})
		}
	}
}

func TestAFailedRunLeavesNothing(t *testing.T) {
	list, _ := sample()
	for _, tar := range []bool{false, true} {
		paths := store(t, list, tar, codec.None)
		o := options(t, paths, tar)
		o.Format = combine.Plain
		if tar {
			damage(t, filepath.Join(paths[0], "base.tar"))
		} else {
			damage(t, filepath.Join(paths[0], "base/5/2"))
		}
		_, err := combine.Run(context.Background(), o)
		if err == nil || !strings.Contains(err.Error(), "is not what its manifest says") {
			t.Errorf("%v", err)
		}
		for _, path := range []string{o.Output, o.Output + ".space"} {
			if _, err := os.Lstat(path); !os.IsNotExist(err) {
				t.Errorf("%s is left: %v", path, err)
			}
		}
	}
}

// damage changes the last block of a file that does not belong to the end of a
// tar.
func damage(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	i := bytes.Index(b, blocks(4)) // base/5/2
	if i < 0 {
		t.Fatal("there is no such block")
	}
	b[i] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// changeFile changes a byte of a file.
func changeFile(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestFramesOfZstdEndWhereMembersBegin(t *testing.T) {
	list, _ := sample()
	for i := range 5 {
		list[0].Files[fmt.Sprint("base/5/10", i)] = bytes.Repeat([]byte{byte(i)}, 600<<10)
		for _, b := range list[1:] {
			b.Files[fmt.Sprint("base/5/INCREMENTAL.10", i)] = changed(75, nil)
		}
	}
	o := options(t, store(t, list, true, codec.None), true)
	o.Format, o.Compression = combine.Tar, codec.Spec{Algorithm: codec.Zstd}
	if _, err := combine.Run(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	z, err := os.ReadFile(filepath.Join(o.Output, "base.tar.zst"))
	if err != nil {
		t.Fatal(err)
	}
	if err := backuptest.CheckFrames(z); err != nil {
		t.Error(err)
	}
}
