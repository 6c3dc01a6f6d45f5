package basebackup_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/basebackup"
	"github.com/pgbasin/pgbasin/internal/durable"
	"github.com/pgbasin/pgbasin/internal/pgfake"
	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/manifest"
)

// relation is n blocks of a relation file, changed at a position of the WAL.
func relation(fill byte, n int, at lsn.LSN) []byte {
	b := bytes.Repeat([]byte{fill}, n*8192)
	for page := b; len(page) > 0; page = page[8192:] {
		binary.LittleEndian.PutUint32(page, uint32(at>>32))
		binary.LittleEndian.PutUint32(page[4:], uint32(at))
		for i, v := range []uint16{24, 24, 8192, 8192 | 4} {
			binary.LittleEndian.PutUint16(page[12+2*i:], v)
		}
	}
	return b
}

// incrementOf is the incremental file with these blocks of a file.
func incrementOf(data []byte, blocks ...uint32) []byte {
	var b []byte
	for _, n := range append([]uint32{0xd3ae1f0d, uint32(len(blocks)), uint32(len(data) / 8192)}, blocks...) {
		b = binary.LittleEndian.AppendUint32(b, n)
	}
	for len(blocks) > 0 && len(b)%8192 != 0 {
		b = append(b, 0)
	}
	for _, n := range blocks {
		b = append(b, data[n*8192:][:8192]...)
	}
	return b
}

const (
	firstStart = 0x2000028
	nextStart  = 0x3000028
)

// summarizing is a server with these files whose backups can be resumed.
func summarizing(data *pgfake.Data) *pgfake.Cluster {
	return &pgfake.Cluster{
		Version: "18.4", SystemID: 42, Data: data, Start: nextStart,
		Settings: map[string]string{"summarize_wal": "on", "block_size": "8192", "segment_size": "1GB"},
	}
}

// broken is what an attempt leaves that was cut off in the middle of its last file.
type broken struct {
	dir, space string
	server     string // the tablespace's location there
	files      map[string][]byte
}

const spaceDir = "pg_tblspc/16384/"

func (b *broken) options() basebackup.PlainOptions {
	return basebackup.PlainOptions{
		Path: b.dir, Sync: durable.NoSync, Tablespaces: []basebackup.TablespaceMapping{{Old: b.server, New: b.space}},
	}
}

// data is files for a server. Those below spaceDir are a tablespace's.
func (b *broken) data(files map[string][]byte, names ...string) *pgfake.Data {
	d := &pgfake.Data{
		Files:       []pgfake.File{{Path: "PG_VERSION", Data: []byte("18\n")}, {Path: "pg_tblspc/"}},
		Tablespaces: []pgfake.Tablespace{{OID: 16384, Location: b.server}},
	}
	for _, name := range names {
		if below, ok := strings.CutPrefix(name, spaceDir); ok {
			d.Tablespaces[0].Files = append(d.Tablespaces[0].Files, pgfake.File{Path: below, Data: files[name]})
		} else {
			d.Files = append(d.Files, pgfake.File{Path: name, Data: files[name]})
		}
	}
	return d
}

func breakOff(t *testing.T, tune func(*pgfake.Cluster, *basebackup.Options)) *broken {
	t.Helper()
	home := t.TempDir()
	b := &broken{dir: filepath.Join(home, "backup"), space: filepath.Join(home, "space"), server: "/nowhere/space", files: map[string][]byte{
		spaceDir + pgfake.TablespaceVersionDir("18.4") + "/5/4.1": relation(4, 3, 0x1000000),
		"base/1/1.1": relation(1, 4, 0x1000000), "base/1/2.1": relation(2, 6, 0x2000100), "base/2/3.1": relation(3, 2, 0x1000000),
		"base/1/9.1": relation(9, 300, 0x1000000),
	}}
	c := summarizing(b.data(b.files, spaceDir+pgfake.TablespaceVersionDir("18.4")+"/5/4.1", "base/1/1.1", "base/1/2.1", "base/2/3.1", "base/1/9.1"))
	c.Start = firstStart
	c.Faults = func(n int) []pgfake.Fault {
		if n == 0 {
			return []pgfake.Fault{{After: 1 << 20, Kind: pgfake.FIN}}
		}
		return nil
	}
	o := basebackup.Options{Resumable: true, Retries: -1}
	if tune != nil {
		tune(c, &o)
	}
	o.Connect = connector(t, pgfake.Serve(t, c))
	_, err := basebackup.Run(context.Background(), o, basebackup.Plain(b.options()))
	var resumable *basebackup.ResumableError
	if !errors.As(err, &resumable) || resumable.Files != 4 || resumable.Bytes != 15*8192 || resumable.Path != b.dir {
		t.Fatalf("%T %v: %+v", err, err, resumable)
	}
	return b
}

