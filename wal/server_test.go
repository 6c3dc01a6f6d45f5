package wal_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgbasin/pgbasin/internal/pgtest"
	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/wal"
)

// session is a connection with the statements of a test.
type session struct {
	t testing.TB
	s *pgtest.Server
	c *pgx.Conn
}

func (s session) exec(sql string, args ...any) {
	s.t.Helper()
	if _, err := s.c.Exec(s.t.Context(), sql, args...); err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
}

func (s session) text(sql string, args ...any) string {
	s.t.Helper()
	var v string
	if err := s.c.QueryRow(s.t.Context(), sql, args...).Scan(&v); err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
	return v
}

func (s session) lsn(sql string, args ...any) lsn.LSN {
	s.t.Helper()
	l, err := lsn.Parse(s.text(sql, args...))
	if err != nil {
		s.t.Fatal(err)
	}
	return l
}

// xid is the number of the transaction that is open, without its epoch.
func (s session) xid() uint32 {
	s.t.Helper()
	n, err := strconv.ParseUint(s.text("select txid_current()::text"), 10, 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return uint32(n)
}

// history is what a server was made to write, and what SQL says of it.
type history struct {
	start, end lsn.LSN
	kinds      map[uint32]wal.TransactionKind // how transactions ended
	times      map[uint32]time.Time           // of commits
	restore    map[string]lsn.LSN             // ends of restore points
	switches   []lsn.LSN                      // ends of switch records
	backup     lsn.LSN                        // start
	backupEnd  lsn.LSN
	checkpoint lsn.LSN
	redo       lsn.LSN
	checkTime  int64
	checkTLI   uint32
	nextXID    string
	sysID      uint64
}

// makeHistory lets a server write every kind of record that the package decodes.
func makeHistory(t *testing.T, s *pgtest.Server) history {
	t.Helper()
	db := session{t, s, s.Conn(t)}
	h := history{kinds: map[uint32]wal.TransactionKind{}, times: map[uint32]time.Time{}, restore: map[string]lsn.LSN{}}
	h.start = db.lsn("select pg_switch_wal()::text")
	end := func(kind wal.TransactionKind, sql string) {
		x := db.xid()
		h.kinds[x] = kind
		db.exec(sql)
	}
	db.exec("create table a (i int primary key, x text)")
	db.exec("create table b (i int, x bytea)")
	db.exec("insert into a select i, repeat(md5(i::text), 20) from generate_series(1, 1000) i")
	h.restore["before the checkpoint"] = db.lsn("select pg_create_restore_point('before the checkpoint')::text")
	db.exec("checkpoint")
	for _, compression := range []string{"off", "on"} {
		db.exec("set wal_compression = " + compression)
		db.exec("update a set x = x || 'x' where i % 3 = 0")
		db.exec("delete from a where i % 7 = 0")
		db.exec("insert into b select i, decode((select string_agg(md5((i * j)::text), '') from generate_series(1, 3000) j), 'hex') from generate_series(1, 20) i")
		db.exec("checkpoint")
	}
	// One record of more than 1 MiB, and one that fills more than three segments of 1 MB.
	db.exec("select pg_logical_emit_message(true, 'large', repeat('0123456789', 400000))")
	db.exec("begin")
	db.exec("insert into a values (100001, 'one')")
	end(wal.Commit, "commit")
	db.exec("begin")
	db.exec("insert into a values (100002, 'two')")
	end(wal.Abort, "rollback")
	db.exec("begin")
	for i := range 100 {
		db.exec(fmt.Sprintf("savepoint s%d", i))
		db.exec("insert into a values ($1, 'sub')", 200000+i)
	}
	end(wal.Commit, "commit")
	// A prepared transaction whose record has every part that lies before its number.
	db.exec("create table c (i int)")
	db.exec("begin")
	db.exec("savepoint s")
	db.exec("drop table c")
	db.exec("release s")
	end(wal.CommitPrepared, "prepare transaction 'good'")
	db.exec("commit prepared 'good'")
	db.exec("begin")
	db.exec("savepoint s")
	db.exec("create table d (i int)")
	db.exec("release s")
	end(wal.AbortPrepared, "prepare transaction 'bad'")
	db.exec("rollback prepared 'bad'")
	h.switches = append(h.switches, db.lsn("select pg_switch_wal()::text"))
	if s.Major() >= 15 {
		h.backup = db.lsn("select pg_backup_start('b', true)::text")
		h.backupEnd = db.lsn("select lsn::text from pg_backup_stop(false)")
	} else {
		h.backup = db.lsn("select pg_start_backup('b', true, false)::text")
		h.backupEnd = db.lsn("select lsn::text from pg_stop_backup(false, false)")
	}
	db.exec("checkpoint")
	h.checkpoint = db.lsn("select checkpoint_lsn::text from pg_control_checkpoint()")
	h.redo = db.lsn("select redo_lsn::text from pg_control_checkpoint()")
	var at time.Time
	if err := db.c.QueryRow(t.Context(), "select checkpoint_time, timeline_id, next_xid from pg_control_checkpoint()").Scan(&at, &h.checkTLI, &h.nextXID); err != nil {
		t.Fatal(err)
	}
	h.checkTime = at.Unix()
	for x, kind := range h.kinds {
		if kind == wal.Commit || kind == wal.CommitPrepared {
			if err := db.c.QueryRow(t.Context(), "select pg_xact_commit_timestamp($1::text::xid)", strconv.Itoa(int(x))).Scan(&at); err != nil {
				t.Fatal(err)
			}
			h.times[x] = at
		}
	}
	if err := db.c.QueryRow(t.Context(), "select system_identifier from pg_control_system()").Scan(&h.sysID); err != nil {
		t.Fatal(err)
	}
	h.restore["ünïcode, last"] = db.lsn("select pg_create_restore_point('ünïcode, last')::text")
	h.end = h.restore["ünïcode, last"]
	h.switches = append(h.switches, db.lsn("select pg_switch_wal()::text"))
	return h
}

// settings make a server keep its WAL and the times of commits.
func settings(major int) pgtest.Option {
	all := map[string]string{"track_commit_timestamp": "on", "max_prepared_transactions": "5", "max_wal_size": "4GB"}
	if major >= 13 {
		all["wal_keep_size"] = "4GB"
	} else {
		all["wal_keep_segments"] = "1000"
	}
	return pgtest.Settings(all)
}

func TestRecordsAreWhatTheServerWrote(t *testing.T) {
	t.Parallel()
	for _, major := range []int{10, 15, 18} {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			t.Parallel()
			opts := []pgtest.Option{settings(major)}
			if major == 18 {
				opts = append(opts, pgtest.WALSegSize(1))
			}
			s := pgtest.Start(t, major, opts...)
			h := makeHistory(t, s)
			src := wal.Dir(filepath.Join(s.DataDir(), "pg_wal"), 0)
			r := wal.NewReader(src, wal.ReaderOptions{Timeline: 1, Start: h.start, SystemID: h.sysID, Warning: func(m string) { t.Error(m) }})
			defer r.Close()
			checkHistory(t, r, h)
			if version, known := wal.MagicVersion(r.Magic()); !known || version/10000 != major {
				t.Errorf("magic number %04X is of version %d", r.Magic(), version)
			}
			if err := wal.Verify(t.Context(), src, wal.ReaderOptions{Timeline: 1, Start: h.start, End: h.end}); err != nil {
				t.Error(err)
			}
			if major == 15 {
				compareWithWaldump(t, s, h, src)
			}
		})
	}
}

