//go:build linux

package lab

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// A standby that is promoted archives the history of its timeline and the segment
// that the old one ended in, as a partial one.
func TestMatrixPromotedStandbyArchivesAPartialSegment(t *testing.T) {
	onMajors(t, func(t *testing.T, l *lab) {
		archive, err := l.MakeDir("promoted")
		if err != nil {
			t.Fatal(err)
		}
		s := pgtest.StartStandby(t, l.Server, pgtest.Setting("archive_command", pgbasin+" wal-push -Z lz4 --to="+archive+" %p"))
		t.Cleanup(func() { s.Kill() })
		l.rows(t, 1)
		l.still(func() {
			s.CatchUp(t, l.Server)
			s.Promote(t)
		})
		s.Exec(t, "insert into testlog values (clock_timestamp())")
		last := s.QueryString(t, "select pg_walfile_name(pg_switch_wal())")
		eventually(t, last+" is archived", func() bool { return exists(filepath.Join(archive, last+".lz4")) })

		partial, err := filepath.Glob(filepath.Join(archive, "00000001*.lz4.partial"))
		if err != nil || len(partial) != 1 || !exists(filepath.Join(archive, "00000002.history")) {
			t.Fatalf("the archive has %v, %v", names(t, archive), err)
		}
		segment := strings.TrimSuffix(filepath.Base(partial[0]), ".lz4.partial")
		to := filepath.Join(t.TempDir(), "RECOVERYXLOG")
		if status, stderr := run(t, "wal-fetch", "--from", archive, segment, to); status != 0 {
			t.Fatalf("exit status %d: %s", status, stderr)
		}
		got, err := os.ReadFile(to)
		want, wantErr := os.ReadFile(filepath.Join(s.DataDir(), "pg_wal", segment+".partial"))
		if err != nil || wantErr != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes, the standby had %d; %v, %v", len(got), len(want), err, wantErr)
		}
	})
}
