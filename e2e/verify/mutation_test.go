//go:build linux

package verify

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/pgbasin/pgbasin/internal/pgtest"
	"github.com/pgbasin/pgbasin/manifest"
)

// mutation is a change of a backup, or of the way in which it is verified, about
// which pg_verifybackup 15 and pgbasin have to agree.
type mutation struct {
	name   string
	change func(b *backup)
	args   []string // BACKUP stands for the backup's directory
	named  bool     // args name the backup themselves
	ours   []string // more arguments for pgbasin alone
	user   bool     // run as a user without rights
	words  string   // what 18 says where 15 says something else
}

const (
	table  = "base/1/1255" // pg_proc
	index  = "base/1/2690"
	walDir = "pg_wal"
)

var mutations = []mutation{
	{name: "none"},
	{name: "quiet", args: []string{"-q"}},

	// Content.
	{name: "bit in a table", change: func(b *backup) { b.flip(table, 10000) }},
	{name: "bit in an index", change: func(b *backup) { b.flip(index, -1) }},
	{name: "bit in pg_control", change: func(b *backup) { b.flip("global/pg_control", 0) }},
	{name: "bit in backup_label", change: func(b *backup) { b.flip("backup_label", 3) }},
	{name: "bit in a tablespace's file", change: func(b *backup) { b.flipInTablespace() }},
	{name: "bits in several files", change: func(b *backup) { b.flip(table, 0); b.flip(index, 0); b.flip("base/1/PG_VERSION", 0) }},
	{name: "bit in what is left out", change: func(b *backup) { b.flip("postgresql.auto.conf", 5) }},
	{name: "bit, checksums skipped", change: func(b *backup) { b.flip(table, 10000) }, args: []string{"-s"}},
	{name: "bit, quiet", change: func(b *backup) { b.flip(table, 10000) }, args: []string{"--quiet"}},

	// Files that are there or not.
	{name: "missing file", change: func(b *backup) { b.remove(table) }},
	{name: "missing PG_VERSION", change: func(b *backup) { b.remove("PG_VERSION") }, ours: []string{"-Fp"}},
	{name: "missing directory", change: func(b *backup) { b.remove("base/1") }},
	{name: "missing file and bit", change: func(b *backup) { b.remove(table); b.flip(index, 0) }},
	{name: "missing file and bit, first only", change: func(b *backup) { b.remove(table); b.flip(index, 0) }, args: []string{"-e"}},
	{name: "extra file", change: func(b *backup) { b.write("extra", []byte("x")) }},
	{name: "extra file below", change: func(b *backup) { b.write("base/1/99999", nil) }},
	{name: "extra file in pg_wal", change: func(b *backup) { b.write("pg_wal/extra", nil) }},
	{name: "extra empty directory", change: func(b *backup) { b.mkdir("empty") }},
	{name: "extra directory", change: func(b *backup) { b.mkdir("dir"); b.write("dir/a", nil); b.write("dir/b", nil) }},
	{name: "extra file, first only", change: func(b *backup) { b.write("extra", nil); b.flip(table, 0) }, args: []string{"--exit-on-error"}},
	{name: "extra recovery files", change: func(b *backup) { b.write("standby.signal", nil); b.write("recovery.signal", nil) }},
	{name: "truncated file", change: func(b *backup) { b.write(table, b.read(table)[:8192]) }},
	{name: "emptied file", change: func(b *backup) { b.write(index, nil) }},
	{name: "grown file", change: func(b *backup) { b.write(index, append(b.read(index), 0)) }},

	// Things that are no files.
	{name: "file is a directory", change: func(b *backup) { b.remove(table); b.mkdir(table) }},
	{name: "directory is a file", change: func(b *backup) { b.remove("base/1"); b.write("base/1", nil) }},
	{name: "link to the content", change: func(b *backup) { b.link(filepath.Join(plainBackup, table), "copy"); b.move("copy", table) }},
	{name: "link to nothing", change: func(b *backup) { b.remove(table); b.link("/nonexistent/x", table) }},
	{name: "extra link to nothing", change: func(b *backup) { b.link("nothing", "link") }},
	{name: "extra link to a directory", change: func(b *backup) { b.link(plainBackup+"/base/1", "link") }},
	{name: "link to itself", change: func(b *backup) { b.link("link", "link") }},
	{name: "pipe", change: func(b *backup) { b.must(syscall.Mkfifo(b.path("pipe"), 0o600)) }},
	{name: "pipe in place of a file", change: func(b *backup) { b.remove(table); b.must(syscall.Mkfifo(b.path(table), 0o600)) }},
	{name: "tablespace gone", change: func(b *backup) { link := b.glob("pg_tblspc/*"); b.remove(link); b.link("/nonexistent", link) }},
	{name: "no link to the tablespace", change: func(b *backup) { b.remove(b.glob("pg_tblspc/*")) }},

	// What may not be read.
	{name: "unreadable file", user: true, change: func(b *backup) { b.own(); b.chmod(table, 0) }},
	{name: "unreadable file, checksums skipped", user: true, change: func(b *backup) { b.own(); b.chmod(table, 0) }, args: []string{"-s"}},
	{name: "unreadable directory", user: true, change: func(b *backup) { b.own(); b.chmod("base/1", 0) }},
	{name: "directory that cannot be listed", user: true, change: func(b *backup) { b.own(); b.chmod("base/1", 0o100) }},
	{name: "directory that cannot be searched", user: true, change: func(b *backup) { b.own(); b.chmod("base/1", 0o400) }},
	{name: "unreadable backup", user: true, change: func(b *backup) { b.own(); b.chmod("", 0) }},
	{name: "backup that cannot be listed", user: true, change: func(b *backup) { b.own(); b.chmod("", 0o100) }},
	{name: "unreadable manifest", user: true, change: func(b *backup) { b.own(); b.chmod("backup_manifest", 0) }},

	// The manifest.
	{name: "no manifest", change: func(b *backup) { b.remove("backup_manifest") }},
	{name: "manifest is a directory", change: func(b *backup) { b.remove("backup_manifest"); b.mkdir("backup_manifest") }},
	{name: "empty manifest", words: `could not parse backup manifest: The input string ended unexpectedly.`, change: func(b *backup) { b.write("backup_manifest", nil) }},
	{name: "manifest cut off", words: `could not parse backup manifest: Token`, change: func(b *backup) { m := b.read("backup_manifest"); b.write("backup_manifest", m[:len(m)/2]) }},
	{name: "manifest without its last byte", change: func(b *backup) { m := b.read("backup_manifest"); b.write("backup_manifest", m[:len(m)-1]) }},
	{name: "bit in the manifest", change: func(b *backup) {
		m := b.read("backup_manifest")
		b.flip("backup_manifest", strings.Index(string(m), "\"Checksum\": \"")+15)
	}},
	{name: "no JSON", words: `could not parse backup manifest: Token "hello" is invalid.`, change: func(b *backup) { b.write("backup_manifest", []byte("hello\nworld\n")) }},
	{name: "manifest of another version", change: func(b *backup) { b.replace("Manifest-Version\": 1", "Manifest-Version\": 9876") }},
	{name: "manifest whose version is no number", words: `could not parse backup manifest: manifest version not an integer`, change: func(b *backup) { b.replace("Manifest-Version\": 1", "Manifest-Version\": \"1x\"") }},
	{name: "manifest without a version", change: func(b *backup) { b.replace("PostgreSQL-Backup-Manifest-Version", "Files") }},
	{name: "unknown field", change: func(b *backup) { b.replace("\"Files\"", "\"Filez\"") }},
	{name: "unknown field of a file", change: func(b *backup) { b.replace("\"Size\"", "\"Weight\"") }},
	{name: "unknown field of a range", change: func(b *backup) { b.replace("\"Timeline\"", "\"Line\"") }},
	{name: "file without a path", change: func(b *backup) { b.replace("\"Path\": \"backup_label\", ", "") }},
	{name: "file without a size", change: func(b *backup) { b.replace("\"Size\": 3, ", "") }},
	{name: "size that is no number", change: func(b *backup) { b.replace("\"Size\": 3, ", "\"Size\": \"3 \", ") }},
	{name: "two paths", change: func(b *backup) {
		b.replace("\"Path\": \"backup_label\"", "\"Path\": \"backup_label\", \"Encoded-Path\": \"61\"")
	}},
	{name: "encoded path", change: func(b *backup) {
		b.replace("\"Path\": \""+table+"\"", fmt.Sprintf("\"Encoded-Path\": \"%s\"", hex.EncodeToString([]byte(table))))
	}},
	{name: "encoded path of a file that is not there", change: func(b *backup) {
		b.replace("\"Path\": \""+table+"\"", fmt.Sprintf("\"Encoded-Path\": \"%x\"", "base/gone"))
	}},
	{name: "badly encoded path", change: func(b *backup) { b.replace("\"Path\": \""+table+"\"", "\"Encoded-Path\": \"6g\"") }},
	{name: "unknown algorithm", change: func(b *backup) { b.replace("CRC32C", "MD5") }},
	{name: "checksum without an algorithm", change: func(b *backup) { b.replace("\"Checksum-Algorithm\": \"CRC32C\", ", "") }},
	{name: "checksum that is no hex", change: func(b *backup) { b.replace("\"Checksum\": \"", "\"Checksum\": \"x") }},
	{name: "checksum too short", change: func(b *backup) { b.editChecksum(table, func(sum string) string { return sum[:6] }) }},
	{name: "checksum too long", change: func(b *backup) { b.editChecksum(table, func(sum string) string { return sum + "00" }) }},
	{name: "empty checksum", change: func(b *backup) { b.editChecksum(table, func(sum string) string { return "" }) }},
	{name: "checksum in capitals", change: func(b *backup) { b.editChecksum(table, strings.ToUpper) }},
	{name: "wrong algorithm", change: func(b *backup) { e := b.entry(table); b.replace(e, strings.Replace(e, "CRC32C", "SHA256", 1)) }},
	{name: "all algorithms", change: func(b *backup) { b.allAlgorithms() }},
	{name: "all algorithms, bits", change: func(b *backup) { b.allAlgorithms(); b.flipMany() }},
	{name: "no checksum for a changed file", change: func(b *backup) {
		e := b.entry(table)
		b.replace(e, e[:strings.Index(e, ", \"Checksum-Algorithm\"")]+" },")
		b.flip(table, 0)
	}},
	{name: "file listed twice", change: func(b *backup) { e := b.entry(table); b.replace(e, e+"\n"+e) }},
	{name: "file listed twice, wrong checksum of the manifest", change: func(b *backup) {
		e := b.entry(table)
		b.write("backup_manifest", []byte(strings.Replace(string(b.read("backup_manifest")), e, e+"\n"+e, 1)))
	}},
	{name: "file not listed", change: func(b *backup) { b.replace(b.entry(table)+"\n", "") }},
	{name: "more files listed", change: func(b *backup) {
		e := b.entry(table)
		b.replace(e, e+"\n"+strings.Replace(e, table, "base/1/4242", 1)+"\n"+strings.Replace(e, table, "pg_wal/x", 1))
	}},
	{name: "other size listed", change: func(b *backup) {
		b.replace(b.entry("PG_VERSION"), strings.Replace(b.entry("PG_VERSION"), "\"Size\": 3", "\"Size\": 4", 1))
	}},
	{name: "manifest without a checksum", change: func(b *backup) {
		m := string(b.read("backup_manifest"))
		b.write("backup_manifest", []byte(m[:strings.LastIndex(m, ",\n\"Manifest-Checksum")]+"}\n"))
	}},
	{name: "manifest with a wrong checksum", change: func(b *backup) { b.flip("backup_manifest", -5) }},
	{name: "manifest with a short checksum", change: func(b *backup) {
		m := b.read("backup_manifest")
		b.write("backup_manifest", append(m[:len(m)-10], "\"}\n"...))
	}},
	{name: "manifest elsewhere", args: []string{"-m", "BACKUP/../manifest"}, change: func(b *backup) { b.move("backup_manifest", "../manifest") }},
	{name: "manifest elsewhere not there", args: []string{"--manifest-path=BACKUP/../manifest"}},

	// Paths that are left out.
	{name: "bit in an ignored file", args: []string{"-i", table}, change: func(b *backup) { b.flip(table, 0) }},
	{name: "ignored directory", args: []string{"--ignore=base/1/"}, change: func(b *backup) { b.remove("base/1") }},
	{name: "ignored with a dot", args: []string{"-i", "./base//1/../1"}, change: func(b *backup) { b.flip(table, 0) }},
	{name: "ignored name is no prefix", args: []string{"-i", "base/1/125"}, change: func(b *backup) { b.flip(table, 0) }},
	{name: "several ignored", args: []string{"-i", "base", "-i", "global", "-i", ""}, change: func(b *backup) { b.remove("base"); b.remove("global"); b.write("extra", nil) }},
	{name: "ignored range", args: []string{"-i", "backup_label", "-n"}, change: func(b *backup) { b.remove("backup_label") }},

	// Ways to say where.
	{name: "no backup", named: true, args: []string{"/nonexistent/backup"}},
	{name: "backup is a file", named: true, args: []string{"BACKUP/PG_VERSION"}},
	{name: "slashes behind the backup", named: true, args: []string{"BACKUP//"}, change: func(b *backup) { b.flip(table, 0); b.remove("backup_label") }},
	{name: "dots in the backup", named: true, args: []string{"BACKUP/./base/../"}, change: func(b *backup) { b.remove("backup_manifest") }},

	// WAL.
	{name: "no WAL", change: func(b *backup) { b.remove(walDir); b.mkdir(walDir) }},
	{name: "no WAL directory", change: func(b *backup) { b.remove(walDir) }},
	{name: "no WAL, not parsed", change: func(b *backup) { b.remove(walDir) }, args: []string{"-n"}},
	{name: "WAL elsewhere", change: func(b *backup) { b.move(walDir, "../wal") }, args: []string{"-w", "BACKUP/../wal/"}},
	{name: "WAL elsewhere not there", args: []string{"--wal-directory=/nonexistent/wal"}},
	{name: "bit in a WAL record", change: func(b *backup) { b.flip(b.segment(), b.walOffset()+30) }},
	{name: "bit in a WAL page header", change: func(b *backup) { b.flip(b.segment(), 9) }},
	{name: "WAL record gone", change: func(b *backup) { b.zero(b.segment(), b.walOffset(), 24) }},
	{name: "WAL of zeros", change: func(b *backup) { b.zero(b.segment(), 0, 1<<20) }},
	{name: "WAL cut off before its beginning", change: func(b *backup) { b.write(b.segment(), b.read(b.segment())[:b.walOffset()&^8191]) }},
	{name: "WAL and file broken, first only", change: func(b *backup) { b.remove(walDir); b.flip(table, 0) }, args: []string{"-e"}},
	{name: "range of another timeline", change: func(b *backup) { b.replace("\"Timeline\": 1", "\"Timeline\": 7") }},
	{name: "range of no timeline", change: func(b *backup) { b.replace("\"Timeline\": 1", "\"Timeline\": \"x\"") }},
	{name: "range without an end", change: func(b *backup) { b.replace("\"End-LSN\": \"", "\"End-LSN\": \"x") }},
	{name: "range that begins nowhere", change: func(b *backup) { b.replace("\"Start-LSN\": \"0/", "\"Start-LSN\": \"7/") }},
	{name: "several ranges, one broken", change: func(b *backup) {
		b.manifest(func(text string) string {
			at := strings.Index(text, "{ \"Timeline\"")
			return text[:at] + "{ \"Timeline\": 9, \"Start-LSN\": \"0/1000028\", \"End-LSN\": \"0/1000100\" },\n" + text[at:]
		})
	}},
	{name: "no ranges", change: func(b *backup) {
		b.manifest(func(text string) string {
			from, to := strings.Index(text, "{ \"Timeline\""), strings.LastIndex(text, "]")
			return text[:from] + text[to:]
		})
	}},
}

