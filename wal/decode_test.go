package wal

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"github.com/pgbasin/pgbasin/lsn"
)

// le puts values behind each other as the server's structs are laid out.
func le(values ...any) []byte {
	var b bytes.Buffer
	for _, v := range values {
		if err := binary.Write(&b, binary.LittleEndian, v); err != nil {
			panic(err)
		}
	}
	return b.Bytes()
}

func pgTime(at time.Time) int64 { return at.UnixMicro() - 946684800e6 }

func TestTransactionDecodesEachKind(t *testing.T) {
	at := pgTime(someTime)
	// Parts of a commit, in their order.
	dbinfo := le(uint32(5), uint32(1663))
	subxacts := le(uint32(2), uint32(801), uint32(802))
	relations := le(uint32(1), uint32(1663), uint32(5), uint32(16384))
	stats12 := le(uint32(2), make([]byte, 24))
	stats16 := le(uint32(2), make([]byte, 32))
	invals := le(uint32(3), make([]byte, 48))
	const all = xinfoDatabase | xinfoSubxacts | xinfoRelations | xinfoInvals | xinfoTwoPhase
	for _, tt := range []struct {
		name  string
		magic uint16
		info  uint8
		main  []byte
		want  Transaction
	}{
		{"commit", magic18, xactCommit, le(at), Transaction{Commit, 700, someTime}},
		{"commit with flags", magic18, xactCommit | xactHasInfo, le(at, uint32(xinfoSubxacts), subxacts), Transaction{Commit, 700, someTime}},
		{"abort", 0xD087, xactAbort, le(at), Transaction{Abort, 700, someTime}},
		{"prepare of 9.5", 0xD087, xactPrepare, le(uint32(0x57F94532), uint32(300), uint32(900), uint32(5), at, uint32(10)), Transaction{Prepare, 900, someTime}},
		{"commit prepared", magic18, xactCommitPrepared | xactHasInfo, le(at, uint32(xinfoTwoPhase), uint32(900)), Transaction{CommitPrepared, 900, someTime}},
		{"abort prepared", magic10, xactAbortPrepared | xactHasInfo, le(at, uint32(xinfoTwoPhase|xinfoDatabase), dbinfo, uint32(900)), Transaction{AbortPrepared, 900, someTime}},
		{"commit prepared with all parts of 14", 0xD10D, xactCommitPrepared | xactHasInfo,
			le(at, uint32(all|1<<7), dbinfo, subxacts, relations, invals, uint32(900), []byte("gid\x00")), Transaction{CommitPrepared, 900, someTime}},
		{"commit prepared with all parts of 17", 0xD116, xactCommitPrepared | xactHasInfo,
			le(at, uint32(all|xinfoDroppedStats), dbinfo, subxacts, relations, stats12, invals, uint32(900)), Transaction{CommitPrepared, 900, someTime}},
		{"commit prepared with all parts of 18", magic18, xactCommitPrepared | xactHasInfo,
			le(at, uint32(all|xinfoDroppedStats), dbinfo, subxacts, relations, stats16, invals, uint32(900)), Transaction{CommitPrepared, 900, someTime}},
		{"commit prepared without its number", magic18, xactCommitPrepared, le(at), Transaction{CommitPrepared, 0, someTime}},
		{"commit prepared that is cut", magic18, xactCommitPrepared | xactHasInfo,
			le(at, uint32(all), dbinfo, uint32(1<<30), uint32(1)), Transaction{CommitPrepared, 0, someTime}},
	} {
		r := Record{RmgrID: RmgrTransaction, Info: tt.info, XID: 700, MainData: tt.main, magic: tt.magic}
		got, ok := r.Transaction()
		if !ok || got.Kind != tt.want.Kind || got.XID != tt.want.XID || !got.Time.Equal(tt.want.Time) {
			t.Errorf("%s: %+v, %v", tt.name, got, ok)
		}
		if got.Ends() != (got.Kind != Prepare) {
			t.Errorf("%s: Ends is %v", tt.name, got.Ends())
		}
		for n := range tt.main {
			r.MainData = tt.main[:n]
			r.Transaction() // does not panic
		}
	}
	for _, r := range []Record{
		{RmgrID: RmgrXLOG, Info: xactCommit, MainData: le(at)},
		{RmgrID: RmgrTransaction, Info: 0x50, MainData: le(at)},
		{RmgrID: RmgrTransaction, Info: xactCommit, MainData: le(at)[:7]},
		{RmgrID: RmgrTransaction, Info: xactPrepare, MainData: make([]byte, 23)},
	} {
		if got, ok := r.Transaction(); ok {
			t.Errorf("%+v is a transaction: %+v", r, got)
		}
	}
}