// checkHistory reads all WAL of a running server and looks for what SQL told.
func checkHistory(t *testing.T, r *wal.Reader, h history) {
	t.Helper()
	var cut, images int
	var switches []lsn.LSN
	found := map[string]bool{}
	kinds, prepared, times := map[uint32]wal.TransactionKind{}, map[uint32]time.Time{}, map[uint32]time.Time{}
	for r.Next() {
		rec := r.Record()
		if int(rec.MainDataLen) != len(rec.MainData) {
			cut++
		}
		for b := range rec.Blocks() {
			if b.HasImage && b.ApplyImage {
				images++
			}
		}
		if tr, ok := rec.Transaction(); ok && tr.Kind == wal.Prepare {
			prepared[tr.XID] = tr.Time
		} else if ok && h.kinds[tr.XID] != 0 {
			kinds[tr.XID] = tr.Kind
			if h.times[tr.XID] != (time.Time{}) {
				times[tr.XID] = tr.Time
			}
		}
		if name, at, ok := rec.RestorePoint(); ok {
			found["restore point"] = true
			if rec.Next != h.restore[name] || time.Since(at).Abs() > time.Hour {
				t.Errorf("restore point %q at %v ends at %v, want %v", name, at, rec.Next, h.restore[name])
			}
			delete(h.restore, name)
		}
		if start, ok := rec.BackupEnd(); ok {
			found["backup end"] = true
			if start != h.backup || rec.Next != h.backupEnd {
				t.Errorf("the backup from %v ends at %v, want %v to %v", start, rec.Next, h.backup, h.backupEnd)
			}
		}
		if rec.IsSwitch() {
			switches = append(switches, rec.LSN+lsn.LSN(rec.TotalLen))
		}
		if c, ok := rec.Checkpoint(); ok && rec.LSN == h.checkpoint {
			found["checkpoint"] = true
			epoch, xid, _ := strings.Cut(h.nextXID, ":")
			if got := fmt.Sprintf("%d", c.NextXID>>32); got != epoch {
				t.Errorf("epoch of the checkpoint is %s, want %s", got, epoch)
			}
			if got := fmt.Sprintf("%d", uint32(c.NextXID)); got != xid {
				t.Errorf("next transaction of the checkpoint is %s, want %s", got, xid)
			}
			if c.Redo != h.redo || c.Timeline != h.checkTLI || c.PrevTimeline != h.checkTLI || c.Time.Unix() != h.checkTime || c.Shutdown || c.EndOfRecovery {
				t.Errorf("checkpoint %+v, want redo %v, timeline %d, time %d", c, h.redo, h.checkTLI, h.checkTime)
			}
		}
	}
	if r.Err() != nil || r.End() != wal.EndZero && r.End() != wal.EndStale && r.End() != wal.EndOfSegments || r.EndLSN() < h.end {
		t.Errorf("the WAL of a running server ends at %v: %v, %v, after %v", r.EndLSN(), r.End(), r.Err(), h.end)
	}
	if len(h.restore) != 0 || len(found) != 3 {
		t.Errorf("found %v; restore points not found: %v", found, h.restore)
	}
	if cut == 0 {
		t.Error("the large record was kept whole")
	}
	if images == 0 {
		t.Error("no full-page image was seen")
	}
	if !maps.Equal(kinds, h.kinds) {
		t.Errorf("transactions ended as %v, want %v", kinds, h.kinds)
	}
	if !maps.EqualFunc(times, h.times, time.Time.Equal) {
		t.Errorf("times of commits: %v, want %v", times, h.times)
	}
	if len(prepared) != 2 {
		t.Errorf("prepared transactions: %v", prepared)
	}
	for x, at := range prepared {
		if kinds[x] != wal.CommitPrepared && kinds[x] != wal.AbortPrepared || time.Since(at).Abs() > time.Hour {
			t.Errorf("transaction %d was prepared at %v and ended as %v", x, at, kinds[x])
		}
	}
	for _, l := range h.switches {
		// SQL's position is rounded up to where a record could begin.
		if !slices.ContainsFunc(switches, func(s lsn.LSN) bool { return s <= l && l-s < 8 }) {
			t.Errorf("no switch record ends at %v, but at %v", l, switches)
		}
	}
}

