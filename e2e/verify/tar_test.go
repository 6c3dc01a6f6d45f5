//go:build linux

package verify

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/codec"
)

// member is one of an archive, to be changed.
type member struct {
	tar.Header
	content []byte
}

// rewrite changes an archive: change is called for each member, and returns what
// takes its place.
func (b *backup) rewrite(name string, change func(m member) []member) {
	b.t.Helper()
	var all []member
	for r := tar.NewReader(bytes.NewReader(b.read(name))); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		b.must(err)
		content, err := io.ReadAll(r)
		b.must(err)
		all = append(all, change(member{*h, content})...)
	}
	b.writeTar(name, all)
}

func (b *backup) writeTar(name string, all []member) {
	b.t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, m := range all {
		m.Size = int64(len(m.content))
		m.Format = tar.FormatUSTAR
		b.must(w.WriteHeader(&m.Header))
		_, err := w.Write(m.content)
		b.must(err)
	}
	b.must(w.Close())
	b.write(name, out.Bytes())
}

// only changes one member of an archive.
func (b *backup) only(archive, name string, change func(m member) []member) {
	b.t.Helper()
	found := false
	b.rewrite(archive, func(m member) []member {
		if m.Name != name {
			return []member{m}
		}
		found = true
		return change(m)
	})
	if !found {
		b.t.Fatalf("%s is not in %s", name, archive)
	}
}

func flipped(at int) func(m member) []member {
	return func(m member) []member { m.content[at] ^= 1; return []member{m} }
}

func gone(member) []member { return nil }

// compress stores an archive in another form.
func (b *backup) compress(name, as string, a codec.Algorithm) {
	b.t.Helper()
	var out bytes.Buffer
	w, err := codec.NewWriter(&out, codec.Spec{Algorithm: a})
	b.must(err)
	_, err = w.Write(b.read(name))
	b.must(err)
	b.must(w.Close())
	b.remove(name)
	b.write(as, out.Bytes())
}

// tablespaceArchive is the name of the tablespace's archive.
func (b *backup) tablespaceArchive() string { return b.glob("[0-9]*.tar") }

// version2 makes the manifest one of version 2 with a system identifier.
func (b *backup) version2(systemID string) {
	b.t.Helper()
	b.replace("Manifest-Version\": 1,", "Manifest-Version\": 2,\n\"System-Identifier\": "+systemID+",")
}

// systemID is the cluster's.
func systemID(t *testing.T) string {
	t.Helper()
	return verifiedJSON(t, plainBackup).SystemIdentifier
}

