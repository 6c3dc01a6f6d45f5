package pgfake_test

import (
	"bytes"
	"fmt"
	"path"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgbasin/pgbasin/internal/pgfake"
	"github.com/pgbasin/pgbasin/internal/pgtest"
	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/replproto"
	"github.com/pgbasin/pgbasin/wal"
)

// realMajors are the versions that the fake is held against. Between them lie
// the changes of tags (13) and of BASE_BACKUP's syntax and layout (15).
var realMajors = []int{10, 14, 18}

// shape is what an answer looks like, less what differs from server to server:
// message types, columns with types, NULLs, tags, SQLSTATEs and messages.
func shape(t *testing.T, conn *pgconn.PgConn, sql string) string {
	t.Helper()
	f := conn.Frontend()
	f.Send(&pgproto3.Query{String: sql})
	if err := f.Flush(); err != nil {
		t.Fatal(err)
	}
	var out []string
	add := func(s string) {
		if len(out) == 0 || out[len(out)-1] != s {
			out = append(out, s)
		}
	}
	for {
		m, err := conn.ReceiveMessage(deadline(t))
		if err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		switch m := m.(type) {
		case *pgproto3.RowDescription:
			var b strings.Builder
			for _, c := range m.Fields {
				fmt.Fprintf(&b, " %s/%d/%d", c.Name, c.DataTypeOID, c.DataTypeSize)
			}
			add("T" + b.String())
		case *pgproto3.DataRow:
			var b strings.Builder
			for _, v := range m.Values {
				fmt.Fprintf(&b, " %v", v != nil)
			}
			add("D" + b.String())
		case *pgproto3.CommandComplete:
			// Repeated tags must not be folded.
			out = append(out, "C "+string(m.CommandTag))
		case *pgproto3.ErrorResponse:
			add("E " + m.Code + " " + m.Message)
		case *pgproto3.NoticeResponse, *pgproto3.ParameterStatus:
		case *pgproto3.CopyOutResponse:
			add("H")
		case *pgproto3.CopyBothResponse:
			add("W")
			f.Send(&pgproto3.CopyDone{})
			f.Flush()
		case *pgproto3.CopyDone:
			add("c")
		case *pgproto3.CopyData:
			kind := string(m.Data[:1])
			switch {
			case kind == "n":
				kind = strings.TrimRight(string(m.Data), "\x00")
			case kind != "d" && kind != "m" && kind != "p" && kind != "w" && kind != "k":
				kind = "data" // up to 14 it has no type
			}
			// How many of these come depends on the time.
			if kind != "w" && kind != "k" && kind != "p" {
				add(kind)
			}
		case *pgproto3.ReadyForQuery:
			return strings.Join(out, "\n")
		default:
			t.Fatalf("%s: %T", sql, m)
		}
	}
}

// conversation is asked of a real server and of the fake one.
func conversation(position lsn.LSN) []string {
	return []string{
		"IDENTIFY_SYSTEM",
		"SHOW wal_segment_size",
		"SHOW data_directory_mode",
		"SHOW no_such_setting",
		"SELECT 1",
		"IDENTIFY_SYSTEM x",
		"TIMELINE_HISTORY 1",
		"TIMELINE_HISTORY 0",
		"CREATE_REPLICATION_SLOT a PHYSICAL RESERVE_WAL",
		"CREATE_REPLICATION_SLOT a PHYSICAL",
		"CREATE_REPLICATION_SLOT \"A\" PHYSICAL",
		"CREATE_REPLICATION_SLOT c PHYSICAL (NONSENSE)",
		"READ_REPLICATION_SLOT a",
		"READ_REPLICATION_SLOT c",
		"DROP_REPLICATION_SLOT a",
		"DROP_REPLICATION_SLOT a WAIT",
		"START_REPLICATION SLOT a 0/1000000",
		"START_REPLICATION 0/1000000 TIMELINE 9",
		fmt.Sprintf("START_REPLICATION %v TIMELINE 1", position),
		"BASE_BACKUP LABEL 'x' FAST NOWAIT PROGRESS TABLESPACE_MAP",
		"BASE_BACKUP LABEL 'x' FAST NOWAIT NOVERIFY_CHECKSUMS",
		"BASE_BACKUP LABEL 'x' FAST NOWAIT MANIFEST 'yes' MANIFEST_CHECKSUMS 'none'",
		"BASE_BACKUP FAST FAST",
		"BASE_BACKUP MAX_RATE 1",
		"BASE_BACKUP (LABEL 'x', PROGRESS, CHECKPOINT 'fast', WAIT 0, TABLESPACE_MAP, MANIFEST 'yes', TARGET 'client')",
		"BASE_BACKUP (LABEL 'x', CHECKPOINT 'fast', WAIT 0, TARGET 'blackhole')",
		"BASE_BACKUP (LABEL 'x', CHECKPOINT 'fast', WAIT 0, COMPRESSION 'gzip', MANIFEST 'yes')",
		"BASE_BACKUP (INCREMENTAL 'no', NONSENSE)",
		"BASE_BACKUP (NONSENSE)",
		"BASE_BACKUP (WAL, WAL)",
		"BASE_BACKUP (WAL 'perhaps')",
		"BASE_BACKUP (CHECKPOINT 'slow')",
		"BASE_BACKUP (MAX_RATE 1)",
		"BASE_BACKUP (TARGET 'moon')",
		"BASE_BACKUP (TARGET 'server')",
		"BASE_BACKUP (TARGET 'blackhole', TARGET_DETAIL 'x')",
		"BASE_BACKUP (TARGET_DETAIL 'x')",
		"BASE_BACKUP (COMPRESSION 'rar')",
		"BASE_BACKUP (COMPRESSION_DETAIL '1')",
		"BASE_BACKUP (MANIFEST_CHECKSUMS 'sha256')",
		"BASE_BACKUP (MANIFEST 'maybe')",
		"BASE_BACKUP (LABEL 'x'",
	}
}