func TestTimelinesOfAPromotedStandbyAreFollowed(t *testing.T) {
	t.Parallel()
	for _, major := range []int{10, 15, 18} {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			t.Parallel()
			primary := pgtest.Start(t, major, settings(major))
			standby := pgtest.StartStandby(t, primary, settings(major))
			db := session{t, primary, primary.Conn(t)}
			start := db.lsn("select pg_current_wal_lsn()::text")
			db.exec("create table a (i int)")
			db.exec("insert into a select generate_series(1, 1000)")
			last := db.lsn("select pg_create_restore_point('on 1')::text")
			db.exec("checkpoint")
			db.exec("insert into a values (1)")
			end := db.text("select pg_current_wal_flush_lsn()::text")
			waitFor(t, standby, "select coalesce(pg_last_wal_replay_lsn(), '0/0') >= $1::text::pg_lsn", end)
			standby.Promote(t)
			// The old primary goes on, in the segment in which timeline 2 begins.
			db.exec("insert into a select generate_series(1, 5000)")
			two := session{t, standby, standby.Conn(t)}
			two.exec("insert into a select generate_series(1, 1000)")
			two.exec("checkpoint")
			on2 := two.lsn("select pg_create_restore_point('on 2')::text")
			two.exec("insert into a values (1)")
			dir := filepath.Join(standby.DataDir(), "pg_wal")
			content, err := os.ReadFile(filepath.Join(dir, wal.HistoryName(2)))
			if err != nil {
				t.Fatal(err)
			}
			history, err := wal.ParseHistory(content)
			if err != nil {
				t.Fatal(err)
			}
			branch := history[0].End
			r := wal.NewReader(wal.Dir(dir, 0), wal.ReaderOptions{Timeline: 2, History: history, Start: start})
			defer r.Close()
			points := map[string]lsn.LSN{}
			var began lsn.LSN
			for r.Next() {
				if name, _, ok := r.Record().RestorePoint(); ok {
					points[name] = r.Record().Next
				}
				if c, ok := r.Record().Checkpoint(); ok && c.PrevTimeline == 1 && c.Timeline == 2 {
					began = r.Record().LSN
				}
			}
			if r.Err() != nil || r.EndLSN() < on2 {
				t.Errorf("read until %v, %v, %v", r.EndLSN(), r.End(), r.Err())
			}
			if want := map[string]lsn.LSN{"on 1": last, "on 2": on2}; !maps.Equal(points, want) {
				t.Errorf("restore points %v, want %v", points, want)
			}
			if began < branch || began > branch+wal.DefaultBlockSize {
				t.Errorf("timeline 2 begins with a record at %v, its history says %v", began, branch)
			}
			// The ranges that a manifest has, one for each timeline.
			for _, tt := range []struct {
				s   *pgtest.Server
				opt wal.ReaderOptions
			}{
				{primary, wal.ReaderOptions{Timeline: 1, Start: start, End: branch}},
				{standby, wal.ReaderOptions{Timeline: 1, Start: start, End: branch}},
				{standby, wal.ReaderOptions{Timeline: 2, Start: branch, End: on2}},
			} {
				src := wal.Dir(filepath.Join(tt.s.DataDir(), "pg_wal"), 0)
				if err := wal.Verify(t.Context(), src, tt.opt); err != nil {
					t.Errorf("timeline %d: %v", tt.opt.Timeline, err)
				}
			}
		})
	}
}

