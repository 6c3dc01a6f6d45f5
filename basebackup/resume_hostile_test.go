package basebackup_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/basebackup"
	"github.com/pgbasin/pgbasin/internal/pgfake"
)

// Whatever a server sends in a resumed backup, nothing is changed that it was not told of,
// and nothing outside of the backup's directories.
func TestAResumedBackupTakesNothingElseFromTheServer(t *testing.T) {
	space := spaceDir + pgfake.TablespaceVersionDir("18.4") + "/5/"
	whole := relation(7, 4, 0x2200000)
	for name, c := range map[string]struct {
		names []string // of what is sent
		data  []byte   // what all of it holds
		plant func(t *testing.T, b *broken)
		want  string
	}{
		"blocks of a file that it was not told of": {names: []string{"base/1/INCREMENTAL.7"}, data: incrementOf(whole, 1),
			want: `server sent "base/1/INCREMENTAL.7" for a file that it was not told of`},
		"blocks of a file that had not come whole": {names: []string{"base/1/INCREMENTAL.9.1"}, data: incrementOf(whole, 1),
			want: `server sent "base/1/INCREMENTAL.9.1" for a file that it was not told of`},
		"blocks of pg_control": {names: []string{"global/INCREMENTAL.pg_control"}, data: incrementOf(whole, 1),
			want: `server sent "global/INCREMENTAL.pg_control" for a file that it was not told of`},
		"a name that leads elsewhere": {names: []string{"base/1/../INCREMENTAL.1.1"}, data: incrementOf(whole, 1),
			want: `unsafe path name: "base/1/../INCREMENTAL.1.1"`},
		"blocks of a file, twice": {names: []string{"base/1/INCREMENTAL.1.1", "base/1/INCREMENTAL.1.1"}, data: incrementOf(whole, 1),
			want: `server sent "base/1/INCREMENTAL.1.1" for a file that it was not told of`},
		"blocks of a file, and then all of it": {names: []string{"base/1/INCREMENTAL.1.1", "base/1/1.1"}, data: incrementOf(whole, 1),
			want: `server sent file "base/1/1.1" twice`},
		"all of a file, and then blocks": {names: []string{"base/1/1.1", "base/1/INCREMENTAL.1.1"}, data: incrementOf(whole, 1),
			want: `server sent "base/1/INCREMENTAL.1.1" for a file that it was not told of`},
		"no incremental file": {names: []string{"base/1/INCREMENTAL.1.1"}, data: whole,
			want: `file "base/1/INCREMENTAL.1.1" has bad incremental magic number`},
		"half of one": {names: []string{"base/1/INCREMENTAL.1.1"}, data: incrementOf(whole, 1)[:8200],
			want: `file "base/1/INCREMENTAL.1.1" has 8200 bytes`},
		"an empty one": {names: []string{"base/1/INCREMENTAL.1.1"},
			want: `file "base/1/INCREMENTAL.1.1" ends too early`},
		"a link in place of a directory": {names: []string{"base/1/INCREMENTAL.1.1"}, data: incrementOf(whole, 1), plant: func(t *testing.T, b *broken) {
			moved := filepath.Join(b.dir, "base", "moved")
			if err := errors.Join(os.Rename(filepath.Join(b.dir, "base", "1"), moved), os.Symlink("moved", filepath.Join(b.dir, "base", "1"))); err != nil {
				t.Fatal(err)
			}
		}, want: `server sent "base/1/INCREMENTAL.1.1" for a file that it was not told of`},
		"a link in place of a file": {names: []string{"base/1/INCREMENTAL.1.1"}, data: incrementOf(whole, 1), plant: func(t *testing.T, b *broken) {
			file := filepath.Join(b.dir, "base", "1", "1.1")
			if err := errors.Join(os.Rename(file, file+".moved"), os.Symlink("1.1.moved", file)); err != nil {
				t.Fatal(err)
			}
		}, want: `server sent "base/1/INCREMENTAL.1.1" for a file that it was not told of`},
	} {
		t.Run(name, func(t *testing.T) {
			b := breakOff(t, nil)
			precious := filepath.Join(filepath.Dir(b.dir), "precious")
			if err := os.WriteFile(precious, []byte("data"), 0o600); err != nil {
				t.Fatal(err)
			}
			if c.plant != nil {
				c.plant(t, b)
			}
			files := map[string][]byte{}
			for _, name := range c.names {
				files[name] = c.data
			}
			_, err := b.resume(t, summarizing(b.data(files, c.names...)), nil)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %s", err, c.want)
			}
			after := b.tree(t)
			if _, ok := after["backup_manifest"]; ok {
				t.Error("it looks like a backup")
			}
			for _, other := range []string{"base/1/2.1", space + "4.1"} {
				if content, ok := after[other]; c.plant == nil && (!ok || content != string(b.files[other])) {
					t.Errorf("%s was changed", other)
				}
			}
			if content, err := os.ReadFile(precious); err != nil || string(content) != "data" {
				t.Errorf("%q, %v", content, err)
			}
		})
	}
}

