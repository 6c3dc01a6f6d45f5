//go:build linux

package receive

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/internal/pgfake"
	"github.com/pgbasin/pgbasin/internal/pgtest"
	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/wal"
)

func TestSegmentSizesAndTheEndPosition(t *testing.T) {
	for _, size := range []int{1, 16, 64} {
		t.Run(fmt.Sprint(size, " MB"), func(t *testing.T) {
			together(t)
			s := pgtest.Start(t, 18, pgtest.WALSegSize(size), pgtest.Setting("max_wal_size", "1GB"))
			keep(t, s)
			dir := t.TempDir()
			r := start(t, append(to(s), "-D", dir)...)
			r.says(t, "starting log streaming")
			s.Exec(t, "create table x as select i, repeat('x', 500) t from generate_series(1, 5000) i")
			waitFile(t, filepath.Join(dir, switchWAL(t, s)))
			r.stop(t)

			s.Exec(t, "insert into x select i, repeat('y', 500) from generate_series(1, 5000) i")
			end := position(t, s)
			s.Exec(t, "insert into x select i, repeat('z', 500) from generate_series(1, 5000) i")
			r = start(t, append(to(s), "-D", dir, "--endpos", end.String(), "--no-loop")...)
			if status := r.status(t); status != 0 {
				t.Errorf("exit status %d", status)
			}
			r.says(t, "stopped log streaming at ")
			compare(t, s, dir, codec.None)
			if partial := glob(t, dir, "*.partial"); len(partial) != 1 {
				t.Errorf("partial segments: %v", partial)
			}
			if status, said := runOnce(t, append(to(s), "-D", dir, "-E", "0/1")...); status != 0 || strings.Contains(said, "error") {
				t.Errorf("an end in the past: exit status %d\n%s", status, said)
			}
		})
	}
}

