//go:build linux

package verify

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/internal/pgtest"
	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/wal"
)

func TestPageChecksumsFindDamageThatTheManifestHas(t *testing.T) {
	good := verifiedJSON(t, "--checksums", plainBackup)
	if p := good.Pages; p == nil || !p.Enabled || p.Checked < 2000 || p.New > p.Checked/10 || p.Replaced+p.Unknown+p.Broken != 0 {
		t.Fatalf("pages %+v", p)
	}
	inTar := verifiedJSON(t, "--checksums", tarBackup)
	if p := inTar.Pages; p == nil || !p.Enabled || p.Checked != good.Pages.Checked {
		t.Fatalf("pages %+v in tar, %+v in plain format", p, good.Pages)
	}
	for _, skip := range []string{"-s", "-P"} {
		b := cloneOf(t, plainBackup)
		b.flip(table, 8192*3+5000)
		b.flip("base/1/1249_vm", 100)
		r, o := asJSON(t, "--checksums", skip, b.dir)
		var pages []string
		for _, p := range r.Problems {
			if p.Kind == "page" {
				pages = append(pages, p.Message)
			}
		}
		want := []string{
			`checksum verification failed in file "base/1/1249_vm", block 0: calculated checksum `,
			`checksum verification failed in file "base/1/1255", block 3: calculated checksum `,
		}
		if o.status != 1 || len(pages) != 2 || !strings.HasPrefix(pages[0], want[0]) || !strings.HasPrefix(pages[1], want[1]) {
			t.Errorf("%+v", o)
		}
		if only := skip == "-s"; only != (r.ProblemCount == 2) {
			t.Errorf("%d problems", r.ProblemCount)
		}
	}
	b := cloneOf(t, tarBackup)
	b.only("base.tar", table, flipped(8192*2+77))
	r, o := asJSON(t, "--checksums", "-s", b.dir)
	if o.status != 1 || r.ProblemCount != 1 || r.Problems[0].Path != table || r.Problems[0].Archive != "base.tar" {
		t.Errorf("%+v", o)
	}
}

func TestClusterWithoutPageChecksumsIsTold(t *testing.T) {
	s := pgtest.Start(t, 15, pgtest.Checksums(false))
	for _, format := range []string{"-Fp", "-Ft"} {
		dir := filepath.Join(t.TempDir(), "backup")
		basebackup(t, s, "-D", dir, format)
		r, o := asJSON(t, "--checksums", dir)
		if o.status != 0 || r.Pages == nil || r.Pages.Enabled || !strings.Contains(o.stderr, "page checksums are not enabled") {
			t.Errorf("%s: %+v", format, o)
		}
		if err := os.Remove(filepath.Join(dir, "backup_manifest")); err != nil {
			t.Fatal(err)
		}
		if _, o := asJSON(t, "--checksums", "-n", dir); o.status != 1 || !strings.Contains(o.stderr, "neither WAL nor page checksums could be checked") {
			t.Errorf("%s, nothing to check: %+v", format, o)
		}
	}
}

// basebackup takes a backup with PostgreSQL's own program.
func basebackup(t *testing.T, s *pgtest.Server, args ...string) {
	t.Helper()
	in, err := pgtest.Installation(15)
	if err != nil {
		t.Fatal(err)
	}
	program, err := in.Path("pg_basebackup")
	if err != nil {
		t.Fatal(err)
	}
	args = append(args, "-c", "fast", "--no-sync", "-d", s.DSN())
	if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
		t.Fatalf("pg_basebackup: %v\n%s", err, out)
	}
}

func TestPagesThatWALReplacesAreNoFalseAlarm(t *testing.T) {
	s := pgtest.Start(t, 15, pgtest.Checksums(true), pgtest.WALSegSize(1))
	load := pgtest.Load(t, s, 1)
	load.Wait(t, 100)
	dir := filepath.Join(t.TempDir(), "backup")
	basebackup(t, s, "-D", dir, "-r", "20M") // about two seconds
	if _, err := load.Stop(); err != nil {
		t.Fatal(err)
	}
	b := &backup{t, dir}
	start, end := b.walRange()
	var path string
	var number uint32
	r := wal.NewReader(wal.Dir(b.path(walDir), 0), wal.ReaderOptions{Timeline: 1, Start: lsn.LSN(start), End: lsn.LSN(end)})
	for path == "" && r.Next() {
		for block := range r.Record().Blocks() {
			name := fmt.Sprintf("base/%d/%d", block.Database, block.Relation)
			info, err := os.Stat(b.path(name))
			if err == nil && block.ApplyImage && block.Fork == 0 && info.Size() >= int64(block.Number+1)*8192 {
				path, number = name, block.Number
			}
		}
	}
	r.Close()
	if path == "" {
		t.Fatal("no page was changed during the backup")
	}
	before := verifiedJSON(t, "--checksums", dir)
	b.flip(path, int(number)*8192+8000)
	torn := verifiedJSON(t, "--checksums", "-s", dir)
	if torn.Pages.Replaced != before.Pages.Replaced+1 {
		t.Errorf("%s, block %d: pages %+v, before %+v", path, number, torn.Pages, before.Pages)
	}
	// Without WAL it depends on whether the change was there already.
	old, o := asJSON(t, "--checksums", "-s", "-n", dir)
	if old.Pages.Broken+old.Pages.Unknown == 0 || (o.status == 1) != (old.Pages.Broken > 0) {
		t.Errorf("pages %+v without WAL, status %d", old.Pages, o.status)
	}
	// And a page that WAL does not have is broken.
	b.flip("base/1/1255", 8192*3+5000)
	if r, o := asJSON(t, "--checksums", "-s", dir); o.status != 1 || r.Pages.Broken != 1 || r.Problems[0].Path != "base/1/1255" {
		t.Errorf("%+v", o)
	}
}