func (b *backup) move(from, to string) {
	b.t.Helper()
	if to[0] != '.' {
		b.remove(to)
	}
	b.must(os.Rename(b.path(from), b.path(to)))
}

// flipInTablespace changes a bit in a file of the tablespace, of which the backup
// gets a copy.
func (b *backup) flipInTablespace() {
	b.t.Helper()
	link := b.glob("pg_tblspc/*")
	target, err := os.Readlink(b.path(link))
	b.must(err)
	b.cloneDir(target, b.path("../elsewhere"))
	b.remove(link)
	b.link(b.path("../elsewhere"), link)
	files, err := filepath.Glob(b.path(link + "/PG_15*/*/*"))
	b.must(err)
	rel, err := filepath.Rel(b.dir, files[0])
	b.must(err)
	b.flip(rel, 99)
}

// editChecksum changes the checksum of a file in the manifest.
func (b *backup) editChecksum(name string, change func(string) string) {
	b.t.Helper()
	e := b.entry(name)
	at := strings.Index(e, "\"Checksum\": \"") + len("\"Checksum\": \"")
	end := at + strings.IndexByte(e[at:], '"')
	b.replace(e, e[:at]+change(e[at:end])+e[end:])
}

// allAlgorithms gives each file another algorithm than the one before it.
func (b *backup) allAlgorithms() {
	b.t.Helper()
	b.manifest(func(text string) string {
		var out strings.Builder
		n := 0
		for line := range strings.Lines(text) {
			if path, _, ok := strings.Cut(strings.TrimPrefix(line, "{ \"Path\": \""), "\""); ok && strings.HasPrefix(line, "{ \"Path\"") {
				a := manifest.CRC32C + manifest.ChecksumAlgorithm(n%5)
				n++
				h := a.New()
				h.Write(b.read(path))
				at := strings.Index(line, ", \"Checksum-Algorithm\"")
				end := line[strings.LastIndex(line, " }"):]
				line = fmt.Sprintf("%s, \"Checksum-Algorithm\": \"%v\", \"Checksum\": \"%x\"%s", line[:at], a, h.Sum(nil), end)
			}
			out.WriteString(line)
		}
		return out.String()
	})
}

