package wal

import (
	"testing"

	"github.com/pgbasin/pgbasin/lsn"
)

func TestSegmentNamesAreTheServers(t *testing.T) {
	// From pg_walfile_name() of servers with these segment sizes.
	for _, c := range []struct {
		tli  uint32
		pos  lsn.LSN
		size int64
		name string
	}{
		{1, 0x2000028, 16 << 20, "000000010000000000000002"},
		{1, 0x1_00000000, 16 << 20, "000000010000000100000000"},
		{0x1A, 0xFF_FFFFFFFF, 16 << 20, "0000001A000000FF000000FF"},
		{1, 0x2000028, 1 << 20, "000000010000000000000020"},
		{1, 0x1_FFFFFFFF, 1 << 20, "000000010000000100000FFF"},
		{1, 0x1_C0000000, 1 << 30, "000000010000000100000003"},
	} {
		segno := SegmentNumber(c.pos, c.size)
		if got := SegmentName(c.tli, segno, c.size); got != c.name {
			t.Errorf("SegmentName(%d, %v, %d) = %s, want %s", c.tli, c.pos, c.size, got, c.name)
		}
		tli, back, err := ParseSegmentName(c.name, c.size)
		if err != nil || tli != c.tli || back != segno {
			t.Errorf("ParseSegmentName(%s) = %d, %d, %v; want %d, %d", c.name, tli, back, err, c.tli, segno)
		}
		if got := SegmentStart(segno, c.size) + lsn.LSN(SegmentOffset(c.pos, c.size)); got != c.pos {
			t.Errorf("start + offset of %v = %v", c.pos, got)
		}
	}
}

func TestParseSegmentNameRefusesOtherFiles(t *testing.T) {
	for _, name := range []string{
		"", "00000001", "00000002.history", "000000010000000000000002.partial", "00000001000000000000000g",
		"00000001000000000000000a", "000000010000000000000100", "0000000100000000000000021",
	} {
		if _, _, err := ParseSegmentName(name, 16<<20); err == nil {
			t.Errorf("ParseSegmentName(%q) succeeded", name)
		}
	}
}

func TestHistoryNames(t *testing.T) {
	if got := HistoryName(0x1B); got != "0000001B.history" || !IsHistoryName(got) {
		t.Errorf("HistoryName(0x1B) = %q", got)
	}
	for _, name := range []string{"0000001b.history", "1B.history", "0000001B.history.tmp", "0000001B"} {
		if IsHistoryName(name) {
			t.Errorf("IsHistoryName(%q)", name)
		}
	}
}

func TestSegmentSizesArePowersOfTwoFromOneMegabyteToOneGigabyte(t *testing.T) {
	for n, want := range map[int64]bool{0: false, 1: false, 512 << 10: false, 1 << 20: true, 3 << 20: false, 16 << 20: true, 1 << 30: true, 2 << 30: false, -1 << 20: false} {
		if ValidSegmentSize(n) != want {
			t.Errorf("ValidSegmentSize(%d) = %v", n, !want)
		}
	}
}