func TestStopLeavesAPartialSegmentOfFullSizeAndAcknowledgesIt(t *testing.T) {
	together(t)
	s := pgtest.Start(t, 15, pgtest.WALSegSize(1))
	keep(t, s)
	dir := t.TempDir()
	if status, said := runOnce(t, append(to(s), "--create-slot", "-S", "archive")...); status != 0 {
		t.Fatal(said)
	}
	r := start(t, append(to(s), "-D", dir, "-S", "archive", "-s", "0")...)
	r.says(t, "starting log streaming")
	s.Exec(t, "create table x as select i from generate_series(1, 1000) i")
	switchWAL(t, s)
	s.Exec(t, "insert into x select i from generate_series(1, 1000) i")
	end := position(t, s)
	eventually(t, "everything has been written", func() bool {
		partial := glob(t, dir, "*.partial")
		if len(partial) != 1 {
			return false
		}
		got, err := os.ReadFile(filepath.Join(dir, partial[0]))
		if err != nil {
			return false // it has another name by now
		}
		want, err := os.ReadFile(filepath.Join(s.DataDir(), "pg_wal", strings.TrimSuffix(partial[0], ".partial")))
		if err != nil {
			t.Fatal(err)
		}
		n := wal.SegmentOffset(end, 1<<20)
		return strings.TrimSuffix(partial[0], ".partial") == wal.SegmentName(1, wal.SegmentNumber(end, 1<<20), 1<<20) && bytes.Equal(got[:min(int64(len(got)), n)], want[:n])
	})
	r.stop(t)
	r.says(t, "not renaming \"")
	r.says(t, "received interrupt signal, exiting")
	partial := glob(t, dir, "*.partial")
	if len(partial) != 1 {
		t.Fatalf("partial segments: %v", partial)
	}
	got, err := os.ReadFile(filepath.Join(dir, partial[0]))
	if err != nil || len(got) != 1<<20 {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	want, err := os.ReadFile(filepath.Join(s.DataDir(), "pg_wal", strings.TrimSuffix(partial[0], ".partial")))
	if err != nil {
		t.Fatal(err)
	}
	if n := wal.SegmentOffset(end, 1<<20); !bytes.Equal(got[:n], want[:n]) {
		t.Errorf("what was received of %d bytes differs", n)
	}
	eventually(t, "it is acknowledged", func() bool {
		return pgtest.Query[bool](t, s, "select restart_lsn >= $1::text::pg_lsn from pg_replication_slots where slot_name = 'archive'", end.String())
	})
	compare(t, s, dir, codec.None)
}

func TestSlotsAreCreatedAndDroppedMatrix(t *testing.T) {
	onMajors(t, func(t *testing.T, major int) {
		s := pgtest.Start(t, major)
		count := func() int64 {
			return pgtest.Query[int64](t, s, "select count(*) from pg_replication_slots where slot_name = 'a-b' or slot_name = 'archive'")
		}
		check := func(want int, text string, slots int64, args ...string) {
			t.Helper()
			status, said := runOnce(t, append(to(s), args...)...)
			if status != want || !strings.Contains(said, text) || count() != slots {
				t.Errorf("%v: exit status %d, %d slots\n%s", args, status, count(), said)
			}
		}
		check(0, `creating replication slot "archive"`, 1, "--create-slot", "-S", "archive")
		check(1, `error: could not send replication command "CREATE_REPLICATION_SLOT "archive" PHYSICAL": ERROR:  replication slot "archive" already exists`, 1, "--create-slot", "-S", "archive")
		check(0, "", 1, "--create-slot", "--if-not-exists", "-S", "archive")
		check(1, "invalid character", 1, "--create-slot", "-S", "a-b")
		check(0, `dropping replication slot "archive"`, 0, "--drop-slot", "-S", "archive")
		check(1, `replication slot "archive" does not exist`, 0, "--drop-slot", "-S", "archive")
		check(1, `Create it with --create-slot`, 0, "-D", t.TempDir(), "-S", "archive")
	})
}

func TestArchiveBeginsWhereTheSlotDoes(t *testing.T) {
	together(t)
	s := pgtest.Start(t, 15, pgtest.WALSegSize(1))
	keep(t, s)
	s.Exec(t, "select pg_create_physical_replication_slot('archive', true)")
	first := switchWAL(t, s)
	for range 3 {
		s.Exec(t, "create table x as select 1; drop table x")
		switchWAL(t, s)
	}
	dir := t.TempDir()
	r := start(t, append(to(s), "-D", dir, "-S", "archive")...)
	s.Exec(t, "create table x as select 1")
	waitFile(t, filepath.Join(dir, switchWAL(t, s)))
	r.stop(t)
	if names := compare(t, s, dir, codec.None); names[0] > first {
		t.Errorf("the archive begins at %s, the slot at %s", names[0], first)
	}
}

func TestWALThatWasRemovedEndsTheReceiverWithAdvice(t *testing.T) {
	together(t)
	s := pgtest.Start(t, 15, pgtest.WALSegSize(1))
	dir := t.TempDir()
	r := start(t, append(to(s), "-D", dir)...)
	r.says(t, "starting log streaming")
	s.Exec(t, "create table x as select 1")
	waitFile(t, filepath.Join(dir, switchWAL(t, s)))
	r.stop(t)
	for range 5 {
		s.Exec(t, "drop table x; create table x as select 1")
		switchWAL(t, s)
	}
	s.Exec(t, "checkpoint")
	s.Exec(t, "checkpoint")
	status, said := runOnce(t, append(to(s), "-D", dir)...)
	if status != 1 || !strings.Contains(said, "has already been removed") || !strings.Contains(said, "hint: The archive cannot be continued") {
		t.Errorf("exit status %d\n%s", status, said)
	}
}

func TestCompressedArchiveSurvivesKillsInTheMiddleOfSegments(t *testing.T) {
	for _, algorithm := range []codec.Algorithm{codec.Gzip, codec.LZ4, codec.Zstd} {
		t.Run(algorithm.String(), func(t *testing.T) {
			together(t)
			s := pgtest.Start(t, 18, pgtest.WALSegSize(1))
			keep(t, s)
			dir := t.TempDir()
			args := append(to(s), "-D", dir, "-Z", algorithm.String()+":1")
			load := pgtest.Load(t, s, 2)
			random := rand.New(rand.NewPCG(1, uint64(algorithm)))
			r := start(t, args...)
			for range 10 {
				r.says(t, "starting log streaming")
				pause(random, 300*time.Millisecond)
				r.kill()
				r = start(t, args...)
			}
			r.says(t, "starting log streaming")
			if _, err := load.Stop(); err != nil {
				t.Fatal(err)
			}
			waitFile(t, filepath.Join(dir, switchWAL(t, s)+algorithm.Suffix()))
			r.stop(t)
			compare(t, s, dir, algorithm)
		})
	}
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestStateIsServedAsMetrics(t *testing.T) {
	together(t)
	s := pgtest.Start(t, 18, pgtest.WALSegSize(1))
	keep(t, s)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	dir := t.TempDir()
	r := start(t, append(to(s), "-D", dir, "--synchronous", "--status-listen", address)...)
	r.says(t, "starting log streaming")
	s.Exec(t, "create table x as select i from generate_series(1, 10000) i")
	waitFile(t, filepath.Join(dir, switchWAL(t, s)))
	s.Exec(t, "insert into x select 1")
	end := position(t, s)
	metric := func(name string) float64 {
		_, text := get(t, "http://"+address+"/metrics")
		m := regexp.MustCompile(`(?m)^pgbasin_receive_` + name + `(?:\{.*\})? (\S+)$`).FindStringSubmatch(text)
		if m == nil {
			return -1
		}
		v, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	eventually(t, "the flush position", func() bool { return metric("flushed_lsn_bytes") >= float64(end) })
	for _, name := range []string{"received_lsn_bytes", "written_lsn_bytes", "server_lsn_bytes"} {
		if v := metric(name); lsn.LSN(v) < end {
			t.Errorf("%s is %v, at %v", name, v, float64(end))
		}
	}
	for name, want := range map[string]float64{"lag_bytes": 0, "lag_seconds": 0, "streaming": 1, "disk_full": 0, "timeline": 1, "reconnects_total": 0} {
		if v := metric(name); v != want {
			t.Errorf("%s is %v, want %v", name, v, want)
		}
	}
	if metric("segments_total") < 1 || metric("sync_seconds_count") < 1 {
		t.Errorf("%v segments, %v syncs", metric("segments_total"), metric("sync_seconds_count"))
	}
	if status, text := get(t, "http://"+address+"/healthz"); status != 200 || text != "ok\n" {
		t.Errorf("healthz: %d, %q", status, text)
	}
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the loss shows", func() bool {
		status, text := get(t, "http://"+address+"/healthz")
		return status == 503 && strings.HasPrefix(text, "not connected: ")
	})
	if metric("streaming") != 0 || metric("last_error_timestamp_seconds") < 1e9 {
		t.Errorf("streaming %v, last error %v", metric("streaming"), metric("last_error_timestamp_seconds"))
	}
	eventually(t, "the lag grows", func() bool { return metric("lag_seconds") > 0 })
	s.Restart(t)
	eventually(t, "it streams again", func() bool { return metric("streaming") == 1 && metric("reconnects_total") >= 1 })
	r.stop(t)
}

func TestRecorded95IsReceived(t *testing.T) {
	together(t)
	s := pgfake.Replay(t, "receivexlog.1")
	dir := t.TempDir()
	r := start(t, "-h", s.Host(), "-p", strconv.Itoa(s.Port()), "-U", "postgres", "-D", dir)
	for _, name := range []string{"000000010000000000000006", "000000010000000000000007", "000000010000000000000008"} {
		waitFile(t, filepath.Join(dir, name))
	}
	waitFile(t, filepath.Join(dir, "000000010000000000000009.partial"))
	r.stop(t)
	for _, name := range glob(t, dir, "*") {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || len(content) != 16<<20 || !bytes.HasPrefix(content, []byte{0x87, 0xd0}) {
			t.Errorf("%s: %d bytes, %v", name, len(content), err)
		}
	}
}