// flipMany changes a bit in many files.
func (b *backup) flipMany() {
	b.t.Helper()
	names, err := filepath.Glob(b.path("base/1/1*"))
	b.must(err)
	for _, name := range names {
		if info, err := os.Stat(name); err == nil && info.Size() > 0 {
			b.flip("base/1/"+filepath.Base(name), -1)
		}
	}
}

// walRange is the first range of WAL in the manifest.
func (b *backup) walRange() (start, end uint64) {
	b.t.Helper()
	text := string(b.read("backup_manifest"))
	var high, low [2]uint64
	for i, name := range []string{"\"Start-LSN\": \"", "\"End-LSN\": \""} {
		at := strings.Index(text, name) + len(name)
		if _, err := fmt.Sscanf(text[at:], "%X/%X", &high[i], &low[i]); err != nil {
			b.t.Fatal(err)
		}
	}
	return high[0]<<32 | low[0], high[1]<<32 | low[1]
}

const segmentSize = 1 << 20

// segment is the first WAL segment that the backup needs.
func (b *backup) segment() string {
	start, _ := b.walRange()
	n := start / segmentSize
	return fmt.Sprintf("pg_wal/%08X%08X%08X", 1, n>>12, n&0xfff)
}

// walOffset is where in it the backup's WAL begins.
func (b *backup) walOffset() int {
	start, _ := b.walRange()
	return int(start % segmentSize)
}