// waitFor waits until a query is true.
func waitFor(t *testing.T, s *pgtest.Server, sql string, args ...any) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !pgtest.Query[bool](t, s, sql, args...); {
		if time.Now().After(deadline) {
			t.Fatalf("not true after a minute: %s", sql)
		}
	}
}

// parseWaldump takes a line of pg_waldump apart: resource manager, "length xid lsn
// prev", and what follows.
func parseWaldump(line string) (rmgr, fields, desc string, ok bool) {
	head, desc, ok := strings.Cut(line, ", desc: ")
	head = strings.Replace(head, "(rec/tot):", "", 1)
	head = strings.Replace(head, "/", " ", 1)
	f := strings.Fields(strings.ReplaceAll(head, ",", " "))
	// rmgr: NAME len REC TOT tx: XID lsn: LSN prev PREV
	if !ok || len(f) != 11 || f[0] != "rmgr:" || f[5] != "tx:" || f[7] != "lsn:" || f[9] != "prev" {
		return "", "", "", false
	}
	return f[1], f[4] + " " + f[6] + " " + f[8] + " " + f[10], desc, true
}

var waldumpBlock = regexp.MustCompile(`#(\d+): rel (\d+)/(\d+)/(\d+) (?:fork (\S+) )?blk (\d+)( FPW)?`)

