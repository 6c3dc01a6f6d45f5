package basebackup

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/pgdata"
	"github.com/pgbasin/pgbasin/replproto"
	"github.com/pgbasin/pgbasin/walstream"
)

func TestOnlyMainAndInitForksComeInBlocks(t *testing.T) {
	for path, want := range map[string]bool{
		"base/5/16384": true, "base/5/16384.1": true, "base/5/16384_init": true, "global/1262": true, "base/5/16384_init.2": true,
		"pg_tblspc/16385/PG_18_202506291/5/16390": true, "pg_tblspc/16385/PG_18_202506291/5/16390.12": true,
		"base/5/16384_fsm": false, "base/5/16384_vm": false, "base/5/PG_VERSION": false, "global/pg_control": false, "global/pg_filenode.map": false,
		"base/5/t3_16384": false, "base/16384": false, "base/x/16384": false, "base/5/16384.": false, "base/5/16384.x": false, "base/../16384": false,
		"pg_tblspc/x/PG_18_1/5/16390": false, "pg_tblspc/16385/XX/5/16390": false, "pg_wal/000000010000000000000001": false, "16384": false, "": false,
		"/base/5/16384": false, "global/../16384": false,
	} {
		if comesInBlocks(path) != want {
			t.Errorf("%q: %v", path, !want)
		}
	}
}

func TestTheNewestPageIsFoundInPiecesOfAnySize(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	var file []byte
	var want lsn.LSN
	for n := range 50 {
		page := make([]byte, 8192)
		at := lsn.LSN(r.Uint64N(1 << 40))
		binary.LittleEndian.PutUint32(page, uint32(at>>32))
		binary.LittleEndian.PutUint32(page[4:], uint32(at))
		lower, upper, size := uint16(100), uint16(5000), uint16(8192|4)
		switch {
		case n%5 == 1: // no page at all
			size = 4096 | 4
		case n%5 == 2: // a new one
			lower, upper, size = 0, 0, 0
		default:
			want = max(want, at)
		}
		for i, v := range []uint16{lower, upper, 8192, size} {
			binary.LittleEndian.PutUint16(page[12+2*i:], v)
		}
		file = append(file, page...)
	}
	for _, most := range []int{1, 7, 24, 8191, 8192, 8193, 100000, len(file)} {
		n := newestPage{blockSize: 8192}
		n.begin()
		for rest := file; len(rest) > 0; {
			size := min(1+r.IntN(most), len(rest))
			n.write(rest[:size])
			rest = rest[size:]
		}
		if n.newest != want {
			t.Errorf("in pieces of up to %d bytes: %v, want %v", most, n.newest, want)
		}
	}
}

func TestALabelLosesWhatMakesItIncremental(t *testing.T) {
	const full = "START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\nCHECKPOINT LOCATION: 0/2000080\nBACKUP METHOD: streamed\n" +
		"BACKUP FROM: primary\nSTART TIME: 2026-01-31 12:00:00 UTC\nLABEL: INCREMENTAL FROM LSN: me\nSTART TIMELINE: 1\n"
	got := string(fullLabel([]byte(full + "INCREMENTAL FROM LSN: 0/1000028\nINCREMENTAL FROM TLI: 1\n")))
	if got != full {
		t.Errorf("%q", got)
	}
	if l, err := pgdata.ParseBackupLabel([]byte(got)); err != nil || l.Incremental() {
		t.Errorf("%+v, %v", l, err)
	}
	if got := string(fullLabel([]byte(full))); got != full {
		t.Errorf("%q", got)
	}
}