func TestCheckpointDecodesEachVersion(t *testing.T) {
	const redo = 0x16_B374D848
	unix := int64(someTime.Unix())
	before12 := le(uint64(redo), uint32(3), uint32(2), uint32(1), uint32(7), uint32(1000), make([]byte, 28), unix, make([]byte, 16))
	from12 := le(uint64(redo), uint32(3), uint32(2), uint32(1), uint32(0), uint64(7<<32|1000), make([]byte, 32), unix, make([]byte, 16))
	if len(before12) != 80 || len(from12) != 88 {
		t.Fatal(len(before12), len(from12))
	}
	for _, main := range [][]byte{before12, from12} {
		for _, info := range []uint8{xlogCheckpointShutdown, xlogCheckpointOnline} {
			r := Record{RmgrID: RmgrXLOG, Info: info, MainData: main}
			c, ok := r.Checkpoint()
			if !ok || c.Redo != redo || c.Timeline != 3 || c.PrevTimeline != 2 || c.NextXID != 7<<32|1000 || !c.Time.Equal(someTime.Truncate(time.Second)) ||
				c.Shutdown != (info == xlogCheckpointShutdown) || c.EndOfRecovery {
				t.Errorf("%d bytes: %+v, %v", len(main), c, ok)
			}
			r.MainData = main[:79]
			if _, ok := r.Checkpoint(); ok {
				t.Error("a cut checkpoint is taken")
			}
		}
	}
	r := Record{RmgrID: RmgrXLOG, Info: xlogEndOfRecovery, MainData: le(pgTime(someTime), uint32(3), uint32(2))}
	c, ok := r.Checkpoint()
	if !ok || !c.EndOfRecovery || c.Timeline != 3 || c.PrevTimeline != 2 || !c.Time.Equal(someTime) {
		t.Errorf("end of recovery: %+v, %v", c, ok)
	}
	for _, r := range []Record{
		{RmgrID: RmgrXLOG, Info: xlogEndOfRecovery, MainData: make([]byte, 15)},
		{RmgrID: RmgrXLOG, Info: xlogSwitch, MainData: from12},
		{RmgrID: 10, MainData: from12},
	} {
		if _, ok := r.Checkpoint(); ok {
			t.Errorf("%+v is a checkpoint", r)
		}
	}
}

func TestOtherRecordsOfTheLog(t *testing.T) {
	name := make([]byte, 64)
	copy(name, "before upgrade")
	r := Record{RmgrID: RmgrXLOG, Info: xlogRestorePoint, MainData: le(pgTime(someTime), name)}
	if got, at, ok := r.RestorePoint(); !ok || got != "before upgrade" || !at.Equal(someTime) {
		t.Errorf("restore point %q at %v, %v", got, at, ok)
	}
	r.Info = xlogBackupEnd
	r.MainData = le(uint64(0x2000028))
	if got, ok := r.BackupEnd(); !ok || got != lsn.LSN(0x2000028) {
		t.Errorf("backup end %v, %v", got, ok)
	}
	r.Info = xlogOverwriteContrecord
	r.MainData = le(uint64(0x2000028), pgTime(someTime))
	if got, at, ok := r.OverwriteContrecord(); !ok || got != lsn.LSN(0x2000028) || !at.Equal(someTime) {
		t.Errorf("overwritten %v at %v, %v", got, at, ok)
	}
	r.Info = xlogSwitch
	if !r.IsSwitch() {
		t.Error("a switch is none")
	}
	r.RmgrID = RmgrTransaction
	if r.IsSwitch() {
		t.Error("a record of another manager is a switch")
	}
	r = Record{RmgrID: RmgrXLOG}
	for _, r.Info = range []uint8{xlogRestorePoint, xlogBackupEnd, xlogOverwriteContrecord} {
		_, _, point := r.RestorePoint()
		_, backup := r.BackupEnd()
		_, _, overwrite := r.OverwriteContrecord()
		if point || backup || overwrite {
			t.Errorf("an empty record %02X is decoded", r.Info)
		}
	}
}

func TestTimesOutsideOfAnyCalendarDoNotOverflow(t *testing.T) {
	for _, us := range []int64{-1 << 63, 1<<63 - 1, -1, 0} {
		at := timestamp(le(us))
		if (us < 0) != at.Before(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)) {
			t.Errorf("%d us is %v", us, at)
		}
	}
}

