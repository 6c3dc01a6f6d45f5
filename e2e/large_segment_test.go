//go:build unix

package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// The largest WAL segments, of 1 GB, are received whole.
func TestLargestWALSegments(t *testing.T) {
	s := pgtest.Start(t, 18, pgtest.WALSegSize(1024), pgtest.Setting("min_wal_size", "2GB"), pgtest.Setting("max_wal_size", "4GB"))
	s.Exec(t, "create table t as select generate_series(1, 1000) as i")
	sums := pgtest.Sums(t, s)
	dir := filepath.Join(pgtest.TempDir(t), "backup")
	run(t, pgBasebackup, append(shortConnection(s), "-cfast", "-ND", dir)...).quiet(t)
	segments, err := filepath.Glob(filepath.Join(dir, "pg_wal", "0*"))
	if err != nil || len(segments) != 1 {
		t.Fatalf("segments: %v, %v", segments, err)
	}
	if info, err := os.Stat(segments[0]); err != nil || info.Size() != 1<<30 {
		t.Errorf("segment: %v, %v", info, err)
	}
	restored := pgtest.StartDir(t, 18, dir)
	defer restored.Kill()
	pgtest.SameSums(t, pgtest.Sums(t, restored), sums)
}
