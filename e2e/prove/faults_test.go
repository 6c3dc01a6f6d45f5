//go:build linux

package prove

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// fault is something wrong with a backup, with the WAL archive beside it, or with
// what is asked of them.
type fault struct {
	name    string
	plant   func(t *testing.T, f *planted)
	args    []string
	found   string // the test case
	message string // in it
}

// planted is a copy of a backup and of the archive for one fault.
type planted struct {
	*source
	backup, archive string
	table, index    string   // files of the tables below the data directory
	later           []string // segments in the archive that were written after the backup
	args            []string // added by plant
}

func (f *planted) path(name string) string { return filepath.Join(f.backup, name) }

// faults are those for a backup with a manifest, and without one where the
// manifest is not looked at.
func faults(t *testing.T, major int) []fault {
	other := 18
	if major == other {
		other = 15
	}
	in, err := pgtest.Installation(other)
	if err != nil {
		t.Fatal(err)
	}
	sql := filepath.Join(t.TempDir(), "check.sql")
	if err := os.WriteFile(sql, []byte("select 1;\nselect * from nothing;\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	all := []fault{
		{
			name: "a flipped bit in a table, page checksums", args: []string{"--no-verify", "--dump"},
			plant: func(t *testing.T, f *planted) { flip(t, f.path(f.table), 2*8192+5000) },
			found: "dump postgres", message: "table public.numbers: invalid page in block 2",
		},
		{
			name: "a flipped bit in a table, all pages", args: []string{"--no-verify", "--checksums"},
			plant: func(t *testing.T, f *planted) { flip(t, f.path(f.table), 2*8192+5000) },
			found: "checksums", message: "checksum verification failed in file \"{table}\", block 2",
		},
		{
			name: "a flipped bit in an index, amcheck", args: []string{"--no-verify", "--amcheck", "--dump"},
			plant: func(t *testing.T, f *planted) { flip(t, f.path(f.index), 2*8192+5000) },
			found: "amcheck postgres", message: "index public.numbers_pkey: invalid page in block 2",
		},
		{
			name: "a missing file, no manifest", args: []string{"--no-verify", "--dump"},
			plant: func(t *testing.T, f *planted) { remove(t, f.path(f.table)) },
			found: "dump postgres", message: "could not open file",
		},
		{
			name: "a flipped bit in a WAL record of the backup",
			plant: func(t *testing.T, f *planted) {
				for _, segment := range segments(t, f.path(f.walDir())) {
					flip(t, segment, 0x28+4)
				}
			},
			found: "recovery", message: "checkpoint record",
		},
		{
			name:  "a flipped bit in a WAL record of the archive",
			plant: func(t *testing.T, f *planted) { flip(t, filepath.Join(f.archive, f.later[1]), 0x28+20) },
			found: "target: end of WAL", message: "where the WAL in the archive is broken",
		},
		{
			name:  "a gap in the WAL",
			plant: func(t *testing.T, f *planted) { remove(t, filepath.Join(f.archive, f.later[1])) },
			found: "target: end of WAL", message: "and lacks 0000000100000000000000",
		},
		{
			name:  "a truncated WAL segment in the archive",
			plant: func(t *testing.T, f *planted) { truncate(t, filepath.Join(f.archive, f.later[1])) },
			found: "recovery", message: "could not restore file",
		},
		{
			name: "a truncated WAL segment in the backup",
			plant: func(t *testing.T, f *planted) {
				for _, segment := range segments(t, f.path(f.walDir())) {
					if err := os.Truncate(segment, 4096); err != nil {
						t.Fatal(err)
					}
				}
			},
			found: "recovery", message: "",
		},
		{
			name: "a wrong system identifier", args: []string{"--no-verify"},
			plant: func(t *testing.T, f *planted) { changeSystemID(t, f.path("global/pg_control")) },
			found: "recovery", message: "",
		},
		{
			name: "a failing assertion", args: []string{"--assert", "select count(*) = 3000 from numbers", "--assert", "select count(*) = 0 from numbers"},
			found: "assert postgres: select count(*) = 0 from numbers", message: "the assertion returned false",
		},
		{
			name: "failing SQL", args: []string{"--sql", sql},
			found: "sql postgres: " + sql, message: `relation "nothing" does not exist`,
		},
		{
			name: "a target time that the server does not reach",
			plant: func(t *testing.T, f *planted) {
				f.args = []string{"--target-time", "2100-01-01 00:00:00+00", "--restore-command", "cp " + f.archive + "/%f %p"}
			},
			found: "target: time 2100-01-01 00:00:00+00", message: "recovery ended before configured recovery target was reached",
		},
		{
			name: "a target time that the archive does not reach", args: []string{"--target-time", "2100-01-01 00:00:00+00"},
			found: "target: time 2100-01-01 00:00:00+00", message: "recovery cannot end at time 2100-01-01",
		},
		{
			name:  "a server of another major version",
			plant: func(t *testing.T, f *planted) { f.args = []string{"--bindir", in.BinDir} },
			found: "server", message: fmt.Sprintf("but the backup is of PostgreSQL %d", major),
		},
		{
			name: "a start that hangs",
			plant: func(t *testing.T, f *planted) {
				f.args = []string{"--bindir", hangingServer(t, major), "--timeout", "5s"}
			},
			found: "recovery", message: "the server has not finished its recovery: not finished within 5s",
		},
	}
	if major >= 17 {
		// Earlier manifests do not have it, and no CRC-32C of a whole file tells
		// one from another when its last bytes that count are its own CRC-32C.
		all = append(all, fault{
			name:  "a wrong system identifier, manifest",
			plant: func(t *testing.T, f *planted) { changeSystemID(t, f.path("global/pg_control")) },
			found: "restore", message: "system identifier",
		})
	}
	if major < 13 {
		return all
	}
	return append(all,
		fault{
			name:  "a flipped bit in a table, manifest",
			plant: func(t *testing.T, f *planted) { flip(t, f.path(f.table), 2*8192+5000) },
			found: "restore", message: "{table}",
		},
		fault{
			name:  "a missing file, manifest",
			plant: func(t *testing.T, f *planted) { remove(t, f.path(f.table)) },
			found: "restore", message: "{table}",
		},
		fault{
			name: "an extra file",
			plant: func(t *testing.T, f *planted) {
				if err := os.WriteFile(f.path("base/extra"), []byte("x"), 0o600); err != nil {
					t.Fatal(err)
				}
			},
			found: "restore", message: "base/extra",
		},
		fault{
			name:  "a truncated file",
			plant: func(t *testing.T, f *planted) { truncate(t, f.path(f.table)) },
			found: "restore", message: "{table}",
		},
	)
}

func TestMatrixEachPlantedFaultIsFoundByItsCheck(t *testing.T) {
	onMajors(t, "10,18", func(t *testing.T, major int) {
		s := newSource(t, major)
		backup := s.backUp(t)
		later := []string{s.insert(t, 20001), s.insert(t, 20002), s.insert(t, 20003)}
		table, index := s.file(t, "numbers"), s.file(t, "numbers_pkey")
		for _, f := range faults(t, major) {
			t.Run(f.name, func(t *testing.T) {
				p := &planted{source: s, backup: filepath.Join(pgtest.TempDir(t), "backup"), archive: filepath.Join(pgtest.TempDir(t), "archive"), table: table, index: index, later: later}
				copyTree(t, p.backup, backup)
				copyTree(t, p.archive, s.archive)
				if f.plant != nil {
					f.plant(t, p)
				}
				args := slices.Concat(f.args, p.args)
				if usesArchive(f) {
					args = append(args, "--wal-archive", p.archive)
				}
				proved := prove(t, major, append(args, p.backup)...)
				proved.failsOnly(t, f.found, strings.ReplaceAll(f.message, "{table}", table))
			})
		}
		if major > 10 { // amcheck compares indexes with their tables from 11 on
			t.Run("an index that disagrees with its table", func(t *testing.T) {
				s.plantDisagreement(t)
				proved := prove(t, major, "--amcheck", "--dump", s.backUp(t))
				proved.failsOnly(t, "amcheck disagreeing", "lacks matching index tuple")
			})
		}
	})
}

func usesArchive(f fault) bool {
	return strings.Contains(f.name, "archive") || strings.Contains(f.name, "gap") || strings.Contains(f.name, "that the archive")
}

// plantDisagreement makes a database with an index that lacks a row of its table.
func (s *source) plantDisagreement(t *testing.T) {
	s.Exec(t, "create database disagreeing")
	conn := connectTo(t, s, "disagreeing")
	for _, sql := range []string{
		"create table indexed (id int)", "create index on indexed (id)", "insert into indexed select generate_series(1, 100)",
		"update pg_index set indisready = false where indexrelid = 'indexed_id_idx'::regclass", "insert into indexed values (1000)",
		"update pg_index set indisready = true where indexrelid = 'indexed_id_idx'::regclass",
	} {
		conn(sql)
	}
}

// flip changes one bit of a file.
func flip(t *testing.T, path string, offset int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], offset); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0x10
	if _, err := f.WriteAt(b[:], offset); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// truncate cuts a file in half.