// compareWithWaldump compares every record with what pg_waldump prints.
func compareWithWaldump(t *testing.T, s *pgtest.Server, h history, src wal.Source) {
	t.Helper()
	program, err := s.Install().Path("pg_waldump")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "-p", filepath.Join(s.DataDir(), "pg_wal"), "-s", h.start.String(), "-e", h.end.String(), "-t", "1")
	cmd.Env = []string{"TZ=UTC", "LC_ALL=C"}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.Bytes())
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if strings.HasPrefix(lines[0], "first record is after ") {
		lines = lines[1:]
	}
	r := wal.NewReader(src, wal.ReaderOptions{Timeline: 1, Start: h.start, End: h.end})
	defer r.Close()
	n := 0
	for ; r.Next(); n++ {
		rec := r.Record()
		if n >= len(lines) {
			t.Fatalf("pg_waldump has %d records only", len(lines))
		}
		rmgr, want, desc, ok := parseWaldump(lines[n])
		if !ok {
			t.Fatalf("pg_waldump says %q", lines[n])
		}
		got := fmt.Sprintf("%d %d %s %s", rec.TotalLen, rec.XID, long(rec.LSN), long(rec.Prev))
		if got != want || rmgrNames15[rec.RmgrID] != rmgr {
			t.Fatalf("record %d is %d %s, want %s", n, rec.RmgrID, got, lines[n])
		}
		var blocks strings.Builder
		for b := range rec.Blocks() {
			fmt.Fprintf(&blocks, "%d %d/%d/%d %s %d %v\n", b.ID, b.Tablespace, b.Database, b.Relation, []string{"", "fsm", "vm", "init"}[b.Fork], b.Number, b.HasImage)
		}
		var wanted strings.Builder
		if _, refs, ok := strings.Cut(desc, "blkref "); ok {
			for _, b := range waldumpBlock.FindAllStringSubmatch(refs, -1) {
				fmt.Fprintf(&wanted, "%s %s/%s/%s %s %s %v\n", b[1], b[2], b[3], b[4], b[5], b[6], b[7] != "")
			}
		}
		if blocks.String() != wanted.String() {
			t.Fatalf("blocks of record %d are\n%s, want %s", n, blocks.String(), lines[n])
		}
		if tr, ok := rec.Transaction(); ok {
			text := tr.Kind.String() + " "
			switch tr.Kind {
			case wal.CommitPrepared, wal.AbortPrepared:
				text += fmt.Sprintf("%d: ", tr.XID)
			case wal.Prepare:
				_, rest, _ := strings.Cut(desc, ": ")
				desc = "PREPARE " + rest
			}
			if text += tr.Time.UTC().Format("2006-01-02 15:04:05.000000 MST"); !strings.HasPrefix(desc, text) {
				t.Fatalf("record %d is %s, want %s", n, text, desc)
			}
		}
	}
	if n != len(lines) || r.End() != wal.EndReached {
		t.Errorf("%d records, then %v, %v; pg_waldump has %d", n, r.End(), r.Err(), len(lines))
	}
}

// long is a position as pg_waldump writes it.
func long(l lsn.LSN) string { return fmt.Sprintf("%X/%08X", uint32(l>>32), uint32(l)) }

var rmgrNames15 = []string{
	"XLOG", "Transaction", "Storage", "CLOG", "Database", "Tablespace", "MultiXact", "RelMap", "Standby", "Heap2", "Heap",
	"Btree", "Hash", "Gin", "Gist", "Sequence", "SPGist", "BRIN", "CommitTs", "ReplicationOrigin", "Generic", "LogicalMessage",
}