// The archive of the data directory has no say in a tablespace, and the other way round.
func TestAFileComesInTheArchiveThatItBelongsTo(t *testing.T) {
	space := spaceDir + pgfake.TablespaceVersionDir("18.4") + "/5/"
	for name, content := range map[string][]byte{space + "INCREMENTAL.4.1": incrementOf(relation(7, 4, 0), 1), space + "4.1": relation(7, 4, 0)} {
		b := breakOff(t, nil)
		data := b.data(nil)
		data.Files = append(data.Files, pgfake.File{Path: name, Data: content})
		_, err := b.resume(t, summarizing(data), nil)
		if err == nil || !strings.Contains(err.Error(), "server sent file \""+name+"\" in an archive that it does not belong to") {
			t.Errorf("%s: %v", name, err)
		}
		if got := b.tree(t)[space+"4.1"]; got != string(b.files[space+"4.1"]) {
			t.Errorf("%s: the file was changed", name)
		}
	}
}

// A file is trusted for its content, whatever wrote to it and in what order.
func TestAFileThatIsNotAsItArrivedComesAgain(t *testing.T) {
	for name, change := range map[string]func(b []byte) []byte{
		"one bit":                     func(b []byte) []byte { b[20000] ^= 1; return b },
		"cut off":                     func(b []byte) []byte { return b[:2*8192] },
		"a byte more":                 func(b []byte) []byte { return append(b, 0) },
		"cut off, and zeroes instead": func(b []byte) []byte { return append(b[:2*8192], make([]byte, 2*8192)...) },
		"nothing":                     func(b []byte) []byte { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			b := breakOff(t, nil)
			path := filepath.Join(b.dir, "base", "1", "1.1")
			if err := os.WriteFile(path, change(bytes.Clone(b.files["base/1/1.1"])), 0o600); err != nil {
				t.Fatal(err)
			}
			sent := map[string][]byte{"base/1/1.1": relation(8, 5, 0x2200000), "base/1/INCREMENTAL.2.1": incrementOf(b.files["base/1/2.1"])}
			c := summarizing(b.data(sent, "base/1/1.1", "base/1/INCREMENTAL.2.1"))
			var said []string
			result, err := b.resume(t, c, func(o *basebackup.Options, _ *basebackup.PlainOptions) {
				o.Observer.Info = func(m string) { said = append(said, m) }
			})
			if err != nil || result.Kept != 11*8192 {
				t.Fatalf("%+v, %v", result, err)
			}
			if strings.Contains(string(c.Manifests()[0]), `"base/1/1.1"`) {
				t.Error("the server was told that it is there")
			}
			if !strings.Contains(strings.Join(said, "\n"), `file "base/1/1.1" is not as it arrived and is fetched again`) {
				t.Errorf("%q", said)
			}
			if got := b.tree(t)["base/1/1.1"]; got != string(sent["base/1/1.1"]) {
				t.Errorf("%d bytes came", len(got))
			}
		})
	}
}