func TestAttemptsArePacedAndCounted(t *testing.T) {
	now := time.Now()
	t.Run("as many as fit", func(t *testing.T) {
		at := now
		var pauses []string
		tr := tries{}
		for {
			pause, ok := tr.next(false, at)
			if !ok {
				break
			}
			pauses = append(pauses, fmt.Sprint(int(pause.Seconds())))
			at = at.Add(pause)
		}
		if got := strings.Join(pauses, " "); !strings.HasPrefix(got, "1 2 4 8 16 30 30 30") || at.Sub(now) > patience || at.Sub(now) < patience-longestPause {
			t.Errorf("%s, %v in all", got, at.Sub(now))
		}
	})
	t.Run("progress begins anew", func(t *testing.T) {
		at := now
		tr := tries{retries: 2}
		for n := range 20 {
			pause, ok := tr.next(n%2 == 0, at)
			if want := time.Second << (n % 2); !ok || pause != want {
				t.Fatalf("%d: %v, %v", n, pause, ok)
			}
		}
		if _, ok := tr.next(false, at); ok {
			t.Error("a third attempt in vain")
		}
	})
	t.Run("an attempt that took long is not one too many", func(t *testing.T) {
		tr := tries{}
		if _, ok := tr.next(false, now.Add(time.Hour)); !ok {
			t.Error("none is made after the first one failed")
		}
		if _, ok := tr.next(false, now.Add(2*time.Hour)); ok {
			t.Error("more than ten minutes without progress")
		}
	})
	t.Run("none", func(t *testing.T) {
		tr := tries{retries: -1}
		if _, ok := tr.next(true, now); ok {
			t.Error("one is made")
		}
	})
}

func TestWhatMayComeBackIsToldFromWhatMayNot(t *testing.T) {
	server := func(severity, code string) error {
		return fmt.Errorf("x: %w", &replproto.ServerError{Fields: replproto.Fields{Severity: severity, Code: code}})
	}
	connect := func(errs ...error) error { return &replproto.ConnectError{Attempts: errs} }
	for _, c := range []struct {
		err          error
		first, again bool
	}{
		{fmt.Errorf("x: %w", replproto.ErrConnectionLost), true, true},
		{fmt.Errorf("background process terminated unexpectedly: %w", walstream.ErrTerminated), true, true},
		{fmt.Errorf("x: %w", syscall.ECONNRESET), true, true},
		{&os.SyscallError{Syscall: "read", Err: syscall.ETIMEDOUT}, true, true},
		{os.ErrDeadlineExceeded, true, true},
		{server("FATAL", "57P01"), true, true},
		{server("FATAL", "57P02"), true, true},
		{server("FATAL", "57P03"), true, true},
		{server("FATAL", "08006"), true, true},
		{server("FATAL", "53300"), false, true},
		{server("ERROR", "55006"), false, true},
		// The second connection of a backup that has its first: the server has gone since.
		{connect(syscall.ECONNREFUSED), true, true},
		{connect(server("FATAL", "57P03")), true, true},
		{connect(server("FATAL", "28P01")), false, false},
		{connect(syscall.ECONNREFUSED, server("FATAL", "28000")), false, false},
		{server("ERROR", "XX000"), false, false},
		{server("ERROR", "57014"), false, false},
		{server("ERROR", "55000"), false, false},
		{&fs.PathError{Op: "write", Path: "x", Err: syscall.ETIMEDOUT}, false, false},
		{&fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}, false, false},
		{&replproto.ProtocolError{Reason: "x"}, false, false},
		{&ResumeError{Reason: "x"}, false, false},
		{context.Canceled, false, false},
		{errors.New("x"), false, false},
	} {
		if got := lost(c.err, false); got != c.first {
			t.Errorf("%v: %v", c.err, got)
		}
		if got := lost(c.err, true); got != c.again {
			t.Errorf("%v, after another: %v", c.err, got)
		}
	}
}

func TestPruningLeavesOnlyWhatIsKeptAndWhatLeadsThere(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	for _, name := range []string{"a/b/kept", "a/b/not", "a/c/not", "not", "kept", "d/e/f/not"} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	precious := filepath.Join(outside, "kept")
	if err := errors.Join(os.WriteFile(precious, nil, 0o600), os.Symlink(outside, filepath.Join(dir, "link")), os.Symlink(precious, filepath.Join(dir, "a", "kept"))); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	dirs, err := prune(root, func(name string) bool { return filepath.Base(name) == "kept" })
	if err != nil || fmt.Sprint(dirs) != "[a/b a]" {
		t.Errorf("%v, %v", dirs, err)
	}
	var left []string
	filepath.WalkDir(dir, func(path string, _ fs.DirEntry, _ error) error {
		name, _ := filepath.Rel(dir, path)
		left = append(left, name)
		return nil
	})
	if fmt.Sprint(left) != "[. a a/b a/b/kept kept]" {
		t.Errorf("%v", left)
	}
	if _, err := os.Stat(precious); err != nil {
		t.Error(err)
	}
}
