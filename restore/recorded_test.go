package restore_test

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/basebackup"
	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/conninfo"
	"github.com/pgbasin/pgbasin/internal/durable"
	"github.com/pgbasin/pgbasin/internal/pgfake"
	"github.com/pgbasin/pgbasin/recoveryconf"
	"github.com/pgbasin/pgbasin/replproto"
	"github.com/pgbasin/pgbasin/restore"
)

// The recordings are of a real server 9.5.3 with a tablespace at /tmp/rec/ts.
const recordedLocation, recordedSpace = "/tmp/rec/ts", "16387"

// recorded takes a backup of the recorded server.
func recorded(t *testing.T, d basebackup.Destination, method basebackup.WALMethod, names ...string) {
	t.Helper()
	s := pgfake.Replay(t, names...)
	settings, err := conninfo.Resolve(conninfo.Settings{}, func(name string) (string, bool) {
		value, ok := map[string]string{"PGHOST": s.Host(), "PGPORT": strconv.Itoa(s.Port()), "PGUSER": "repl", "PGSSLMODE": "disable"}[name]
		return value, ok
	})
	if err != nil {
		t.Fatal(err)
	}
	cfg := &replproto.Config{Settings: settings}
	_, err = basebackup.Run(context.Background(), basebackup.Options{
		Connect:        func(ctx context.Context) (*replproto.Conn, error) { return replproto.Connect(ctx, cfg) },
		FastCheckpoint: true, WAL: method,
	}, d)
	if err != nil {
		t.Fatal(err)
	}
}

// What the documentation of 9.5 demands: WAL in pg_xlog, and in recovery.conf
// quoted values (chapters "Continuous Archiving and Point-in-Time Recovery" and
// "Recovery Configuration").
func TestBackupsOfTheRecorded95AreLaidOutAsItsDocumentationDemands(t *testing.T) {
	root := t.TempDir()
	tarred, plain := filepath.Join(root, "tar"), filepath.Join(root, "plain")
	recorded(t, basebackup.TarDirectory(basebackup.TarOptions{Path: tarred, Compression: codec.Spec{Algorithm: codec.Gzip}, Sync: durable.NoSync}), basebackup.WALFetch, "tar_fetch.1")
	recorded(t, basebackup.Plain(basebackup.PlainOptions{
		Path: plain, Sync: durable.NoSync, Tablespaces: []basebackup.TablespaceMapping{{Old: recordedLocation, New: plain + "-space"}},
	}), basebackup.WALStream, "plain_stream.1", "plain_stream.2")

	for _, c := range []struct {
		backup, old string
		recovery    recoveryconf.Recovery
		want        string
	}{
		{tarred, recordedLocation, recoveryconf.Recovery{
			RestoreCommand: `cp '/opt/arch/%f' "%p"`,
			Target:         recoveryconf.Target{Time: "2999-02-13 11:50:00 Asia/Seoul", Exclusive: true, Timeline: "latest"},
		}, "restore_command = 'cp ''/opt/arch/%f'' \"%p\"'\nrecovery_target_time = '2999-02-13 11:50:00 Asia/Seoul'\nrecovery_target_inclusive = 'false'\n" +
			"recovery_target_timeline = 'latest'\nrecovery_target_action = 'promote'\n"},
		{plain, plain + "-space", recoveryconf.Recovery{
			Standby: true, PrimaryConnInfo: `user=repl password='it''s'`, PrimarySlot: "one",
		}, "standby_mode = 'on'\nprimary_conninfo = 'user=repl password=''it''''s'''\nprimary_slot_name = 'one'\n"},
	} {
		data := c.backup + "-data"
		r, err := run(restore.Options{
			Backup: c.backup, DataDir: data, WALDir: data + "-xlog", Sync: restore.NoSync, Recovery: c.recovery,
			Tablespaces: []restore.Mapping{{Old: c.old, New: data + "-space"}},
			Settings:    recoveryconf.Params{{Name: "port", Value: "5445"}, {Name: "archive_mode", Value: "off"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if r.Version != 90500 || r.SystemID != 7710876247589456981 || r.Verified {
			t.Errorf("result: %+v", r)
		}
		conf := read(t, filepath.Join(data, "recovery.conf"))
		if !strings.HasPrefix(conf, "#") || conf[strings.Index(conf, "\n")+1:] != c.want {
			t.Errorf("recovery.conf is\n%s, want after a comment\n%s", conf, c.want)
		}
		if got := read(t, filepath.Join(data, "postgresql.auto.conf")); !strings.HasSuffix(got, "port = '5445'\narchive_mode = 'off'\n") {
			t.Errorf("postgresql.auto.conf is %q", got)
		}
		for name, want := range map[string]string{"pg_xlog": data + "-xlog", "pg_tblspc/" + recordedSpace: data + "-space"} {
			if got, err := os.Readlink(filepath.Join(data, name)); got != want {
				t.Errorf("%s leads to %q, %v", name, got, err)
			}
		}
		if info, err := os.Stat(data + "-xlog/000000010000000000000005"); c.backup == plain && (err != nil || info.Size() != 16<<20) {
			t.Errorf("the segment: %v, %v", info, err)
		}
		for _, name := range []string{"pg_wal", "recovery.signal", "standby.signal", "recovery.done"} {
			if exists(filepath.Join(data, name)) {
				t.Errorf("%s is there", name)
			}
		}
		for _, name := range []string{"pg_xlog/archive_status", "pg_clog", "pg_replslot", "pg_stat_tmp", "global/pg_control"} {
			if !exists(filepath.Join(data, name)) {
				t.Errorf("%s is not there", name)
			}
		}
	}
}

func TestWhat95DoesNotHaveIsRefusedByName(t *testing.T) {
	backup := filepath.Join(t.TempDir(), "tar")
	recorded(t, basebackup.TarDirectory(basebackup.TarOptions{Path: backup, Sync: durable.NoSync}), basebackup.WALFetch, "tar_fetch.1")
	_, err := run(restore.Options{
		Backup: backup, DataDir: backup + "-data", Tablespaces: []restore.Mapping{{Old: recordedLocation, New: backup + "-space"}},
		Recovery: recoveryconf.Recovery{RestoreCommand: "cp /x/%f %p", Target: recoveryconf.Target{LSN: 1 << 40}},
	})
	if err == nil || !strings.Contains(err.Error(), "target-lsn needs PostgreSQL 10 or newer") || exists(backup+"-data") {
		t.Errorf("error: %v", err)
	}
}