func truncate(t *testing.T, path string) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, info.Size()/2/8192*8192); err != nil {
		t.Fatal(err)
	}
}

// segments are the WAL segments in a directory.
func segments(t *testing.T, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "0000000100*"))
	if err != nil || len(found) == 0 {
		t.Fatalf("segments in %s: %v, %v", dir, found, err)
	}
	return found
}

// changeSystemID makes a control file that of another cluster, with a checksum
// that is right. The checksum is at the first place where there is one: it
// covers everything before it.
func changeSystemID(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	castagnoli := crc32.MakeTable(crc32.Castagnoli)
	for at := 16; at+4 <= 1024; at += 4 {
		if crc32.Checksum(b[:at], castagnoli) != binary.LittleEndian.Uint32(b[at:]) {
			continue
		}
		b[0] ^= 1
		binary.LittleEndian.PutUint32(b[at:], crc32.Checksum(b[:at], castagnoli))
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Fatalf("%s has no checksum", path)
}

// hangingServer makes a program that answers for a server of a version, and never
// comes up.
func hangingServer(t *testing.T, major int) string {
	t.Helper()
	dir := pgtest.TempDir(t)
	script := fmt.Sprintf("#!/bin/sh\nif [ \"$1\" = -V ]; then echo 'postgres (PostgreSQL) %d.0'; exit; fi\nsleep 1000\n", major)
	if err := os.WriteFile(filepath.Join(dir, "postgres"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// copyTree copies a directory with modes and owners.
func copyTree(t *testing.T, to, from string) {
	t.Helper()
	if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