// resume goes on with it, at another server.
func (b *broken) resume(t *testing.T, c *pgfake.Cluster, tune func(*basebackup.Options, *basebackup.PlainOptions)) (*basebackup.Result, error) {
	t.Helper()
	o := basebackup.Options{Connect: connector(t, pgfake.Serve(t, c)), Resume: true, Retries: -1}
	d := b.options()
	d.Tablespaces = nil
	if tune != nil {
		tune(&o, &d)
	}
	return basebackup.Run(context.Background(), o, basebackup.Plain(d))
}

// tree is all that is there.
func (b *broken) tree(t *testing.T) map[string]string {
	t.Helper()
	files := readTree(t, b.dir)
	if _, err := os.Stat(b.space); err == nil {
		for name, content := range readTree(t, b.space) {
			files[spaceDir+name] = content
		}
	}
	return files
}

func TestAResumedBackupIsAFullOne(t *testing.T) {
	b := breakOff(t, nil)
	space := spaceDir + pgfake.TablespaceVersionDir("18.4") + "/5/"
	// 1 is changed, 2 is as it was, 3 is gone with its directory, 4 is changed, 9 is
	// missing, 5 is new.
	want := map[string][]byte{
		"base/1/1.1": append(bytes.Clone(b.files["base/1/1.1"][:3*8192]), relation(11, 3, 0x2200000)...),
		"base/1/2.1": b.files["base/1/2.1"], space + "4.1": relation(14, 3, 0x2200000),
		"base/1/9.1": b.files["base/1/9.1"], "base/1/5.1": relation(5, 1, 0x2200000),
	}
	sent := map[string][]byte{
		"base/1/INCREMENTAL.1.1": incrementOf(want["base/1/1.1"], 3, 4, 5), "base/1/INCREMENTAL.2.1": incrementOf(want["base/1/2.1"]),
		space + "INCREMENTAL.4.1": incrementOf(want[space+"4.1"], 0, 1, 2), "base/1/9.1": want["base/1/9.1"], "base/1/5.1": want["base/1/5.1"],
	}
	c := summarizing(b.data(sent, space+"INCREMENTAL.4.1", "base/1/INCREMENTAL.1.1", "base/1/INCREMENTAL.2.1", "base/1/9.1", "base/1/5.1"))
	var said []string
	result, err := b.resume(t, c, func(o *basebackup.Options, _ *basebackup.PlainOptions) {
		o.Observer.Retry = func(m string, _ error) { said = append(said, m) }
	})
	if err != nil {
		t.Fatal(err)
	}
	if result.Attempts != 2 || result.Kept != 15*8192 || !result.Verified {
		t.Errorf("%+v", result)
	}
	if len(said) != 1 || !strings.HasPrefix(said[0], "resumed: ") || !strings.Contains(said[0], " % kept, ") {
		t.Errorf("%q", said)
	}

	// The server was told of what had come whole, and since when.
	uploaded := manifest.NewReader(bytes.NewReader(c.Manifests()[0]))
	var names []string
	for uploaded.Next() {
		names = append(names, uploaded.File().Path)
	}
	slices.Sort(names)
	if err := uploaded.Err(); err != nil || fmt.Sprint(names) != fmt.Sprint([]string{"base/1/1.1", "base/1/2.1", "base/2/3.1", space + "4.1"}) ||
		uploaded.SystemIdentifier() != 42 || fmt.Sprint(uploaded.WALRanges()) != "[{1 0/2000028 0/2000028}]" {
		t.Errorf("%v: %v, %v", err, names, uploaded.WALRanges())
	}

	files := b.tree(t)
	for name, content := range want {
		if files[name] != string(content) {
			t.Errorf("%s: %d bytes, want %d", name, len(files[name]), len(content))
		}
	}
	for name := range files {
		if strings.Contains(name, "INCREMENTAL") || strings.Contains(name, ".tmp") || strings.Contains(name, "journal") || strings.HasPrefix(name, "base/2") {
			t.Errorf("%s is left", name)
		}
	}
	if _, err := os.Stat(filepath.Join(b.dir, "base/2")); !os.IsNotExist(err) {
		t.Errorf("a directory that is gone: %v", err)
	}
	// Its manifest lists exactly what is there, as it is.
	listed := manifest.NewReader(strings.NewReader(files["backup_manifest"]))
	n := 0
	for listed.Next() {
		f := listed.File()
		sum := f.Algorithm.New()
		sum.Write([]byte(files[f.Path]))
		if f.Size != int64(len(files[f.Path])) || !bytes.Equal(sum.Sum(nil), f.Checksum) {
			t.Errorf("%s: the manifest says otherwise", f.Path)
		}
		n++
	}
	if err := listed.Err(); err != nil || n < len(want)+3 || fmt.Sprint(listed.WALRanges()) != "[{1 0/3000028 0/3000100}]" {
		t.Errorf("%v, %d files, %v", err, n, listed.WALRanges())
	}
}