func (b *backup) zero(name string, offset, n int) {
	b.t.Helper()
	content := b.read(name)
	clear(content[offset : offset+n])
	b.write(name, content)
}

func TestMutatedBackupsAreJudgedAsByPgVerifybackup(t *testing.T) {
	for _, m := range mutations {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			b := cloneOf(t, plainBackup)
			if m.change != nil {
				m.change(b)
			}
			var args []string
			for _, a := range m.args {
				args = append(args, strings.ReplaceAll(a, "BACKUP", b.dir))
			}
			if !m.named {
				args = append(args, b.dir)
			}
			uid := 0
			if m.user {
				uid = nobody
			}
			want := run(t, uid, oracle, args...)
			got := run(t, uid, pgVerifybackup, append(slices.Clone(m.ours), args...)...)
			same := slices.Equal(got.said(), want.said())
			if m.words != "" {
				same = len(got.said()) == len(want.said()) && strings.HasPrefix(got.stderr, "pg_verifybackup: error: "+m.words)
			}
			if got.status != want.status || got.stdout != want.stdout || !same {
				t.Errorf("%q:\nstatus %d, %q\n%s\nwant status %d, %q\n%s", args, got.status, got.stdout, got.stderr, want.status, want.stdout, want.stderr)
			}
		})
	}
}