func TestTheFakeAnswersAsARealServerDoes(t *testing.T) {
	for _, major := range realMajors {
		t.Run(fmt.Sprint(major), func(t *testing.T) {
			real := pgtest.Start(t, major)
			location := real.CreateTablespace(t, "ts1")
			oid := pgtest.Query[uint32](t, real, "SELECT oid FROM pg_tablespace WHERE spcname = 'ts1'")
			realConn := connect(t, real.TCPDSN()+" replication=yes")
			id, err := query(t, realConn, "IDENTIFY_SYSTEM")
			if err != nil {
				t.Fatal(err)
			}
			// A stream from the end of the log ends without a position to agree on.
			real.Exec(t, "SELECT pg_switch_wal()")
			position, err := lsn.Parse(pgtest.Query[string](t, real, "SELECT pg_current_wal_flush_lsn()::text"))
			if err != nil {
				t.Fatal(err)
			}
			data := pgfake.SmallData(realConn.ParameterStatus("server_version"), location)
			data.Tablespaces[0].OID = oid
			fake := &pgfake.Cluster{Version: realConn.ParameterStatus("server_version"), Data: data, Flush: position}
			fmt.Sscan(id[0], &fake.SystemID)
			fakeConn := connect(t, pgfake.Serve(t, fake).ConnString())
			for _, q := range conversation(position) {
				if want, got := shape(t, realConn, q), shape(t, fakeConn, q); got != want {
					t.Errorf("%s\n--- the fake answers\n%s\n--- %s answers\n%s", q, got, fake.Version, want)
				}
			}
			checkLogHeader(t, replicate(t, real.TCPDSN()))
		})
	}
}

// checkLogHeader compares the first page header of a segment that the server
// sends with the synthetic one for its place.
func checkLogHeader(t *testing.T, conn *replproto.Conn) {
	t.Helper()
	sys, err := conn.IdentifySystem(deadline(t))
	if err != nil {
		t.Fatal(err)
	}
	size, err := conn.SegmentSize(deadline(t))
	if err != nil {
		t.Fatal(err)
	}
	b, err := takeBackup(t, conn, replproto.BaseBackupOptions{WAL: true, NoWait: true, FastCheckpoint: true})
	if err != nil {
		t.Fatal(err)
	}
	names, contents := members(t, b.archives["base.tar"])
	for _, name := range names {
		_, segno, err := wal.ParseSegmentName(path.Base(name), size)
		if err != nil {
			continue
		}
		at := wal.SegmentStart(segno, size)
		w := pgfake.WAL{Version: conn.ServerVersionString(), SystemID: sys.ID, Timeline: sys.Timeline, SegmentSize: size}
		got, want := w.Bytes(at, at+40), contents[name][:40]
		want[2] &^= 4 // XLP_BKP_REMOVABLE: full-page images need not be archived; up to 14, at times
		if !bytes.Equal(got, want) {
			t.Errorf("%s begins\n%x, synthetic log with\n%x", name, want, got)
		}
		return
	}
	t.Errorf("no segment among %q", names)
}
