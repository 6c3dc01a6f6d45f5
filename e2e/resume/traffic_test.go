//go:build unix

package resume

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/pgbasin/pgbasin/internal/pgtest"
	"github.com/pgbasin/pgbasin/manifest"
)

var (
	relation = regexp.MustCompile(`/(?:global|\d+)/\d+(?:\.\d+)?$`)
	begun    = regexp.MustCompile(`write-ahead log start point: (\S+) on`)
)

// start is where the attempt began that the program told of.
func (p *program) start(t *testing.T) string {
	t.Helper()
	m := begun.FindStringSubmatch(p.stderr.String())
	if m == nil {
		return ""
	}
	return m[1]
}

// there is what relation files a backup that was broken off has, of which the largest
// may be not whole.
func (p *place) there(t *testing.T) (files int, bytes int64) {
	t.Helper()
	for _, dir := range []string{p.dir, p.dir + "-space"} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() || !relation.MatchString(path) {
				return err
			}
			info, err := d.Info()
			files++
			bytes += info.Size()
			return err
		})
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	return files, bytes
}

// frugal shows that a resumed backup got no more than what was missing and what was
// changed since the first attempt began, give or take 5 percent.
func (p *place) frugal(t *testing.T, since string, keptFiles int, r report) {
	t.Helper()
	sent := p.proxy.Traffic()[resumedConnection].FromServer
	f, err := os.Open(filepath.Join(p.dir, "backup_manifest"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	// A file is sent with a header, in units of 512 bytes.
	total := info.Size()
	m := manifest.NewReader(f)
	for m.Next() {
		total += 512 + (m.File().Size+511)/512*512
	}
	if err := m.Err(); err != nil {
		t.Fatal(err)
	}
	changed := p.changed(t, since, r.StartLSN)
	// A file of which blocks are sent has a block with their numbers. One is sent whole
	// that was changed to nine tenths, or made anew.
	blocks, relations := changed[0], changed[1]
	missing := total - r.KeptBytes
	again := blocks*8192*10/9 + relations*8192
	t.Logf("of %d kB, %d kB were kept, %d kB missing, up to %d kB changed; %d kB were sent (%.1f %% of missing and changed)",
		total>>10, r.KeptBytes>>10, missing>>10, again>>10, sent>>10, float64(sent)*100/float64(missing+again+512*int64(keptFiles)))
	// What is kept and unchanged is sent as an empty file, with a header.
	if limit := (missing + again + 512*int64(keptFiles)) * 105 / 100; sent > limit {
		t.Errorf("%d bytes were sent, want at most %d", sent, limit)
	}
}

// changed is how many blocks of how many files were changed between two positions.
func (p *place) changed(t *testing.T, from, to string) [2]int64 {
	t.Helper()
	query := fmt.Sprintf(`select array[count(distinct (reltablespace, reldatabase, relfilenode, relforknumber, relblocknumber)),
count(distinct (reltablespace, reldatabase, relfilenode, relforknumber))]
from pg_available_wal_summaries() s, pg_wal_summary_contents(s.tli, s.start_lsn, s.end_lsn)
where not is_limit_block and s.end_lsn > '%s' and s.start_lsn < '%s'`, from, to)
	n := pgtest.Query[[]int64](t, p.Server, query)
	return [2]int64{n[0], n[1]}
}