var tarMutations = []struct {
	name   string
	change func(b *backup)
	args   []string
	want   []string // what is said on standard error after "error: "; none = the backup is good
}{
	{name: "none"},
	{name: "format given", args: []string{"-Ft"}},
	{name: "plain format given", args: []string{"--format=plain", "-n", "-i", "base", "-i", "global"}, want: []string{`"16384.tar" is present on disk but not in the manifest`, `"PG_VERSION" is present in the manifest but not on disk`, "..."}},
	{name: "gzip", change: func(b *backup) {
		b.compress("base.tar", "base.tar.gz", codec.Gzip)
		b.compress("pg_wal.tar", "pg_wal.tgz", codec.Gzip)
	}},
	{name: "lz4", change: func(b *backup) {
		b.compress("base.tar", "base.tar.lz4", codec.LZ4)
		b.compress("pg_wal.tar", "pg_wal.tar.lz4", codec.LZ4)
	}},
	{name: "zstd", change: func(b *backup) {
		b.compress("base.tar", "base.tar.zst", codec.Zstd)
		b.compress("pg_wal.tar", "pg_wal.tar.zst", codec.Zstd)
		name := b.tablespaceArchive()
		b.compress(name, name+".zst", codec.Zstd)
	}},
	{name: "bit in a table", change: func(b *backup) { b.only("base.tar", table, flipped(100)) },
		want: []string{`checksum mismatch for file "base/1/1255" in archive "base.tar"`}},
	{name: "bit in a compressed table", change: func(b *backup) {
		b.only("base.tar", table, flipped(100))
		b.compress("base.tar", "base.tar.gz", codec.Gzip)
	}, want: []string{`checksum mismatch for file "base/1/1255" in archive "base.tar.gz"`}},
	{name: "bit, checksums skipped", change: func(b *backup) { b.only("base.tar", table, flipped(100)) }, args: []string{"-s"}},
	{name: "bit in a tablespace", change: func(b *backup) {
		once := true
		b.rewrite(b.tablespaceArchive(), func(m member) []member {
			if len(m.content) > 0 && once {
				once = false
				m.content[0] ^= 1
			}
			return []member{m}
		})
	}, want: []string{`checksum mismatch for file "pg_tblspc/`}},
	{name: "missing member", change: func(b *backup) { b.only("base.tar", table, gone) },
		want: []string{`"base/1/1255" is present in the manifest but not on disk`}},
	{name: "extra member", change: func(b *backup) {
		b.only("base.tar", table, func(m member) []member {
			extra := m
			extra.Name += "_extra"
			return []member{m, extra}
		})
	}, want: []string{`file "base/1/1255_extra" is present in archive "base.tar" but not in the manifest`}},
	{name: "extra member in a tablespace", change: func(b *backup) {
		once := true
		b.rewrite(b.tablespaceArchive(), func(m member) []member {
			if once {
				once = false
				return []member{m, {tar.Header{Name: "extra", Mode: 0o600}, nil}}
			}
			return []member{m}
		})
	}, want: []string{`file "extra" is present in archive "`}},
	{name: "longer member", change: func(b *backup) {
		b.only("base.tar", "PG_VERSION", func(m member) []member { m.content = []byte("15\n\n"); return []member{m} })
	}, want: []string{`file "PG_VERSION" has size 4 in archive "base.tar" but size 3 in the manifest`}},
	{name: "changed and left out", args: []string{"-i", "base/1"}, change: func(b *backup) { b.only("base.tar", table, flipped(100)) }},
	{name: "checksum too short", change: func(b *backup) { b.editChecksum(table, func(sum string) string { return sum[:6] }) },
		want: []string{`file "base/1/1255" in archive "base.tar" has checksum of length 3, but expected 4`}},
	{name: "several, first only", args: []string{"-e"}, change: func(b *backup) { b.write("extra", nil); b.only("base.tar", table, flipped(100)) },
		want: []string{`file "extra" is not expected in a tar format backup`}},
	{name: "extra files", change: func(b *backup) {
		b.write("extra", nil)
		b.write("base.tarx", nil)
		b.write("0.tar", nil)
		b.write("99999999999.tar", nil)
	}, want: []string{
		`file "0.tar" is not expected in a tar format backup`,
		`file "99999999999.tar" is not expected in a tar format backup`,
		`file "base.tarx" is not expected in a tar format backup`,
		`file "extra" is not expected in a tar format backup`,
	}},
	{name: "extra directory", change: func(b *backup) { b.mkdir("dir") }, want: []string{`file "dir" is not a regular file`}},
	{name: "archive left out", args: []string{"-i", "base.tar", "-i", "base", "-i", "global"}, want: []string{`"`, "..."}},
	{name: "no archive", change: func(b *backup) { b.remove("base.tar") }, args: []string{"-n"}, want: []string{`"`, "..."}},
	{name: "link to nothing", change: func(b *backup) { b.link("/nonexistent", "1.tar") },
		want: []string{`could not stat file or directory "1.tar": No such file or directory`}},
	{name: "archive cut off", change: func(b *backup) { b.write("base.tar", b.read("base.tar")[:1<<20+77]) },
		want: []string{`could not read archive "base.tar": `}},
	{name: "compressed archive cut off", change: func(b *backup) {
		b.compress("base.tar", "base.tar.zst", codec.Zstd)
		b.write("base.tar.zst", b.read("base.tar.zst")[:1<<20])
	}, want: []string{`could not read archive "base.tar.zst": `}},
	{name: "archive is another thing", change: func(b *backup) { b.write("base.tar", bytes.Repeat([]byte("no tar\n"), 1000)) },
		want: []string{`could not read archive "base.tar": `}},
	{name: "no WAL", change: func(b *backup) { b.remove("pg_wal.tar") }, want: []string{"WAL parsing failed for timeline 1"}},
	{name: "no WAL, not parsed", change: func(b *backup) { b.remove("pg_wal.tar") }, args: []string{"-n"}},
	{name: "WAL elsewhere", args: []string{"-w", "BACKUP/../wal"}, change: func(b *backup) {
		b.mkdir("../wal")
		b.rewrite("pg_wal.tar", func(m member) []member {
			if m.Typeflag == tar.TypeReg && !strings.Contains(m.Name, "/") {
				b.write("../wal/"+m.Name, m.content)
			}
			return nil
		})
		b.remove("pg_wal.tar")
	}},
	{name: "bit in WAL", change: func(b *backup) {
		b.only("pg_wal.tar", filepath.Base(b.segment()), flipped(b.walOffset()+30))
	}, want: []string{"WAL parsing failed for timeline 1"}},
	{name: "WAL cut off", change: func(b *backup) { b.write("pg_wal.tar", b.read("pg_wal.tar")[:1000]) },
		want: []string{"WAL parsing failed for timeline 1"}},
	{name: "WAL in another order", change: func(b *backup) {
		var all []member
		b.rewrite("pg_wal.tar", func(m member) []member { all = append(all, m); return nil })
		last := all[len(all)-1]
		last.Name, last.content = "0000000100000000000000FF", make([]byte, segmentSize)
		all = append(all, last)
		slices.Reverse(all)
		b.writeTar("pg_wal.tar", all)
	}},
	{name: "WAL among the other files", change: func(b *backup) {
		var all []member
		b.rewrite("pg_wal.tar", func(m member) []member {
			m.Name = "pg_wal/" + m.Name
			all = append(all, m)
			return nil
		})
		b.remove("pg_wal.tar")
		b.only("base.tar", table, func(m member) []member { return append(all, m) })
	}},
	{name: "system identifier", change: func(b *backup) { b.version2(systemID(b.t)) }},
	{name: "another system identifier", change: func(b *backup) { b.version2("1") },
		want: []string{`base.tar: global/pg_control: manifest system identifier is 1, but control file has `}},
	{name: "damaged control file", change: func(b *backup) {
		b.version2(systemID(b.t))
		b.editChecksum("global/pg_control", func(string) string { return "" })
		b.replace(`"Checksum-Algorithm": "CRC32C", "Checksum": ""`, `"Checksum-Algorithm": "NONE"`)
		b.only("base.tar", "global/pg_control", flipped(40))
	}, want: []string{"base.tar: global/pg_control: CRC is incorrect"}},
}