// pg_verifybackup waits for somebody to write.
func TestManifestThatIsAPipeIsRefused(t *testing.T) {
	b := cloneOf(t, plainBackup)
	b.remove("backup_manifest")
	b.must(syscall.Mkfifo(b.path("backup_manifest"), 0o600))
	got := run(t, 0, pgVerifybackup, b.dir)
	want := "pg_verifybackup: error: could not read file \"" + b.path("backup_manifest") + "\": it is not a regular file\n"
	if got != (outcome{1, "", want}) {
		t.Errorf("%+v", got)
	}
}

func TestRangesOfSeveralTimelinesAreJudgedAsByPgVerifybackup(t *testing.T) {
	primary := pgtest.Start(t, 15, pgtest.WALSegSize(1), pgtest.Setting("wal_keep_size", "100MB"))
	standby := pgtest.StartStandby(t, primary)
	start := primary.QueryString(t, "select redo_lsn::text from pg_control_checkpoint()")
	primary.Exec(t, "create table t as select i from generate_series(1, 20000) i")
	standby.CatchUp(t, primary)
	standby.Promote(t)
	standby.Exec(t, "insert into t select 1")
	dir := filepath.Join(t.TempDir(), "backup")
	basebackup(t, standby, "-D", dir)
	history, err := os.ReadFile(filepath.Join(standby.DataDir(), "pg_wal", "00000002.history"))
	if err != nil {
		t.Fatal(err)
	}
	switched := strings.Fields(string(history))[1]

	b := &backup{t, dir}
	text := string(b.read("backup_manifest"))
	end := text[strings.Index(text, "\"End-LSN\": \"")+len("\"End-LSN\": \""):]
	end = end[:strings.IndexByte(end, '"')]
	for _, c := range []struct {
		name         string
		first, later [2]string
		want         int
	}{
		{"up to the switch and from there", [2]string{start, switched}, [2]string{switched, end}, 0},
		{"beyond the switch", [2]string{start, end}, [2]string{switched, end}, 1},
		{"from before the switch", [2]string{start, switched}, [2]string{start, end}, 1},
	} {
		b.manifest(func(text string) string {
			from, to := strings.Index(text, "{ \"Timeline\""), strings.LastIndex(text, "]")
			ranges := ""
			for i, r := range [][2]string{c.first, c.later} {
				ranges += fmt.Sprintf("{ \"Timeline\": %d, \"Start-LSN\": \"%s\", \"End-LSN\": \"%s\" }", i+1, r[0], r[1])
				if i == 0 {
					ranges += ",\n"
				}
			}
			return text[:from] + ranges + "\n" + text[to:]
		})
		args := []string{"-w", filepath.Join(standby.DataDir(), "pg_wal"), dir}
		want, got := run(t, 0, oracle, args...), run(t, 0, pgVerifybackup, args...)
		if got.status != want.status || got.status != c.want || !slices.Equal(got.said(), want.said()) {
			t.Errorf("%s: %+v\nwant %+v", c.name, got, want)
		}
	}
}
