package pgdata_test

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pgbasin/pgbasin/internal/pgtest"
	"github.com/pgbasin/pgbasin/pgdata"
)

// same reports each field that differs.
func same(t *testing.T, got, want pgdata.Control) {
	t.Helper()
	g, w := reflect.ValueOf(got), reflect.ValueOf(want)
	for i := range g.NumField() {
		if a, b := g.Field(i).Interface(), w.Field(i).Interface(); !reflect.DeepEqual(a, b) {
			t.Errorf("%s is %v, want %v", g.Type().Field(i).Name, a, b)
		}
	}
}

// Values that are not the defaults, so that a field read from its neighbour's place is seen.
var controlSettings = map[string]string{
	"max_connections": "43", "max_worker_processes": "9", "max_wal_senders": "11", "max_prepared_transactions": "3",
	"max_locks_per_transaction": "71", "track_commit_timestamp": "on", "wal_log_hints": "on", "wal_level": "logical",
}

const controlActivity = `create table t (id int primary key); insert into t values (1);
	begin; select * from t for share; savepoint a; select * from t for update; commit; checkpoint`

func TestControlSaysWhatTheServerSays(t *testing.T) {
	for _, major := range pgtest.Majors() {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			opts := []pgtest.Option{pgtest.Settings(controlSettings)}
			if major == 12 || major == 17 {
				opts = append(opts, pgtest.Checksums(true), pgtest.WALSegSize(1))
			}
			s := pgtest.Start(t, major, opts...)
			s.Exec(t, controlActivity)
			running := parseControl(t, s.DataDir())
			if v, ok := running.Version(); !ok || v != pgdata.Version(major*10000) || !running.Complete {
				t.Errorf("version %v, %v, complete %v", v, ok, running.Complete)
			}
			compareWithFunctions(t, s, running)
			if running.State != pgdata.InProduction || running.WALLevel != "logical" || !running.WALLogHints || !running.TrackCommitTimestamp ||
				running.MaxConnections != 43 || running.MaxWorkerProcesses != 9 || running.MaxPreparedTransactions != 3 || running.MaxLocksPerTransaction != 71 {
				t.Errorf("settings of the running server: %+v", running)
			}
			if want := int32(11); major >= 12 && running.MaxWALSenders != want || running.UnloggedLSN == 0 || !running.IntegerDatetimes {
				t.Errorf("%d WAL senders, unlogged LSN %v", running.MaxWALSenders, running.UnloggedLSN)
			}
			if len(running.MockAuthNonce) != 32 || string(running.MockAuthNonce) == strings.Repeat("\x00", 32) {
				t.Errorf("nonce %x", running.MockAuthNonce)
			}
			if err := s.Stop(); err != nil {
				t.Fatal(err)
			}
			stopped := parseControl(t, s.DataDir())
			if stopped.State != pgdata.ShutDown || stopped.Redo != stopped.Checkpoint || stopped.Checkpoint <= running.Checkpoint {
				t.Errorf("after the shutdown: %v, checkpoint %v, redo %v", stopped.State, stopped.Checkpoint, stopped.Redo)
			}
		})
	}
}