func TestTarBackupsAreVerified(t *testing.T) {
	for _, m := range tarMutations {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			b := cloneOf(t, tarBackup)
			if m.change != nil {
				m.change(b)
			}
			var args []string
			for _, a := range m.args {
				args = append(args, strings.ReplaceAll(a, "BACKUP", b.dir))
			}
			got := run(t, 0, pgVerifybackup, append(args, b.dir)...)
			if len(m.want) == 0 {
				if want := (outcome{0, "backup successfully verified\n", ""}); got != want {
					t.Errorf("%+v", got)
				}
				return
			}
			if got.status != 1 || got.stdout != "" {
				t.Errorf("status %d, output %q", got.status, got.stdout)
			}
			lines := got.said()
			for i, want := range m.want {
				if want == "..." {
					return
				}
				if i >= len(lines) || !strings.HasPrefix(lines[i], "pg_verifybackup: error: "+want) {
					t.Fatalf("said\n%s\nwant\n%s", got.stderr, strings.Join(m.want, "\n"))
				}
			}
			if len(lines) != len(m.want) {
				t.Errorf("said\n%s\nwant\n%s", got.stderr, strings.Join(m.want, "\n"))
			}
		})
	}
}

func TestWALIsReadFromACompressedArchive(t *testing.T) {
	for a, suffix := range map[codec.Algorithm]string{codec.Gzip: ".gz", codec.LZ4: ".lz4", codec.Zstd: ".zst"} {
		b := cloneOf(t, plainBackup)
		segment := b.segment()
		name := filepath.Base(segment)
		b.mkdir("../wal")
		b.compress(segment, "../wal/"+name+suffix, a)
		if got := run(t, 0, pgVerifybackup, b.dir); got.status != 1 || !strings.Contains(got.stderr, "WAL parsing failed for timeline 1") {
			t.Errorf("%v: without its WAL: %+v", a, got)
		}
		if got := run(t, 0, pgVerifybackup, "-w", b.path("../wal"), b.dir); got != (outcome{0, "backup successfully verified\n", ""}) {
			t.Errorf("%v: %+v", a, got)
		}
		b.write("../wal/"+name+suffix, b.read("../wal/" + name + suffix)[:50])
		got := run(t, 0, pgVerifybackup, "-w", b.path("../wal"), b.dir)
		if got.status != 1 || !strings.Contains(got.stderr, "WAL parsing failed for timeline 1\npg_verifybackup: detail: ") || !strings.Contains(got.stderr, name) {
			t.Errorf("%v: cut off: %+v", a, got)
		}
	}
}
