package basebackup_test

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgbasin/pgbasin/basebackup"
	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/internal/pgfake"
)

// The layouts of what BASE_BACKUP sends: without a manifest, with one in a COPY of
// its own, and all in one COPY.
const (
	v9  = "9.6.24"
	v14 = "14.23"
	v16 = "16.14"
	v18 = "18.4"
)

var (
	layouts   = []string{v9, v14, v16, v18}
	manifests = []string{v14, v16, v18} // servers that have them
	oneCopy   = []string{v16, v18}
)

// patience bounds how long a client may listen to a lie.
const patience = time.Minute

// A lie is what a server does wrong, and what the error says of it.
type lie struct {
	name     string
	versions []string // nil = all
	forms    []string // nil = all
	// change makes the server lie to a backup whose directory is dir, where the
	// destinations' own is dir/backup.
	change  func(c *pgfake.Cluster, dir string)
	options func(*basebackup.Options)
	want    string
}

// edited changes what is sent for a request.
func edited(change func(b *pgfake.BaseBackup)) func(*pgfake.Cluster, string) {
	return func(c *pgfake.Cluster, _ string) {
		c.Edit = func(_ pgfake.BackupRequest, b *pgfake.BaseBackup) { change(b) }
	}
}

func tampered(t pgfake.Tamper) func(*pgfake.Cluster, string) {
	return func(c *pgfake.Cluster, _ string) { c.Tamper = t }
}

// tablespaces adds some with these locations, in which DIR stands for the directory
// that the destination is made in.
func tablespaces(oid func(i int) uint32, locations ...string) func(*pgfake.Cluster, string) {
	return func(c *pgfake.Cluster, dir string) {
		c.Edit = func(_ pgfake.BackupRequest, b *pgfake.BaseBackup) {
			var list []pgfake.Archive
			for i, at := range locations {
				name := fmt.Sprintf("PG_16_1/%d", i)
				list = append(list, pgfake.Archive{
					Name: fmt.Sprintf("%d.tar", oid(i)), OID: oid(i), Location: strings.ReplaceAll(at, "DIR", dir),
					Tar: pgfake.Tar(pgfake.File{Path: "PG_16_1/"}, pgfake.File{Path: name, Data: []byte("x")}),
				})
			}
			b.Archives = append(list, b.Archives...)
		}
	}
}

func rising(i int) uint32 { return 16384 + uint32(i) }
func same(int) uint32     { return 16384 }

// data changes the data directory's archive.
func data(change func(tar []byte) []byte) func(*pgfake.Cluster, string) {
	return func(c *pgfake.Cluster, _ string) { c.Edit = edit(change) }
}

// without leaves members out of an archive.
func without(names ...string) func([]byte) []byte {
	return func(b []byte) []byte {
		return slices.Concat(members(b, func(h *tar.Header) bool { return !slices.Contains(names, h.Name) })...)
	}
}

// upTo ends an archive before a member.
func upTo(name string) func([]byte) []byte {
	return func(b []byte) []byte {
		there := true
		return slices.Concat(members(b, func(h *tar.Header) bool {
			there = there && h.Name != name
			return there
		})...)
	}
}

// members cuts an archive into members and keeps some.
func members(b []byte, keep func(*tar.Header) bool) (out [][]byte) {
	for len(b) > 0 {
		h, err := tar.NewReader(bytes.NewReader(b)).Next()
		if err != nil {
			panic(err)
		}
		n := 512 + (h.Size+511)/512*512
		if keep(h) {
			out = append(out, b[:n])
		}
		b = b[n:]
	}
	return out
}

// sized is the header of a file with a size that it does not have.
func sized(name string, size [12]byte) []byte {
	b := pgfake.Tar(pgfake.File{Path: name})
	copy(b[124:136], size[:])
	copy(b[148:156], "        ")
	sum := 0
	for _, c := range b[:512] {
		sum += int(c)
	}
	copy(b[148:156], fmt.Sprintf("%06o\x00 ", sum))
	return b
}

var (
	exbibytes = [12]byte{0: 0x80, 4: 0x7f, 5: 0xff, 6: 0xff, 7: 0xff, 8: 0xff, 9: 0xff, 10: 0xff, 11: 0xff} // 8 EiB - 1
	beyond    = [12]byte{0: 0x80, 3: 1}                                                                     // 2^64 bytes
	negative  = [12]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
)

func at(part pgfake.Part, n int) pgfake.At {
	return pgfake.At{Command: "BASE_BACKUP", Part: part, N: n}
}

