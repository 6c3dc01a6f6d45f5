package pgdata_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgbasin/pgbasin/internal/pgtest"
	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/pgdata"
)

// A backup by hand is laid over the cluster it was taken from, with its tablespace at another place: the server must find what
// was read here, and understand what was written. 13 and 14 differ in how they escape locations.
func TestServersReadAndWriteLabelsAndMapsTheSameWay(t *testing.T) {
	for _, major := range []int{10, 13, 14, 18} {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			keep := pgtest.Setting("wal_keep_size", "160MB")
			if major < 13 {
				keep = pgtest.Setting("wal_keep_segments", "10")
			}
			// Without an archive, the server removes the history file as soon as it has written it.
			s := pgtest.Start(t, major, keep, pgtest.Setting("archive_mode", "on"))
			location := makeDir(t, s, "old \\x\n\r\\\\y-")
			s.Exec(t, "create tablespace ts location '"+location+"'")
			s.Exec(t, "create table moved tablespace ts as select 42 as answer")
			b := backupByHand(t, s)

			label, err := pgdata.ParseBackupLabel(b.label)
			if err != nil {
				t.Fatal(err)
			}
			if label.Start != b.start || label.StartTimeline != 1 || label.Method != "streamed" || label.From == "" || label.Label != `label: "x"` ||
				time.Since(label.StartTime).Abs() > 10*time.Minute || label.Incremental() {
				t.Errorf("label %+v of a backup from %v:\n%s", label, b.start, b.label)
			}
			histories, err := filepath.Glob(filepath.Join(s.DataDir(), pgdata.Version(major*10000).WALDir(), label.StartFile+".*.backup"))
			if err != nil || len(histories) != 1 {
				t.Fatalf("backup history files: %q, %v", histories, err)
			}
			history, err := pgdata.ParseBackupHistory(readFile(t, histories[0]))
			if err != nil || history.Stop != b.stop || history.Start != b.start || history.Label != label.Label || history.StopTime.Before(label.StartTime) {
				t.Errorf("history %+v of a backup to %v: %v", history, b.stop, err)
			}
			links, err := pgdata.ParseTablespaceMap(b.spaces)
			if err != nil || len(links) != 1 || links[0].Location != location {
				t.Fatalf("tablespaces %v, %v; the map is %q", links, err, b.spaces)
			}
			if got := pgdata.Version(major * 10000).FormatTablespaceMap(links); !bytes.Equal(got, b.spaces) {
				t.Errorf("the map is written as %q, the server writes %q", got, b.spaces)
			}

			if err := s.Stop(); err != nil {
				t.Fatal(err)
			}
			place(t, s, pgdata.LabelFile, bytes.ReplaceAll(b.label, []byte("\n"), []byte("\r\n")))
			if err := s.Relaunch(t.Context()); err == nil || !strings.Contains(err.Error(), `invalid data in file "backup_label"`) {
				t.Errorf("the server's answer to a label with CR LF: %v", err)
			}
			links[0].Location = makeDir(t, s, "new \\z\r\ny-")
			if err := errors.Join(os.Remove(links[0].Location), os.Rename(location, links[0].Location)); err != nil {
				t.Fatal(err)
			}
			place(t, s, pgdata.LabelFile, b.label)
			place(t, s, pgdata.TablespaceMapFile, pgdata.Version(major*10000).FormatTablespaceMap(links))
			if err := s.Relaunch(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := s.QueryString(t, "select pg_tablespace_location(oid) from pg_tablespace where spcname = 'ts'"); got != links[0].Location {
				t.Errorf("the tablespace is at %q, want %q", got, links[0].Location)
			}
			if got := pgtest.Query[int](t, s, "select answer from moved"); got != 42 {
				t.Errorf("the table holds %d", got)
			}
		})
	}
}

func makeDir(t *testing.T, s *pgtest.Server, prefix string) string {
	t.Helper()
	dir, err := s.MakeDir(prefix)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// place writes a file that the server, which may have another user, can read and remove.
func place(t *testing.T, s *pgtest.Server, name string, content []byte) {
	t.Helper()
	path := filepath.Join(s.DataDir(), name)
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
}

type handmade struct {
	start, stop   lsn.LSN
	label, spaces []byte
}

func backupByHand(t *testing.T, s *pgtest.Server) handmade {
	t.Helper()
	start, stop := `pg_backup_start('label: "x"', true)`, "pg_backup_stop(false)"
	if s.Major() < 15 {
		start, stop = `pg_start_backup('label: "x"', true, false)`, "pg_stop_backup(false, false)"
	}
	conn := s.Conn(t)
	var from, to, label, spaces string
	if err := conn.QueryRow(t.Context(), "select "+start+"::text").Scan(&from); err != nil {
		t.Fatal(err)
	}
	row := conn.QueryRow(t.Context(), "select lsn::text, labelfile, spcmapfile from "+stop, pgx.QueryExecModeSimpleProtocol)
	if err := row.Scan(&to, &label, &spaces); err != nil {
		t.Fatal(err)
	}
	b := handmade{label: []byte(label), spaces: []byte(spaces)}
	var err error
	if b.start, err = lsn.Parse(from); err != nil {
		t.Fatal(err)
	}
	if b.stop, err = lsn.Parse(to); err != nil {
		t.Fatal(err)
	}
	return b
}