// What there is of a backup is left as it was by every refusal, but for what the journal
// says of files that are not as they were.
func TestWhatCannotBeResumedIsRefusedWithTheReason(t *testing.T) {
	for name, c := range map[string]struct {
		server  func(*pgfake.Cluster)
		options func(*testing.T, *broken, *basebackup.Options, *basebackup.PlainOptions)
		want    string
	}{
		"server before 17": {server: func(c *pgfake.Cluster) { c.Version = "16.10" },
			want: "that needs server version 17 or later, this server is 16.10"},
		"no summaries": {server: func(c *pgfake.Cluster) { c.Settings["summarize_wal"] = "off" },
			want: "summarize_wal is off on the server, which therefore does not know what was changed meanwhile"},
		"another cluster": {server: func(c *pgfake.Cluster) { c.SystemID = 43 },
			want: "it is of another cluster, with system identifier 42 and not 43"},
		"another major version": {server: func(c *pgfake.Cluster) { c.Version = "19devel" },
			want: "it is of a server of version 18 and not 19"},
		"another block size": {server: func(c *pgfake.Cluster) { c.Settings["block_size"] = "16384" },
			want: "it is of a server with blocks of 8192 bytes and not 16384"},
		"other checksums": {options: func(_ *testing.T, _ *broken, o *basebackup.Options, _ *basebackup.PlainOptions) {
			o.ManifestChecksums = "SHA256"
		},
			want: "its files have CRC32C checksums and not SHA256 (--manifest-checksums)"},
		"a timeline of no ancestor": {server: func(c *pgfake.Cluster) {
			c.Timeline, c.Ancestors = 3, []pgfake.Ancestor{{Timeline: 2, Switch: 0x2800000}}
		},
			want: "it is on timeline 1, which is not in the history of this server's timeline 3"},
		"promoted before what was read": {server: func(c *pgfake.Cluster) { c.Ancestors = []pgfake.Ancestor{{Timeline: 1, Switch: 0x2000080}} },
			want: "its files have changes up to 0/2000100, but this server left timeline 1 at 0/2000080"},
		"a standby that is behind": {server: func(c *pgfake.Cluster) { c.Flush = 0x2000080 },
			want: "its files have changes up to 0/2000100, but this server is only at 0/2000080"},
		"no journal": {options: func(t *testing.T, b *broken, _ *basebackup.Options, _ *basebackup.PlainOptions) {
			if err := os.Remove(filepath.Join(b.dir, basebackup.JournalName)); err != nil {
				t.Fatal(err)
			}
		}, want: `there is no file "pgbasin_backup.journal" in it, so that it is not known what has arrived`},
		"a damaged journal": {options: func(t *testing.T, b *broken, _ *basebackup.Options, _ *basebackup.PlainOptions) {
			path := filepath.Join(b.dir, basebackup.JournalName)
			content, err := os.ReadFile(path)
			if err == nil {
				content[len(content)/2] ^= 1
				err = os.WriteFile(path, content, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}, want: "is damaged at byte "},
		"no directory": {options: func(_ *testing.T, _ *broken, _ *basebackup.Options, d *basebackup.PlainOptions) { d.Path += "s" },
			want: "the directory is not there"},
		"a copy": {options: func(t *testing.T, b *broken, _ *basebackup.Options, d *basebackup.PlainOptions) {
			d.Path += "-copy"
			if err := os.CopyFS(d.Path, os.DirFS(b.dir)); err != nil {
				t.Fatal(err)
			}
		}, want: "what belongs to it elsewhere is not this directory's"},
		"another place for a tablespace": {options: func(_ *testing.T, b *broken, _ *basebackup.Options, d *basebackup.PlainOptions) {
			d.Tablespaces = []basebackup.TablespaceMapping{{Old: b.server, New: b.space + "2"}}
		}, want: `the tablespace that the server has at "/nowhere/space" is in `},
		"a place for the WAL that was not": {options: func(t *testing.T, b *broken, _ *basebackup.Options, d *basebackup.PlainOptions) {
			d.WALDir = filepath.Join(filepath.Dir(b.dir), "wal")
			if err := errors.Join(os.Mkdir(d.WALDir, 0o700), os.WriteFile(filepath.Join(d.WALDir, "precious"), nil, 0o600)); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if _, err := os.Stat(filepath.Join(d.WALDir, "precious")); err != nil {
					t.Error(err)
				}
			})
		}, want: "its WAL is in "},
		"what no backup has put there": {options: func(t *testing.T, b *broken, _ *basebackup.Options, _ *basebackup.PlainOptions) {
			if err := os.WriteFile(filepath.Join(b.space, "diary"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, want: `there is "diary" in `},
	} {
		t.Run(name, func(t *testing.T) {
			b := breakOff(t, nil)
			s := summarizing(b.data(nil))
			if c.server != nil {
				c.server(s)
			}
			var before map[string]string
			_, err := b.resume(t, s, func(o *basebackup.Options, d *basebackup.PlainOptions) {
				if c.options != nil {
					c.options(t, b, o, d)
				}
				before = b.tree(t)
			})
			var refused *basebackup.ResumeError
			if !errors.As(err, &refused) || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "cannot resume the backup in ") ||
				!strings.Contains(err.Error(), "a fresh one is needed: ") {
				t.Fatalf("%v, want %s", err, c.want)
			}
			after := b.tree(t)
			for name, content := range before {
				if after[name] != content {
					t.Errorf("%s was changed", name)
				}
			}
		})
	}
}

func TestAPromotedStandbyThatHasEverythingIsGoneOnWith(t *testing.T) {
	b := breakOff(t, nil)
	c := summarizing(b.data(map[string][]byte{"base/1/5.1": relation(5, 1, 0)}, "base/1/5.1"))
	c.Ancestors = []pgfake.Ancestor{{Timeline: 1, Switch: 0x2800000}}
	if result, err := b.resume(t, c, nil); err != nil || result.Timeline != 2 || result.Kept == 0 {
		t.Errorf("%+v, %v", result, err)
	}
}

// A server that ends the backup before all changes are in its WAL that the files have is
// another one than it was.
func TestABackupThatEndsTooEarlyIsNone(t *testing.T) {
	b := breakOff(t, nil)
	c := summarizing(b.data(nil))
	c.Start, c.Stop, c.Flush = firstStart, firstStart+0x40, 0x3000000
	_, err := b.resume(t, c, nil)
	var refused *basebackup.ResumeError
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), "its files have changes up to 0/2000100, but the server ended the backup at 0/2000068") {
		t.Errorf("%v", err)
	}
	if _, ok := b.tree(t)["backup_manifest"]; ok {
		t.Error("it looks like a backup")
	}
}