// lies are those that hostile_test.go has not, with the layouts that they fit.
var lies = []lie{
	{name: "no member in the data directory", change: data(func([]byte) []byte { return nil }), want: `archive base.tar: it holds no file "backup_label"`},
	{name: "no pg_control", change: data(without("global/pg_control")), want: `archive base.tar: it holds no file "global/pg_control"`},
	{name: "no backup_label", change: data(without("backup_label")), want: `archive base.tar: it holds no file "backup_label"`},
	{name: "no PG_VERSION", change: data(without("PG_VERSION")), want: `archive base.tar: it holds no file "PG_VERSION"`},
	{name: "an end between two members", change: data(upTo("global/1262")), want: `archive base.tar: it holds no file "global/pg_control"`},
	{name: "a member twice", forms: []string{"plain"}, change: data(func(b []byte) []byte { return append(pgfake.Tar(pgfake.File{Path: "backup_label"}), b...) }), want: `backup_label"`},
	{name: "a member twice that the manifest has once", versions: manifests, change: data(func(b []byte) []byte { return append(pgfake.Tar(pgfake.File{Path: "backup_label"}), b...) }), want: `backup_label"`},
	{name: "a member of 8 EiB", change: data(func(b []byte) []byte { return append(b, sized("base/1/huge", exbibytes)...) }), want: `base/1/huge`},
	{name: "a member of 16 EiB", change: data(func(b []byte) []byte { return append(b, sized("base/1/huge", beyond)...) }), want: `base/1/huge`},
	{name: "a member of a negative size", change: data(func(b []byte) []byte { return append(b, sized("base/1/huge", negative)...) }), want: `base/1/huge`},

	{name: "CommandComplete inside a COPY", change: tampered(pgfake.Replace(at(pgfake.PartData, 1), pgfake.CommandComplete("SELECT"))), want: `unexpected message of type 'C' in the answer to BASE_BACKUP`},
	{name: "ReadyForQuery inside a COPY", change: tampered(pgfake.Replace(at(pgfake.PartData, 1), pgfake.ReadyForQuery())), want: `unexpected message of type 'Z' in the answer to BASE_BACKUP`},
	{name: "a COPY inside a COPY", change: tampered(pgfake.Before(at(pgfake.PartData, 1), pgfake.CopyOut())), want: `unexpected message of type 'H' in the answer to BASE_BACKUP`},
	{name: "a piece of data with a length of 3", change: tampered(pgfake.Change(at(pgfake.PartData, 1), lengthOf(3))), want: `message of type 'd' claims a length of 3 bytes`},
	{name: "a piece of data with a negative length", change: tampered(pgfake.Change(at(pgfake.PartData, 1), lengthOf(1<<32-1))), want: `message of type 'd' claims a length of 4294967295 bytes`},
	{name: "a piece of data that is shorter than it says", change: tampered(pgfake.Change(at(pgfake.PartData, 0), lengthOf(1<<31-1))), want: `base.tar`},
	{name: "a piece of data that is longer than it says", change: tampered(pgfake.Change(at(pgfake.PartData, 0), lengthOf(5000))), want: `message of type`},
	{name: "nothing but success", change: tampered(onlySuccess), want: `unexpected response to BASE_BACKUP`},
	{name: "success after the list of tablespaces", change: tampered(pgfake.Replace(at(pgfake.PartCopyBegin, 0), pgfake.CommandComplete("BASE_BACKUP"))), want: `unexpected message of type 'C' in the answer to BASE_BACKUP`},
	{name: "an error without fields", change: tampered(pgfake.Replace(at(pgfake.PartData, 1), pgfake.RawBytes([]byte("E\x00\x00\x00\x05\x00")), pgfake.ReadyForQuery())), want: `base.tar: ERROR:  (without a message)`},

	{name: "an archive compressed unasked", versions: oneCopy, change: tampered(pgfake.Replace(at(pgfake.PartArchive, 0), pgfake.CopyData([]byte("nbase.tar.gz\x00\x00")))), want: `archive "base.tar.gz" instead of "base.tar"`},
	{name: "an archive with a suffix that nobody knows", versions: oneCopy, change: tampered(pgfake.Replace(at(pgfake.PartArchive, 0), pgfake.CopyData([]byte("nbase.tar.exe\x00\x00")))), want: `archive "base.tar.exe" instead of "base.tar"`},
	{name: "an archive name without an end", versions: oneCopy, change: tampered(pgfake.Replace(at(pgfake.PartArchive, 0), pgfake.CopyData([]byte("nbase.tar")))), want: `malformed COPY message of type 110`},
	{name: "an archive name with a backslash", versions: oneCopy, change: tampered(pgfake.Replace(at(pgfake.PartArchive, 0), pgfake.CopyData([]byte("n..\\base.tar\x00\x00")))), want: `invalid archive name`},
	{name: "COPY ended before the archive", versions: oneCopy, change: tampered(pgfake.Replace(at(pgfake.PartArchive, 0), pgfake.CopyDone())), want: `server sent 0 archives for 1 tablespaces`},

	{name: "no manifest", versions: manifests, change: edited(func(b *pgfake.BaseBackup) { b.Manifest = nil }), want: `manifest`},
	{name: "an empty manifest", versions: manifests, change: edited(func(b *pgfake.BaseBackup) { b.Manifest = []byte{} }), want: `manifest`},
	{name: "two manifests", versions: oneCopy, change: tampered(pgfake.Before(at(pgfake.PartCopyEnd, 0), pgfake.CopyData([]byte("m")))), want: `second backup manifest`},
	{name: "another COPY after the manifest", versions: []string{v14}, change: tampered(pgfake.Before(at(pgfake.PartStop, 0), pgfake.CopyOut(), pgfake.CopyData([]byte("{}")), pgfake.CopyDone())), want: `unexpected message of type 'H' in the answer to BASE_BACKUP`},
	{name: "a manifest that was not asked for", versions: oneCopy, options: func(o *basebackup.Options) { o.NoManifest = true },
		change: tampered(pgfake.Before(at(pgfake.PartCopyEnd, 0), pgfake.CopyData([]byte("m")), pgfake.CopyData([]byte("d{}")))), want: `a backup manifest that was not asked for`},
	{name: "an archive after the manifest", versions: oneCopy, change: tampered(pgfake.Before(at(pgfake.PartCopyEnd, 0), pgfake.CopyData([]byte("n16384.tar\x00/x\x00")))), want: `archives must precede manifest`},
	{name: "a manifest of deeply nested lists", versions: manifests, change: edited(func(b *pgfake.BaseBackup) { b.Manifest = bytes.Repeat([]byte("["), 1<<20) }), want: `manifest`},
	{name: "a manifest of one long string", versions: manifests, change: edited(func(b *pgfake.BaseBackup) { b.Manifest = append([]byte(`{"`), bytes.Repeat([]byte("x"), 1<<20)...) }), want: `manifest`},
	{name: "a manifest of other WAL", versions: manifests, change: edited(func(b *pgfake.BaseBackup) { b.Stop += 8 }), want: `manifest does not list the WAL from 0/2000028 on timeline 1 to 0/2000108`},

	{name: "a start that is nowhere", change: edited(func(b *pgfake.BaseBackup) { b.Start = 0 }), want: `the backup cannot begin at 0/0`},
	{name: "a start on timeline 0", change: edited(func(b *pgfake.BaseBackup) { b.Timeline = 0 }), want: `bad timeline "0"`},
	{name: "a start on no timeline", change: tampered(pgfake.Replace(at(pgfake.PartStart, 1), pgfake.Row("0/2000028"))), want: `unexpected response to BASE_BACKUP command: got 1 rows and 1 fields, expected 1 rows and 2 or more fields`},
	{name: "a stop on no timeline", change: tampered(pgfake.Replace(at(pgfake.PartStop, 1), pgfake.Row("0/2000100"))), want: `no write-ahead log end position returned from server: got 1 rows and 1 fields`},
	{name: "a stop before the start", change: edited(func(b *pgfake.BaseBackup) { b.Stop = b.Start - 1 }), want: `no write-ahead log end position returned from server: it ends at`},
	{name: "a stop on an older timeline", change: edited(func(b *pgfake.BaseBackup) { b.Timeline = 3; b.StopTimeline = 2 }), options: func(o *basebackup.Options) { o.WAL = basebackup.WALNone }, want: `it ends at`},
	{name: "fetched WAL that lacks a segment", change: data(withoutSegments), options: func(o *basebackup.Options) { o.WAL = basebackup.WALFetch }, want: `which the backup needs`},

	{name: "a tablespace twice", change: tablespaces(same, "/a", "/b"), want: `tablespace 16384 is listed twice`},
	{name: "a tablespace with OID 0", change: tampered(pgfake.Before(at(pgfake.PartTablespaces, 1), pgfake.Row("0", "/a", nil))), want: `bad tablespace "0" at "/a"`},
	{name: "a tablespace with a huge OID", change: tampered(pgfake.Before(at(pgfake.PartTablespaces, 1), pgfake.Row("4294967296", "/a", nil))), want: `bad tablespace "4294967296" at "/a"`},
	{name: "a tablespace without a place", change: tampered(pgfake.Before(at(pgfake.PartTablespaces, 1), pgfake.Row("16384", nil, nil))), want: `bad tablespace "16384" at ""`},
	{name: "a tablespace of a negative size", change: tampered(pgfake.Before(at(pgfake.PartTablespaces, 1), pgfake.Row("16384", "/a", "-1"))), want: `bad size "-1" of tablespace "16384"`},
	{name: "no data directory", change: tampered(pgfake.Replace(at(pgfake.PartTablespaces, 1), pgfake.Row("16384", "/a", nil))), want: `the data directory is not listed`},
	{name: "two data directories", change: tampered(pgfake.Before(at(pgfake.PartTablespaces, 1), pgfake.Row(nil, nil, nil))), want: `tablespace 0 is listed twice`},
	{name: "a tablespace in the destination itself", forms: []string{"plain"}, change: tablespaces(rising, "DIR/backup"), want: `/backup"`},
	{name: "a tablespace around the destination", forms: []string{"plain"}, change: tablespaces(rising, "DIR"), want: `exists but is not empty`},
	{name: "two tablespaces in one place", forms: []string{"plain"}, change: tablespaces(rising, "DIR/space", "DIR/space/"), want: `/space`},
	{name: "two tablespaces in one another", forms: []string{"plain"}, change: tablespaces(rising, "DIR/space/in", "DIR/space"), want: `exists but is not empty`},
	{name: "a tablespace in place of base", forms: []string{"plain"}, change: tablespaces(rising, "DIR/backup/base"), want: `base`},
	{name: "a relative tablespace", forms: []string{"plain"}, change: tablespaces(rising, "base/x"), want: `in place at "base/x"`},
	{name: "a relative tablespace that leads up", forms: []string{"plain"}, change: tablespaces(rising, "pg_tblspc/../../x"), want: `in place at "pg_tblspc/../../x"`},
	{name: "a link to a tablespace that was not listed", versions: []string{v9, v14, v16, v18}, change: data(func(b []byte) []byte {
		return slices.Concat(pgfake.Tar(pgfake.File{Path: "pg_tblspc/77", Link: "/tmp"}), b)
	}), forms: []string{"plain"}, want: `pg_tblspc/77`},
}