func TestBlocksOfEachVersion(t *testing.T) {
	rel := le(uint32(1663), uint32(5), uint32(16384))
	main := []byte("main data")
	image := make([]byte, 100)
	for _, tt := range []struct {
		name  string
		magic uint16
		body  []byte
		want  []Block
	}{
		{"images up to 9.6", 0xD093, le(uint8(0), uint8(blockHasImage), uint16(0), uint16(100), uint16(20), uint8(imageHasHole), rel, uint32(7),
			uint8(blockIDDataShort), uint8(len(main)), image, main), []Block{{0, 0, 1663, 5, 16384, 7, 0, true, true, false}}},
		{"compressed images up to 14", 0xD10D, le(uint8(0), uint8(blockHasImage), uint16(0), uint16(100), uint16(20), uint8(imageHasHole|imageCompressed14|imageApply14), uint16(44), rel, uint32(7),
			uint8(blockIDDataShort), uint8(len(main)), image, main), []Block{{0, 0, 1663, 5, 16384, 7, 0, true, true, false}}},
		{"images from 15", magic15, le(uint8(0), uint8(blockHasImage), uint16(0), uint16(100), uint16(20), uint8(imageHasHole|imageApply), rel, uint32(7),
			uint8(blockIDDataShort), uint8(len(main)), image, main), []Block{{0, 0, 1663, 5, 16384, 7, 0, true, true, false}}},
		{"images for checks, and compressed with zstd", magic18, le(uint8(0), uint8(blockHasImage), uint16(0), uint16(100), uint16(20), uint8(imageHasHole|0x10), uint16(44), rel, uint32(7),
			uint8(blockIDDataShort), uint8(len(main)), image, main), []Block{{0, 0, 1663, 5, 16384, 7, 0, true, false, false}}},
		{"several blocks, an origin and a top-level transaction", magic18, le(
			uint8(0), uint8(blockHasData|blockWillInit|1), uint16(3), rel, uint32(7),
			uint8(4), uint8(blockSameRel), uint16(0), uint32(8),
			uint8(blockIDOrigin), uint16(1), uint8(blockIDTopLevelXID), uint32(700),
			uint8(blockIDDataLong), uint32(len(main)), []byte("abc"), main),
			[]Block{{0, 1, 1663, 5, 16384, 7, 3, false, false, true}, {4, 0, 1663, 5, 16384, 8, 0, false, false, false}}},
	} {
		r := Record{TotalLen: uint32(recordHeaderSize + len(tt.body)), body: tt.body, magic: tt.magic}
		if reason := r.parse(); reason != "" || string(r.MainData) != string(main) || int(r.MainDataLen) != len(main) {
			t.Errorf("%s: %q, main data %q of %d", tt.name, reason, r.MainData, r.MainDataLen)
		}
		n := 0
		for b := range r.Blocks() {
			if n >= len(tt.want) || b != tt.want[n] {
				t.Errorf("%s: block %d is %+v", tt.name, n, b)
			}
			n++
		}
		if n != len(tt.want) {
			t.Errorf("%s: %d blocks", tt.name, n)
		}
		// A record that was cut has what lies before the cut.
		for r.body = tt.body; len(r.body) > 0; r.body = r.body[:len(r.body)-1] {
			if reason := r.parse(); reason != "" || len(r.MainData) > len(main) {
				t.Fatalf("%s, cut at %d: %q, %q", tt.name, len(r.body), reason, r.MainData)
			}
		}
		for range r.Blocks() {
			t.Errorf("%s: an empty record has blocks", tt.name)
		}
	}
}

func TestMagicNumbersAreThoseOfTheVersions(t *testing.T) {
	// XLOG_PAGE_MAGIC of each release.
	for version, magic := range map[int]uint16{
		90500: 0xD087, 90600: 0xD093, 100000: 0xD097, 110000: 0xD098, 120000: 0xD101, 130000: 0xD106,
		140000: 0xD10D, 150000: 0xD110, 160000: 0xD113, 170000: 0xD116, 180000: 0xD118,
	} {
		if got, known := MagicVersion(magic); got != version || !known {
			t.Errorf("%04X is %d, %v; want %d", magic, got, known, version)
		}
	}
	if _, known := MagicVersion(0xD1FF); known {
		t.Error("a number that no server has is known")
	}
}