func parseControl(t *testing.T, dataDir string) *pgdata.Control {
	t.Helper()
	c, err := pgdata.ParseControl(readFile(t, filepath.Join(dataDir, pgdata.ControlFile)))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// compareWithFunctions fails for every column of the server's functions that has another value than c, and for those it does
// not know.
func compareWithFunctions(t *testing.T, s *pgtest.Server, c *pgdata.Control) {
	t.Helper()
	want := map[string]string{
		"pg_control_version": fmt.Sprint(c.PGControlVersion), "catalog_version_no": fmt.Sprint(c.CatalogVersion),
		"system_identifier": fmt.Sprint(c.SystemID), "pg_control_last_modified": c.Time.Format(jsonTime),

		"checkpoint_lsn": c.Checkpoint.String(), "prior_lsn": c.PrevCheckpoint.String(), "redo_lsn": c.Redo.String(),
		"redo_wal_file": walFile(c), "timeline_id": fmt.Sprint(c.Timeline), "prev_timeline_id": fmt.Sprint(c.PrevTimeline),
		"full_page_writes": fmt.Sprint(c.FullPageWrites), "next_xid": fmt.Sprintf("%d:%d", c.NextXID>>32, uint32(c.NextXID)),
		"next_oid": fmt.Sprint(c.NextOID), "next_multixact_id": fmt.Sprint(c.NextMulti), "next_multi_offset": fmt.Sprint(c.NextMultiOffset),
		"oldest_xid": fmt.Sprint(c.OldestXID), "oldest_xid_dbid": fmt.Sprint(c.OldestXIDDB), "oldest_active_xid": fmt.Sprint(c.OldestActiveXID),
		"oldest_multi_xid": fmt.Sprint(c.OldestMulti), "oldest_multi_dbid": fmt.Sprint(c.OldestMultiDB),
		"oldest_commit_ts_xid": fmt.Sprint(c.OldestCommitTSXID), "newest_commit_ts_xid": fmt.Sprint(c.NewestCommitTSXID),
		"checkpoint_time": c.CheckpointTime.Format(jsonTime),

		"min_recovery_end_lsn": c.MinRecoveryPoint.String(), "min_recovery_end_timeline": fmt.Sprint(c.MinRecoveryTimeline),
		"backup_start_lsn": c.BackupStart.String(), "backup_end_lsn": c.BackupEnd.String(), "end_of_backup_record_required": fmt.Sprint(c.EndOfBackupRequired),

		"max_data_alignment": fmt.Sprint(c.MaxAlign), "database_block_size": fmt.Sprint(c.BlockSize), "blocks_per_segment": fmt.Sprint(c.RelSegSize),
		"wal_block_size": fmt.Sprint(c.WALBlockSize), "bytes_per_wal_segment": fmt.Sprint(c.WALSegmentSize),
		"max_identifier_length": fmt.Sprint(c.NameDataLen), "max_index_columns": fmt.Sprint(c.IndexMaxKeys),
		"max_toast_chunk_size": fmt.Sprint(c.ToastMaxChunkSize), "large_object_chunk_size": fmt.Sprint(c.LargeObjectSize),
		"float4_pass_by_value": fmt.Sprint(c.Float4ByVal), "float8_pass_by_value": fmt.Sprint(c.Float8ByVal),
		"data_page_checksum_version": fmt.Sprint(c.DataChecksumVersion), "default_char_signedness": fmt.Sprint(c.SignedChar),
	}
	columns := 0
	for _, function := range []string{"pg_control_system", "pg_control_checkpoint", "pg_control_recovery", "pg_control_init"} {
		d := json.NewDecoder(strings.NewReader(s.QueryString(t, "select row_to_json(c)::text from "+function+"() c")))
		d.UseNumber()
		var row map[string]any
		if err := d.Decode(&row); err != nil {
			t.Fatal(err)
		}
		for name, value := range row {
			columns++
			if got, ok := want[name]; !ok || got != fmt.Sprint(value) {
				t.Errorf("%s.%s is %v, read as %q", function, name, value, got)
			}
		}
	}
	if columns < 38 {
		t.Errorf("only %d columns were compared", columns)
	}
}

const jsonTime = "2006-01-02T15:04:05-07:00"

func walFile(c *pgdata.Control) string {
	size := uint64(c.WALSegmentSize)
	number := uint64(c.Redo) / size
	return fmt.Sprintf("%08X%08X%08X", c.Timeline, number/(1<<32/size), number%(1<<32/size))
}

// What the functions do not show is compared with pg_controldata: of a standby, whose recovery fields are not zero.
func TestControlSaysWhatPgControldataSays(t *testing.T) {
	primary := pgtest.Start(t, 15, pgtest.Settings(controlSettings))
	standby := pgtest.StartStandby(t, primary)
	primary.Exec(t, controlActivity)
	standby.CatchUp(t, primary)
	standby.Exec(t, "checkpoint")
	compareWithFunctions(t, standby, parseControl(t, standby.DataDir()))
	if err := standby.Stop(); err != nil {
		t.Fatal(err)
	}
	c := parseControl(t, standby.DataDir())
	program, err := standby.Install().Path("pg_controldata")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-D", standby.DataDir())
	cmd.Env = []string{"LC_ALL=C", "TZ=UTC"}
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^([^:]+): +(.*)$`).FindAllStringSubmatch(string(out), -1) {
		said[m[1]] = m[2]
	}
	onOff := map[bool]string{true: "on", false: "off"}
	for name, value := range map[string]string{
		"Database cluster state": c.State.String(), "pg_control last modified": c.Time.Format(time.ANSIC),
		"Fake LSN counter for unlogged rels": c.UnloggedLSN.String(), "Minimum recovery ending location": c.MinRecoveryPoint.String(),
		"Min recovery ending loc's timeline": fmt.Sprint(c.MinRecoveryTimeline),
		"wal_level setting":                  c.WALLevel, "wal_log_hints setting": onOff[c.WALLogHints],
		"max_connections setting": fmt.Sprint(c.MaxConnections), "max_worker_processes setting": fmt.Sprint(c.MaxWorkerProcesses),
		"max_wal_senders setting": fmt.Sprint(c.MaxWALSenders), "max_prepared_xacts setting": fmt.Sprint(c.MaxPreparedTransactions),
		"max_locks_per_xact setting": fmt.Sprint(c.MaxLocksPerTransaction), "track_commit_timestamp setting": onOff[c.TrackCommitTimestamp],
		"Mock authentication nonce": fmt.Sprintf("%x", c.MockAuthNonce),
	} {
		if said[name] != value {
			t.Errorf("%s: %q, read as %q", name, said[name], value)
		}
	}
	if c.MinRecoveryPoint == 0 || c.MinRecoveryTimeline != 1 || c.State != pgdata.ShutDownInRecovery {
		t.Errorf("the standby's recovery: %v on %d, %v", c.MinRecoveryPoint, c.MinRecoveryTimeline, c.State)
	}
}