func lengthOf(n uint32) func(pgfake.Message) []pgfake.Message {
	return func(m pgfake.Message) []pgfake.Message { return []pgfake.Message{pgfake.WithLength(m, n)} }
}

// onlySuccess leaves everything out of a backup but its success.
func onlySuccess(s pgfake.Sent) []pgfake.Message {
	if s.Command != "BASE_BACKUP" || s.Part == pgfake.PartComplete || s.Part == pgfake.PartReady {
		return []pgfake.Message{s.Message}
	}
	return nil
}

func withoutSegments(b []byte) []byte {
	return slices.Concat(members(b, func(h *tar.Header) bool {
		dir, name := filepath.Split(h.Name)
		return dir != "pg_wal/" && dir != "pg_xlog/" || len(name) != 24
	})...)
}

func TestEveryLieOfAServerIsAnErrorThatNamesItAndLeavesNothing(t *testing.T) {
	forms := []form{plainForm, tarForm(codec.None), tarForm(codec.Zstd), oneForm}
	for _, l := range lies {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			for _, version := range layouts {
				if l.versions != nil && !slices.Contains(l.versions, version) {
					continue
				}
				for _, f := range forms {
					if l.forms != nil && !slices.Contains(l.forms, f.name) {
						continue
					}
					tellLie(t, l, version, f)
				}
			}
		})
	}
}

func tellLie(t *testing.T, l lie, version string, f form) {
	where := version + ", " + f.name
	c := &pgfake.Cluster{Version: version, SystemID: 42, Data: pgfake.SmallData(version, "")}
	root := t.TempDir()
	dir := filepath.Join(root, "inside")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l.change(c, dir)
	s := pgfake.Serve(t, c)
	o := basebackup.Options{Connect: connector(t, s), TempDir: root}
	if version == v9 {
		o.WAL = basebackup.WALNone // their segments have 16 MB
	}
	if l.options != nil {
		l.options(&o)
	}
	var out bytes.Buffer
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err := basebackup.Run(ctx, o, f.make(filepath.Join(dir, "backup"), &out))
	if err == nil || !strings.Contains(err.Error(), l.want) {
		t.Errorf("%s: error: %v\nwant one with %q", where, err, l.want)
	}
	if f.name == oneForm.name && isWholeTar(out.Bytes()) {
		t.Errorf("%s: the tar is whole although the backup failed", where)
	}
	assertNothingLeft(t, dir)
	if entries, err := os.ReadDir(root); err != nil || len(entries) != 1 {
		t.Errorf("%s: outside there are %v, %v", where, entries, err)
	}
}
