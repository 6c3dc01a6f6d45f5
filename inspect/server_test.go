package inspect_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgbasin/pgbasin/backupset"
	"github.com/pgbasin/pgbasin/basebackup"
	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/conninfo"
	"github.com/pgbasin/pgbasin/inspect"
	"github.com/pgbasin/pgbasin/internal/durable"
	"github.com/pgbasin/pgbasin/internal/pgtest"
	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/replproto"
	"github.com/pgbasin/pgbasin/wal"
	"github.com/pgbasin/pgbasin/walarchive"
)

func backup(t *testing.T, s *pgtest.Server, to basebackup.Destination, o basebackup.Options) *basebackup.Result {
	t.Helper()
	given, err := conninfo.Parse(s.DSN())
	if err != nil {
		t.Fatal(err)
	}
	settings, err := conninfo.Resolve(given, nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg := &replproto.Config{Settings: settings, ApplicationName: "inspect_test"}
	o.Connect = func(ctx context.Context) (*replproto.Conn, error) { return replproto.Connect(ctx, cfg) }
	o.FastCheckpoint = true
	result, err := basebackup.Run(context.Background(), o, to)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// tars takes a backup in tar files.
func tars(t *testing.T, s *pgtest.Server, path string, a codec.Algorithm, m basebackup.WALMethod) *basebackup.Result {
	t.Helper()
	return backup(t, s, basebackup.TarDirectory(basebackup.TarOptions{Path: path, Compression: codec.Spec{Algorithm: a}, Sync: durable.NoSync}), basebackup.Options{WAL: m})
}

// report inspects a backup; archive may be "".
func report(t *testing.T, path, archive string) *inspect.Report {
	t.Helper()
	s, err := backupset.Open(path, backupset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var o inspect.Options
	if archive != "" {
		if o.Archive, err = walarchive.Open(archive); err != nil {
			t.Fatal(err)
		}
	}
	r, err := inspect.Backup(context.Background(), s, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// archiving makes a server archive to a directory.
func archiving(dir string) pgtest.Option {
	return pgtest.Settings(map[string]string{
		"archive_mode": "on", "archive_command": "cp %p " + dir + "/%f", "track_commit_timestamp": "on", "autovacuum": "off",
	})
}

// commit makes a transaction and returns what the server knows of it.
func commit(t *testing.T, s *pgtest.Server) (xid uint32, at time.Time) {
	t.Helper()
	s.Exec(t, "insert into t values (1)")
	conn := s.Conn(t)
	if err := conn.QueryRow(t.Context(), "select xid::text::bigint, timestamp from pg_last_committed_xact()").Scan(&xid, &at); err != nil {
		t.Fatal(err)
	}
	return xid, at
}

func restorePoint(t *testing.T, s *pgtest.Server, name string) lsn.LSN {
	t.Helper()
	return position(t, s.QueryString(t, "select pg_create_restore_point('"+name+"')::text"))
}

func position(t *testing.T, text string) lsn.LSN {
	t.Helper()
	pos, err := lsn.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return pos
}

// archived switches the segment and waits until the one before is archived.
func archived(t *testing.T, s *pgtest.Server) {
	t.Helper()
	name := s.QueryString(t, "select pg_walfile_name(pg_switch_wal())")
	deadline := time.Now().Add(60 * time.Second)
	for s.QueryString(t, "select coalesce(max(last_archived_wal), '') from pg_stat_archiver") < name {
		if time.Now().After(deadline) {
			t.Fatalf("%s was not archived", name)
		}
	}
}

func TestTheWindowIsWhatTheServerWrote(t *testing.T) {
	dir := pgtest.TempDir(t)
	archive := filepath.Join(dir, "archive")
	if err := os.Mkdir(archive, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(archive, 0o777); err != nil {
		t.Fatal(err)
	}
	s := pgtest.Start(t, 15, pgtest.WALSegSize(1), archiving(archive))
	s.Exec(t, "create table t (n int)")
	commit(t, s)

	// Four backups: with WAL in a tar, compressed; with WAL in the tar of the data; without; plain.
	streamed, fetched, none, plain := filepath.Join(dir, "streamed"), filepath.Join(dir, "fetched"), filepath.Join(dir, "none"), filepath.Join(dir, "plain")
	results := map[string]*basebackup.Result{
		streamed: tars(t, s, streamed, codec.Zstd, basebackup.WALStream),
		fetched:  tars(t, s, fetched, codec.None, basebackup.WALFetch),
		none:     tars(t, s, none, codec.None, basebackup.WALNone),
		plain:    backup(t, s, basebackup.Plain(basebackup.PlainOptions{Path: plain, Sync: durable.NoSync}), basebackup.Options{}),
	}
	first := restorePoint(t, s, "first")
	archived(t, s)
	for range 3 {
		s.Exec(t, "insert into t select generate_series(1, 20000)")
		archived(t, s)
	}
	second := restorePoint(t, s, "second")
	xid, at := commit(t, s)
	archived(t, s)

	for path, result := range results {
		r := report(t, path, archive)
		w := r.Window
		if w == nil || !r.Complete() || r.Stop != result.Stop || r.StopBy != inspect.Manifest || r.StopTime == "" || r.OwnWAL != (path != none) {
			t.Fatalf("%s: %+v", path, r)
		}
		if w.Start != result.Start || w.Consistent != result.Stop || w.Timeline != 1 || w.Latest != 1 || w.Broken || len(w.Gaps) != 0 || w.Newest.XID != xid || !w.Newest.Time.Equal(at) {
			t.Errorf("%s: %+v, want xid %d at %v", path, w, xid, at)
		}
		if len(w.RestorePoints) != 2 || w.RestorePoints[0].LSN != first || w.RestorePoints[1].LSN != second || w.RestorePoints[1].Name != "second" || !w.RestorePoints[0].Reachable {
			t.Errorf("%s: restore points %+v, want %v and %v", path, w.RestorePoints, first, second)
		}

		// By itself the backup leads to its stop point.
		r = report(t, path, "")
		if w := r.Window; path == none {
			if w != nil {
				t.Errorf("%s alone: %+v", path, w)
			}
		} else if w == nil || w.Consistent != result.Stop || w.Last < result.Stop || w.Broken || !r.OwnWAL {
			t.Errorf("%s alone: %+v", path, w)
		}
	}

	// Without the manifest the stop point is in the backup history file, or in the WAL.
	if err := os.Remove(filepath.Join(none, "backup_manifest")); err != nil {
		t.Fatal(err)
	}
	if r := report(t, none, archive); r.Stop != results[none].Stop || r.StopBy != inspect.HistoryFile || r.Window.Consistent != results[none].Stop {
		t.Errorf("by history file: %+v", r)
	}
	histories, err := filepath.Glob(filepath.Join(archive, "*.backup"))
	if err != nil || len(histories) == 0 {
		t.Fatalf("%v, %v", histories, err)
	}
	for _, h := range histories {
		if err := os.Remove(h); err != nil {
			t.Fatal(err)
		}
	}
	if r := report(t, none, archive); r.Stop != results[none].Stop || r.StopBy != inspect.EndRecord || r.Window.Consistent != results[none].Stop || r.Window.EarliestTime.After(at) {
		t.Errorf("by record: %+v, %+v", r, r.Window)
	}

	// What is damaged behind the beginning is found, too.
	broken := filepath.Join(streamed, "base.tar.zst")
	content, err := os.ReadFile(broken)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		content[len(content)/2+i] ^= 0xff
	}
	if err := os.WriteFile(broken, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if r := report(t, streamed, archive); r.Complete() || len(r.Problems) != 1 || !strings.Contains(r.Problems[0], broken) || r.Label == nil || r.Version != 150000 {
		t.Errorf("a damaged backup: %q", r.Problems)
	}

	inTar(t, none, archive, results[none], xid)
	reach(t, archive, results[none], first, second, xid, at)
	gap(t, none, archive, results[none], 1)
	gap(t, none, archive, results[none], 2)
	damage(t, none, archive, results[none])
}

// reach asks for targets in the WAL that TestTheWindowIsWhatTheServerWrote made.
func reach(t *testing.T, archive string, result *basebackup.Result, first, second lsn.LSN, xid uint32, at time.Time) {
	src, err := walarchive.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	o := wal.ReaderOptions{Timeline: 1, Start: result.Start}
	for name, c := range map[string]struct {
		target inspect.Target
		found  bool
	}{
		"name":                {inspect.Target{Name: "second"}, true},
		"other name":          {inspect.Target{Name: "Second"}, false},
		"xid":                 {inspect.Target{XID: xid}, true},
		"other xid":           {inspect.Target{XID: xid + 1}, false},
		"LSN":                 {inspect.Target{LSN: first}, true},
		"LSN beyond":          {inspect.Target{LSN: second + 10<<20}, false},
		"time":                {inspect.Target{Time: at.Add(-time.Microsecond)}, true},
		"last time":           {inspect.Target{Time: at}, false},
		"last time exclusive": {inspect.Target{Time: at, Exclusive: true}, true},
		"future":              {inspect.Target{Time: at.Add(time.Hour)}, false},
	} {
		r, err := inspect.Reach(context.Background(), src, o, c.target)
		if err != nil || r.Found != c.found || !c.found && (!r.Newest.Time.Equal(at) || r.Newest.XID != xid || r.Last <= second || r.Reason == "") {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
		if name == "name" && r.End != second {
			t.Errorf("%s: ends at %v, want %v", name, r.End, second)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := inspect.Reach(ctx, src, o, inspect.Target{Name: "x"}); err != context.Canceled {
		t.Errorf("canceled: %v", err)
	}
}

// inTar puts the archive's segments into the backup as pg_wal.tar, in their order
// and in the opposite one: both are read like the archive.
func inTar(t *testing.T, path, archive string, result *basebackup.Result, xid uint32) {
	t.Helper()
	names := segments(t, archive, result.Start)
	for _, order := range []string{"ascending", "descending"} {
		args := append([]string{"-C", archive, "-cf", filepath.Join(path, "pg_wal.tar")}, names...)
		if out, err := exec.Command("tar", args...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		r := report(t, path, "")
		if w := r.Window; w == nil || w.Consistent != result.Stop || w.Newest.XID != xid || len(w.RestorePoints) != 2 || w.Broken || !r.OwnWAL || r.WAL.Segments != int64(len(names)) {
			t.Errorf("WAL in a tar, %s: %+v, %+v", order, r, w)
		}
		slices.Reverse(names)
	}
	if err := os.Remove(filepath.Join(path, "pg_wal.tar")); err != nil {
		t.Fatal(err)
	}
}

// segments are the names of an archive's segments from the one that holds pos on.
func segments(t *testing.T, archive string, pos lsn.LSN) []string {
	t.Helper()
	first := wal.SegmentName(1, wal.SegmentNumber(pos, 1<<20), 1<<20)
	all, err := os.ReadDir(archive)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range all {
		if wal.IsSegmentName(e.Name()) && e.Name() >= first {
			names = append(names, e.Name())
		}
	}
	return names
}

// gap takes n segments away.
func gap(t *testing.T, path, archive string, result *basebackup.Result, n int) {
	t.Helper()
	names := segments(t, archive, result.Stop)
	if len(names) < 5 {
		t.Fatalf("segments: %v", names)
	}
	for _, name := range names[2 : 2+n] {
		if err := os.Rename(filepath.Join(archive, name), filepath.Join(archive, name+".away")); err != nil {
			t.Fatal(err)
		}
	}
	w := report(t, path, archive).Window
	want := inspect.Gap{Timeline: 1, First: names[2], Last: names[1+n], Segments: int64(n), Next: names[2+n]}
	if len(w.Gaps) != 1 || w.Gaps[0] != want || !w.Broken || !strings.Contains(w.LastReason, names[2]) || w.Consistent == 0 {
		t.Errorf("with a gap: %+v", w)
	}
	for _, p := range w.RestorePoints {
		if p.Name == "second" {
			t.Errorf("a restore point behind the gap: %+v", p)
		}
	}
	for _, name := range names[2 : 2+n] {
		if err := os.Rename(filepath.Join(archive, name+".away"), filepath.Join(archive, name)); err != nil {
			t.Fatal(err)
		}
	}
}

func damage(t *testing.T, path, archive string, result *basebackup.Result) {
	names := segments(t, archive, result.Stop)
	broken := filepath.Join(archive, names[2])
	content, err := os.ReadFile(broken)
	if err != nil {
		t.Fatal(err)
	}
	changed := append([]byte(nil), content...)
	for i := 100; i < 200; i++ {
		changed[i] ^= 0xff
	}
	if err := os.WriteFile(broken, changed, 0o600); err != nil {
		t.Fatal(err)
	}
	w := report(t, path, archive).Window
	if !w.Broken || w.Last == 0 || w.Last > wal.SegmentStart(wal.SegmentNumber(result.Stop, 1<<20)+3, 1<<20) || w.Consistent == 0 {
		t.Errorf("with a damaged segment: %+v", w)
	}
	if err := os.WriteFile(broken, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestTimelinesAreFollowedAsTheServerDoes recovers a backup to a restore point,
// which makes timeline 2, and again from there, which makes timeline 3; then one
// more leaves timeline 1.
func TestTimelinesAreFollowedAsTheServerDoes(t *testing.T) {
	dir := pgtest.TempDir(t)
	archive := filepath.Join(dir, "archive")
	if err := os.Mkdir(archive, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(archive, 0o777); err != nil {
		t.Fatal(err)
	}
	s := pgtest.Start(t, 15, pgtest.WALSegSize(1), archiving(archive))
	s.Exec(t, "create table t (n int)")
	stored := filepath.Join(dir, "stored")
	result := tars(t, s, stored, codec.None, basebackup.WALStream)
	plains := map[string]string{}
	for _, name := range []string{"two", "three"} {
		plains[name] = filepath.Join(dir, name)
		backup(t, s, basebackup.Plain(basebackup.PlainOptions{Path: plains[name], Sync: durable.NoSync}), basebackup.Options{})
	}
	commit(t, s)
	restorePoint(t, s, "fork")
	lastXID, lastTime := commit(t, s)
	archived(t, s)

	consistent := map[string]lsn.LSN{}
	for name, path := range plains {
		consistent[name] = report(t, path, archive).Window.Consistent
	}
	w := report(t, stored, archive).Window
	if w.Timeline != 1 || len(w.Timelines) != 1 || w.Newest.XID != lastXID {
		t.Fatalf("before: %+v", w)
	}

	promote := func(path, target string, more ...string) *pgtest.Server {
		conf := fmt.Sprintf("restore_command = 'cp %s/%%f %%p'\nrecovery_target_action = promote\narchive_mode = on\narchive_command = 'cp %%p %s/%%f'\ntrack_commit_timestamp = on\n%s\n", archive, archive, target)
		f, err := os.OpenFile(filepath.Join(path, "postgresql.auto.conf"), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(conf); err != nil {
			t.Fatal(err)
		}
		f.Close()
		if err := os.WriteFile(filepath.Join(path, "recovery.signal"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		p := pgtest.StartDir(t, 15, path)
		p.WaitWritable(t)
		return p
	}
	two := promote(plains["two"], "recovery_target_name = 'fork'")
	xid2, time2 := commit(t, two)
	point2 := restorePoint(t, two, "on two")
	archived(t, two)

	r := report(t, stored, archive)
	w = r.Window
	if w.Timeline != 2 || w.Latest != 2 || len(w.Timelines) != 2 || w.Newest.XID != xid2 || !w.Newest.Time.Equal(time2) || w.Newest.Timeline != 2 || w.Broken || len(w.Gaps) != 0 {
		t.Fatalf("with timeline 2: %+v", w)
	}
	one, second := w.Timelines[0], w.Timelines[1]
	if one.Newest.XID != lastXID || !one.Newest.Time.Equal(lastTime) || !one.Reached || second.Parent != 1 || !second.Descends || !second.Reached || !second.History || second.SwitchAt == 0 {
		t.Errorf("timelines: %+v", w.Timelines)
	}
	if n := len(w.RestorePoints); n != 2 || w.RestorePoints[0].Name != "fork" || w.RestorePoints[1].Name != "on two" || w.RestorePoints[1].LSN != point2 || w.RestorePoints[1].Timeline != 2 {
		t.Errorf("restore points: %+v", w.RestorePoints)
	}
	if w.Consistent != result.Stop {
		t.Errorf("consistent at %v, want %v", w.Consistent, result.Stop)
	}

	// From timeline 1 again, beyond where timeline 2 left: timeline 3.
	three := promote(plains["three"], "recovery_target_timeline = 1")
	xid3, _ := commit(t, three)
	archived(t, three)
	w = report(t, stored, archive).Window
	if w.Timeline != 3 || w.Latest != 3 || w.Newest.XID != xid3 || len(w.Timelines) != 3 || w.Timelines[2].Parent != 1 || w.Timelines[2].SwitchAt <= w.Timelines[1].SwitchAt {
		t.Errorf("with timeline 3: %+v", w)
	}

	// A backup that was taken on timeline 2 cannot go to timeline 3.
	onTwo := filepath.Join(dir, "on two")
	tars(t, two, onTwo, codec.None, basebackup.WALStream)
	archived(t, two)
	r = report(t, onTwo, archive)
	w = r.Window
	if w.StartTimeline != 2 || w.Timeline != 2 || w.Latest != 3 || w.Consistent == 0 || len(w.RestorePoints) != 0 {
		t.Errorf("backup of timeline 2: %+v", w)
	}
	for _, tl := range w.Timelines {
		if tl.Descends != (tl.ID == 2) {
			t.Errorf("backup of timeline 2: %+v", tl)
		}
	}

	for _, c := range []struct {
		from   uint32
		target string
		want   uint32 // 0 = an error
	}{
		{1, "latest", 3}, {1, "current", 1}, {1, "2", 2}, {1, "3", 3}, {2, "latest", 0}, {2, "current", 2}, {2, "2", 2}, {1, "4", 0}, {1, "x", 0},
	} {
		a, err := walarchive.Open(archive)
		if err != nil {
			t.Fatal(err)
		}
		tli, history, err := inspect.TargetTimeline(a, c.from, c.target)
		if tli != c.want || (err != nil) != (c.want == 0) || tli > 1 && len(history) != 1 {
			t.Errorf("from %d to %q: %d, %v, %v", c.from, c.target, tli, history, err)
		}
	}
	a, err := walarchive.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	_, history, err := inspect.TargetTimeline(a, 1, "2")
	if err != nil {
		t.Fatal(err)
	}
	reached, err := inspect.Reach(t.Context(), a, wal.ReaderOptions{Timeline: 2, History: history, Start: result.Start}, inspect.Target{Name: "on two"})
	if err != nil || !reached.Found || reached.End != point2 || reached.Timeline != 2 || reached.Newest.XID != xid2 || reached.Newest.Timeline != 2 {
		t.Errorf("restore point on timeline 2: %+v, %v", reached, err)
	}

	// The oracle: where the servers said that they were consistent.
	for name, log := range map[string]string{"two": two.Log(), "three": three.Log()} {
		line := regexp.MustCompile(`consistent recovery state reached at ([0-9A-F/]+)`).FindStringSubmatch(log)
		if line == nil || line[1] != consistent[name].String() {
			t.Errorf("%s: the server was consistent at %q, want %v", name, line, consistent[name])
		}
	}

	// Without the history of timeline 2, and without the first segment of it.
	if err := os.Remove(filepath.Join(archive, "00000003.history")); err != nil {
		t.Fatal(err)
	}
	if w = report(t, stored, archive).Window; w.Timeline != 2 || w.Latest != 2 || w.Timelines[2].Descends {
		t.Errorf("without a history: %+v", w)
	}
	if err := os.Remove(filepath.Join(archive, w.Timelines[1].First)); err != nil {
		t.Fatal(err)
	}
	w = report(t, stored, archive).Window
	if w.Timeline != 1 && w.Timelines[1].End > w.Timelines[1].SwitchAt || len(w.Gaps) == 0 || w.Gaps[len(w.Gaps)-1].Timeline != 2 {
		t.Errorf("without the first segment of timeline 2: %+v", w)
	}
}

// TestTheWindowOnOtherVersions has a server without manifests, and the newest.
func TestTheWindowOnOtherVersions(t *testing.T) {
	for _, major := range []int{10, 18} {
		t.Run(fmt.Sprint(major), func(t *testing.T) {
			dir := pgtest.TempDir(t)
			archive := filepath.Join(dir, "archive")
			if err := os.Mkdir(archive, 0o777); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(archive, 0o777); err != nil {
				t.Fatal(err)
			}
			s := pgtest.Start(t, major, archiving(archive))
			s.Exec(t, "create table t (n int)")
			stored := filepath.Join(dir, "stored")
			result := tars(t, s, stored, codec.LZ4, basebackup.WALStream)
			point := restorePoint(t, s, "here")
			s.Exec(t, "insert into t values (1)")
			archived(t, s)

			set, err := backupset.Open(stored, backupset.Options{})
			if err != nil {
				t.Fatal(err)
			}
			brief, err := inspect.Brief(t.Context(), set)
			if err != nil || brief.Version.Major() != fmt.Sprint(major) || brief.All {
				t.Errorf("brief: %+v, %v", brief, err)
			}
			set.Close()
			by := inspect.Manifest
			if major < 13 {
				by = inspect.HistoryFile
			}
			r := report(t, stored, archive)
			w := r.Window
			if !r.Complete() || r.Stop != result.Stop || r.StopBy != by || w.Consistent != result.Stop || len(w.RestorePoints) != 1 || w.RestorePoints[0].LSN != point || w.Newest.LSN == 0 || w.Broken {
				t.Errorf("%+v, %+v", r, w)
			}
			if r := report(t, stored, ""); r.Stop != result.Stop || !r.OwnWAL || r.Window.Consistent != result.Stop {
				t.Errorf("alone: %+v, %+v", r, r.Window)
			}

			// The copy of a cluster that was shut down is consistent from its last checkpoint on.
			if err := s.Stop(); err != nil {
				t.Fatal(err)
			}
			cold := filepath.Join(dir, "cold")
			if out, err := exec.Command("cp", "-R", s.DataDir(), cold).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			r = report(t, cold, archive)
			if w := r.Window; !r.Complete() || r.Label != nil || !r.ByHand || r.StopBy != inspect.ControlFile || w == nil || w.Start != r.Control.Redo || w.Consistent != w.Start || w.Last < w.Start {
				t.Errorf("cold copy: %+v, %+v", r, w)
			}
		})
	}
}

func TestABackupFromAStandbyWithoutManifestEndsWherePgControlSays(t *testing.T) {
	primary := pgtest.Start(t, 10)
	standby := pgtest.StartStandby(t, primary)
	primary.Exec(t, "create table t as select generate_series(1, 1000) n")
	standby.CatchUp(t, primary)
	stored := filepath.Join(t.TempDir(), "stored")
	result := tars(t, standby, stored, codec.None, basebackup.WALStream)
	r := report(t, stored, "")
	if r.Label.From != "standby" || r.StopBy != inspect.ControlFile || r.Stop == 0 || r.Stop > result.Stop || !r.OwnWAL || r.Window.Consistent != r.Stop {
		t.Errorf("%+v, %+v, want stop %v", r, r.Window, result.Stop)
	}
}

// TestOldSegmentsInAHandMadeCopyAreNoWAL has a copy with segments that the server
// keeps for later use, under the names that they will have.
func TestOldSegmentsInAHandMadeCopyAreNoWAL(t *testing.T) {
	dir := pgtest.TempDir(t)
	archive := filepath.Join(dir, "archive")
	if err := os.Mkdir(archive, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(archive, 0o777); err != nil {
		t.Fatal(err)
	}
	s := pgtest.Start(t, 15, pgtest.WALSegSize(1), archiving(archive), pgtest.Setting("min_wal_size", "8MB"))
	s.Exec(t, "create table t (n int)")
	for range 4 {
		s.Exec(t, "insert into t select generate_series(1, 5000)")
		archived(t, s)
	}
	s.Exec(t, "checkpoint")
	copied := filepath.Join(dir, "copied")
	conn := s.Conn(t)
	if _, err := conn.Exec(t.Context(), "select pg_backup_start('by hand', true)"); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cp", "-R", s.DataDir(), copied).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var label string
	if err := conn.QueryRow(t.Context(), "select labelfile from pg_backup_stop()").Scan(&label); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(copied, "backup_label"), []byte(label), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		s.Exec(t, "insert into t select generate_series(1, 5000)")
		archived(t, s)
	}
	whole := report(t, copied, archive)
	names := segments(t, archive, whole.Stop-1)
	if w := whole.Window; w == nil || w.Broken || w.Consistent != whole.Stop || whole.StopBy != inspect.HistoryFile || w.Newest.LSN == 0 || len(names) < 3 || len(w.Gaps) != 0 {
		t.Fatalf("%+v, segments %v", whole, names)
	}
	if _, err := os.Stat(filepath.Join(copied, "pg_wal", names[1])); err != nil {
		t.Fatalf("the copy has no old segment: %v", err)
	}
	if err := os.Remove(filepath.Join(archive, names[1])); err != nil {
		t.Fatal(err)
	}
	w := report(t, copied, archive).Window
	if !w.Broken || len(w.Gaps) != 1 || w.Gaps[0].First != names[1] || w.Gaps[0].Next != names[2] || !strings.Contains(w.LastReason, names[1]) {
		t.Errorf("%+v", w)
	}
	if w := report(t, copied, "").Window; w == nil || w.Broken || w.Last > whole.Stop+1<<20 {
		t.Errorf("alone: %+v", w)
	}
}
