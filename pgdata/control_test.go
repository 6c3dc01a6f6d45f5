package pgdata_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pgbasin/pgbasin/internal/seeds"
	"github.com/pgbasin/pgbasin/pgdata"
)

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// testdata/pg_control-9.5 comes from a base backup of a server that reports 9.5.3.
func TestControlOf95(t *testing.T) {
	b := readFile(t, "testdata/pg_control-9.5")
	c, err := pgdata.ParseControl(b)
	if err != nil {
		t.Fatal(err)
	}
	want := pgdata.Control{
		SystemID: 7710876247589456981, PGControlVersion: 942, CatalogVersion: 201605311, Complete: true,
		State: pgdata.InProduction, Time: time.Date(2026, 11, 22, 6, 32, 22, 0, time.UTC),
		Checkpoint: 0x5000028, Redo: 0x5000028, Timeline: 1, PrevTimeline: 1, PrevCheckpoint: 0x4000028,
		FullPageWrites: true, NextXID: 640, NextOID: 24576, NextMulti: 1, OldestXID: 623, OldestXIDDB: 1, OldestMulti: 1, OldestMultiDB: 1,
		CheckpointTime: time.Date(2026, 11, 22, 6, 32, 22, 0, time.UTC), UnloggedLSN: 1,
		WALLevel: "archive", MaxConnections: 100, MaxWorkerProcesses: 32, MaxPreparedTransactions: 10, MaxLocksPerTransaction: 64,
		MaxAlign: 8, BlockSize: 8192, RelSegSize: 131072, WALBlockSize: 8192, WALSegmentSize: 16 << 20, NameDataLen: 64, IndexMaxKeys: 32,
		ToastMaxChunkSize: 1996, LargeObjectSize: 2048, IntegerDatetimes: true, Float4ByVal: true, Float8ByVal: true,
	}
	same(t, *c, want)
	if v, ok := c.Version(); !ok || v != 90500 {
		t.Errorf("version %v, %v", v, ok)
	}
}

// reseal puts the checksum of what comes before it at an offset.
func reseal(b []byte, at int) {
	binary.LittleEndian.PutUint32(b[at:], crc32.Checksum(b[:at], crc32.MakeTable(crc32.Castagnoli)))
}

const crcOffset95 = 256

func TestDamagedControlIsRefused(t *testing.T) {
	good := readFile(t, "testdata/pg_control-9.5")
	for name, c := range map[string]struct {
		change func(b []byte) []byte
		is     error
		says   string
	}{
		"a bit of the state":        {func(b []byte) []byte { b[16] ^= 1; return b }, pgdata.ErrChecksum, "calculated"},
		"a bit of padding":          {func(b []byte) []byte { b[20] ^= 1; return b }, pgdata.ErrChecksum, ""},
		"a bit of the last field":   {func(b []byte) []byte { b[252] ^= 0x80; return b }, pgdata.ErrChecksum, ""},
		"a bit of the checksum":     {func(b []byte) []byte { b[crcOffset95] ^= 1; return b }, pgdata.ErrChecksum, ""},
		"all zeroes":                {func(b []byte) []byte { return make([]byte, 8192) }, pgdata.ErrTooOld, "version number 0"},
		"empty":                     {func(b []byte) []byte { return nil }, nil, "has 0 bytes"},
		"cut before the checksum":   {func(b []byte) []byte { return b[:256] }, nil, "has 256 bytes"},
		"cut in the checksum":       {func(b []byte) []byte { return b[:259] }, nil, "has 259 bytes"},
		"cut in the settings":       {func(b []byte) []byte { return b[:183] }, nil, "has 183 bytes"},
		"other byte order":          {func(b []byte) []byte { copy(b[8:], []byte{0, 0, 7, 8}); return b }, pgdata.ErrByteOrder, "version number 1800"},
		"9.3":                       {func(b []byte) []byte { binary.LittleEndian.PutUint32(b[8:], 937); return b }, pgdata.ErrTooOld, "937"},
		"9.4":                       {func(b []byte) []byte { binary.LittleEndian.PutUint32(b[12:], 201409291); return b }, pgdata.ErrTooOld, "201409291"},
		"4-byte alignment":          {func(b []byte) []byte { copy(b[20:], b[24:]); reseal(b, 240); return b }, nil, "another kind of machine"},
		"unknown and damaged":       {func(b []byte) []byte { binary.LittleEndian.PutUint32(b[8:], 2000); return b }, pgdata.ErrChecksum, "not where it is expected"},
		"unknown and cut too short": {func(b []byte) []byte { binary.LittleEndian.PutUint32(b[8:], 2000); return b[:56] }, pgdata.ErrChecksum, ""},
	} {
		_, err := pgdata.ParseControl(c.change(bytes.Clone(good)))
		if err == nil || c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
		if c.is == nil && (errors.Is(err, pgdata.ErrChecksum) || errors.Is(err, pgdata.ErrTooOld)) {
			t.Errorf("%s is taken for something else: %v", name, err)
		}
	}
}

// A server that is newer than this program keeps the first fields where they are since 11.
func TestControlOfAnUnknownFormatSaysWhatIsCertain(t *testing.T) {
	b := make([]byte, 8192)
	copy(b, readFile(t, "testdata/pg_control-9.5")[:40])
	binary.LittleEndian.PutUint32(b[8:], 2001)
	binary.LittleEndian.PutUint64(b[40:], 0x7000028)
	binary.LittleEndian.PutUint32(b[48:], 5)
	binary.LittleEndian.PutUint32(b[52:], 4)
	b[300] = 1
	reseal(b, 308)
	c, err := pgdata.ParseControl(b)
	if err != nil {
		t.Fatal(err)
	}
	want := pgdata.Control{
		SystemID: 7710876247589456981, PGControlVersion: 2001, CatalogVersion: 201605311,
		State: pgdata.InProduction, Time: time.Date(2026, 11, 22, 6, 32, 22, 0, time.UTC),
		Checkpoint: 0x5000028, Redo: 0x7000028, Timeline: 5, PrevTimeline: 4,
	}
	same(t, *c, want)
	if v, ok := c.Version(); ok {
		t.Errorf("version %v", v)
	}
}

func TestNamesOfStates(t *testing.T) {
	if got := pgdata.ShutDownInRecovery.String(); got != "shut down in recovery" {
		t.Error(got)
	}
	if got := pgdata.ClusterState(7).String(); got != "unknown (7)" {
		t.Error(got)
	}
}

func FuzzParseControl(f *testing.F) {
	seeds.Require(f, 15)
	good := readFile(f, "testdata/pg_control-9.5")
	f.Add(good[:264])
	unknown := bytes.Clone(good[:264])
	binary.LittleEndian.PutUint32(unknown[8:], 1903)
	reseal(unknown, 200)
	f.Add(unknown)
	newest := bytes.Clone(good[:320])
	binary.LittleEndian.PutUint32(newest[8:], 1800)
	f.Add(newest)
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		c, err := pgdata.ParseControl(b)
		if !bytes.Equal(b, before) {
			t.Fatal("the input changed")
		}
		if err != nil {
			return
		}
		if c.PGControlVersion < 942 || len(b) < 60 {
			t.Fatalf("accepted %d bytes of format %d", len(b), c.PGControlVersion)
		}
		// What is accepted is protected by a checksum: each bit before it counts.
		b = before
		b[17] ^= 4
		if _, err := pgdata.ParseControl(b); err == nil && c.Complete {
			t.Fatal("damage was not found")
		}
	})
}
