package tarstream

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"math"
	"strings"
	"testing"
	"time"
)

// block makes a header block from fields given by offset, and its checksum.
func block(fields map[int]string) *[BlockSize]byte {
	var b [BlockSize]byte
	for off, s := range fields {
		copy(b[off:], s)
	}
	setChecksum(&b)
	return &b
}

func setChecksum(b *[BlockSize]byte) {
	sum := 8 * int(' ')
	for i, c := range b {
		if i < 148 || i >= 156 {
			sum += int(c)
		}
	}
	copy(b[148:156], fmt.Sprintf("%07o ", sum))
}

// serverHeader has the fields of a regular file as tarCreateHeader fills them in.
func serverHeader() map[int]string {
	return map[int]string{
		0: "base/1/1259", 100: "0000600 ", 108: "0000032 ", 116: "0000033 ",
		124: "00000040000 ", 136: "14524770400 ", 156: "0", 257: "ustar\x0000",
		265: "postgres", 297: "postgres", 329: "0000000 ", 337: "0000000 ",
	}
}

func with(fields map[int]string, off int, s string) map[int]string {
	fields[off] = s
	return fields
}

func TestHeadersAreWrittenAsTheServerWritesThem(t *testing.T) {
	for _, c := range []struct {
		h    Header
		want map[int]string
	}{
		{Header{Name: "base/1/1259", Type: Regular, Mode: 0o600, UID: 26, GID: 27, Size: 16384, ModTime: someTime}, serverHeader()},
		{Header{Name: "base/1/1259", Mode: fs.ModeSetuid | 0o600, UID: 26, GID: 27, Size: 16384, ModTime: someTime}, serverHeader()},
		{Header{Name: "base", Type: Directory, Mode: 0o700, UID: InjectedUID, GID: InjectedGID},
			map[int]string{
				0: "base/", 100: "0000700 ", 108: "0004000 ", 116: "0002000 ",
				124: "00000000000 ", 136: "00000000000 ", 156: "5", 257: "ustar\x0000",
				265: "postgres", 297: "postgres", 329: "0000000 ", 337: "0000000 ",
			}},
		{Header{Name: "pg_tblspc/16384", Linkname: "/srv/ts", Type: Symlink, Mode: 0o777, UID: math.MaxUint32},
			map[int]string{
				0: "pg_tblspc/16384/", 100: "0000777 ", 108: "\x80\x00\x00\x00\xff\xff\xff\xff", 116: "0000000 ",
				124: "00000000000 ", 136: "00000000000 ", 156: "2", 157: "/srv/ts", 257: "ustar\x0000",
				265: "postgres", 297: "postgres", 329: "0000000 ", 337: "0000000 ",
			}},
		{Header{Name: "big", Mode: 0o600, Size: 1 << 33},
			map[int]string{
				0: "big", 100: "0000600 ", 108: "0000000 ", 116: "0000000 ",
				124: "\x80\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00", 136: "00000000000 ", 156: "0", 257: "ustar\x0000",
				265: "postgres", 297: "postgres", 329: "0000000 ", 337: "0000000 ",
			}},
	} {
		got, err := c.h.AppendHeader([]byte("before"))
		if err != nil {
			t.Errorf("%q: %v", c.h.Name, err)
			continue
		}
		if want := append([]byte("before"), block(c.want)[:]...); !bytes.Equal(got, want) {
			t.Errorf("%q:\n got %q\nwant %q", c.h.Name, got, want)
		}
	}
}

func TestHeadersOfEveryServerVersionAreRead(t *testing.T) {
	const want = `"base/1/1259" "" 0 600 26 27 16384 1700000000`
	for name, fields := range map[string]map[int]string{
		"18": serverHeader(),
		// Type bits in the mode, the group ID one byte too far to the right, the
		// magic without its zero byte, a checksum of six digits.
		"9.1": {
			0: "base/1/1259", 100: "0100600 ", 108: "0000032 ", 117: "0000033", 124: "00000040000 ",
			136: "14524770400 ", 156: "0", 257: "ustar00", 265: "postgres", 297: "postgres", 329: "     0 ", 337: "     0 ",
		},
		"GNU tar":            with(with(serverHeader(), 257, "ustar  \x00"), 345, "14524770400"),
		"type before ustar":  with(serverHeader(), 156, "\x00"),
		"zero-ended numbers": with(with(serverHeader(), 124, "00000040000\x00"), 100, "000600\x00\x00"),
		"size in base-256":   with(serverHeader(), 124, "\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x40\x00"),
		"blank size digits":  with(serverHeader(), 124, "      40000 "),
		"from a dot":         with(serverHeader(), 0, "./base/1/1259"),
		"with a prefix":      with(with(serverHeader(), 0, "1259\x00\x00\x00\x00\x00\x00\x00"), 345, "base/1"),
	} {
		h, err := ParseHeader(block(fields))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := describe(h); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	b := block(serverHeader())
	copy(b[148:], fmt.Sprintf("%06o\x00 ", checksum(b)))
	if _, err := ParseHeader(b); err != nil {
		t.Errorf("checksum of six digits: %v", err)
	}
}

// Every server version sends this member with "./" in front.
func TestDotInFrontIsNoPartOfTheNameButStaysInTheArchive(t *testing.T) {
	fields := with(with(serverHeader(), 0, "./pg_wal/archive_status/"), 156, "5")
	b := block(with(fields, 124, "00000000000 "))
	h, err := ParseHeader(b)
	if err != nil || h.Name != "pg_wal/archive_status" {
		t.Fatalf("got %+v, %v", h, err)
	}
	if got, err := h.AppendHeader(nil); err != nil || !bytes.Equal(got, b[:]) {
		t.Errorf("header was not passed on as it came: %v", err)
	}
	if h, err := ParseHeader(block(with(fields, 0, "./\x00"))); err == nil {
		t.Errorf("a dot alone was read as %+v", h)
	}
}

func TestNegativeTimesAreReadAsServersAndOthersWriteThem(t *testing.T) {
	for name, field := range map[string]string{
		"PostgreSQL": "\x80\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xfe",
		"GNU":        "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe",
	} {
		h, err := ParseHeader(block(with(serverHeader(), 136, field)))
		if err != nil || h.ModTime.Unix() != -2 {
			t.Errorf("%s: got %v, %v", name, h, err)
		}
	}
}

func TestBadHeadersAreRefusedAndTheReasonNamed(t *testing.T) {
	wrongSum := block(serverHeader())
	wrongSum[0]++
	noSum := block(serverHeader())
	copy(noSum[148:156], "xxxxxxxx")
	for _, c := range []struct {
		b    *[BlockSize]byte
		want string
	}{
		{new([BlockSize]byte), "checksum"},
		{wrongSum, "checksum"},
		{noSum, "checksum"},
		{block(with(serverHeader(), 257, "USTAR\x0000")), "ustar"},
		{block(with(serverHeader(), 257, "\x00\x00\x00\x00\x00\x00\x00\x00")), "ustar"},
		{block(with(serverHeader(), 0, strings.Repeat("\x00", 100))), "empty name"},
		{block(with(with(serverHeader(), 0, "/\x00"), 156, "5")), "empty name"},
		{block(with(serverHeader(), 0, "base/1/\x00\x00\x00\x00")), "slash"},
		{block(with(with(serverHeader(), 0, "base//\x00"), 156, "5")), "slash"},
		{block(with(serverHeader(), 124, "-0000000001 ")), "size"},
		{block(with(serverHeader(), 124, "00000000009 ")), "size"},
		{block(with(serverHeader(), 124, "            ")), "size"},
		{block(with(serverHeader(), 124, strings.Repeat("\x00", 12))), "size"},
		{block(with(serverHeader(), 124, "1 1         ")), "size"},
		{block(with(serverHeader(), 124, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")), "size"},
		{block(with(serverHeader(), 124, "\x80\x00\x00\x00\x80\x00\x00\x00\x00\x00\x00\x00")), "size"},
		{block(with(serverHeader(), 124, "\x80\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00")), "size"},
		{block(with(serverHeader(), 124, "\x81\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01")), "size"},
		{block(with(serverHeader(), 156, "5")), "size"},
		{block(with(with(serverHeader(), 156, "2"), 157, "/x")), "size"},
		{block(with(with(serverHeader(), 156, "2"), 124, "00000000000 ")), "target"},
		{block(with(serverHeader(), 100, "rw-------")), "mode"},
		{block(with(serverHeader(), 108, "\x80\x00\x00\x01\x00\x00\x00\x00")), "user ID"},
		{block(with(serverHeader(), 116, "\xff\xff\xff\xff\xff\xff\xff\xff")), "group ID"},
		{block(with(serverHeader(), 136, "yesterday   ")), "modification time"},
		{block(with(serverHeader(), 156, "1")), "hard link"},
		{block(with(serverHeader(), 156, "3")), "device"},
		{block(with(serverHeader(), 156, "4")), "device"},
		{block(with(serverHeader(), 156, "6")), "fifo"},
		{block(with(serverHeader(), 156, "7")), "'7'"},
		{block(with(serverHeader(), 156, "x")), "pax"},
		{block(with(serverHeader(), 156, "g")), "pax"},
		{block(with(serverHeader(), 156, "L")), "'L'"},
		{block(with(serverHeader(), 156, "S")), "'S'"},
		{block(with(serverHeader(), 156, "\xff")), "unknown"},
	} {
		h, err := ParseHeader(c.b)
		if err == nil {
			t.Errorf("want an error about %q, got %s", c.want, describe(h))
		} else if !strings.Contains(err.Error(), c.want) {
			t.Errorf("want an error about %q, got: %v", c.want, err)
		}
	}
}

func TestHeadersThatTarCannotHoldAreRefused(t *testing.T) {
	long := strings.Repeat("d", 100)
	for _, h := range []Header{
		{},
		{Name: "a\x00b"},
		{Name: "a/", Type: Directory},
		{Name: "a", Type: '1'},
		{Name: "a", Size: -1},
		{Name: "a", Type: Directory, Size: 1},
		{Name: "a", Type: Symlink},
		{Name: "a", Type: Symlink, Linkname: "/\x00"},
		{Name: "a", Type: Symlink, Linkname: "/" + long},
		{Name: "a", UID: -1},
		{Name: "a", GID: math.MaxUint32 + 1},
		{Name: "f" + long},
		{Name: "f/f" + long},
		{Name: strings.Repeat("d", 156) + "/f"},
		{Name: "/f" + long},
	} {
		if _, err := h.AppendHeader(nil); err == nil {
			t.Errorf("%+v was accepted", h)
		}
	}
}

func TestNamesOfEveryLengthSurvive(t *testing.T) {
	// The longest can be divided in one place only.
	names := []string{strings.Repeat("p", prefixLen) + "/" + strings.Repeat("n", nameLen)}
	for n := 1; n <= prefixLen+nameLen-len("/abcdefgh"); n++ {
		name := strings.Repeat("abcdefgh/", 30)[:n]
		if name[n-1] == '/' {
			name = name[:n-1] + "x"
		}
		names = append(names, name)
	}
	for _, name := range names {
		n := len(name)
		for _, typ := range []Type{Regular, Directory} {
			h := Header{Name: name, Type: typ, Mode: 0o600, ModTime: someTime}
			b, err := h.AppendHeader(nil)
			if err != nil {
				t.Fatalf("length %d: %v", n, err)
			}
			got, err := ParseHeader((*[BlockSize]byte)(b))
			if err != nil || got.Name != name || got.Type != typ {
				t.Fatalf("length %d: got %+v, %v", n, got, err)
			}
			std, err := tar.NewReader(bytes.NewReader(b)).Next()
			if err != nil || strings.TrimSuffix(std.Name, "/") != name {
				t.Fatalf("length %d: archive/tar reads %+v, %v", n, std, err)
			}
		}
	}
}

func TestStandardLibraryReadsWhatIsWritten(t *testing.T) {
	for _, h := range []Header{
		{Name: "a", Type: Regular, Mode: 0o640, UID: 1 << 21, GID: 1<<32 - 1, ModTime: someTime},
		{Name: "a", Type: Regular, Size: 1<<33 - 1, ModTime: time.Unix(1<<33, 0)},
		{Name: "a", Type: Regular, Size: 1 << 33, ModTime: time.Unix(-1, 0)},
		{Name: "a", Type: Regular, Size: math.MaxInt64, ModTime: time.Unix(0, 0)},
		{Name: "d", Type: Directory, Mode: 0o750, ModTime: someTime},
		{Name: "l", Type: Symlink, Linkname: strings.Repeat("t", 100), ModTime: someTime},
	} {
		b, err := h.AppendHeader(nil)
		if err != nil {
			t.Errorf("%+v: %v", h, err)
			continue
		}
		std, err := tar.NewReader(bytes.NewReader(append(b, zeroBlock[:]...))).Next()
		if err != nil {
			t.Errorf("%+v: %v", h, err)
			continue
		}
		got := Header{Name: strings.TrimSuffix(std.Name, "/"), Linkname: std.Linkname, Type: Type(std.Typeflag),
			Mode: fs.FileMode(std.Mode), UID: std.Uid, GID: std.Gid, Size: std.Size, ModTime: std.ModTime}
		if got != h {
			t.Errorf("got %+v, want %+v", got, h)
		}
		if std.Uname != "postgres" || std.Gname != "postgres" {
			t.Errorf("owner %s, group %s", std.Uname, std.Gname)
		}
	}
}

func TestChangedHeaderIsNotWrittenAsItCame(t *testing.T) {
	b := block(with(serverHeader(), 265, "oracle\x00s"))
	h, err := ParseHeader(b)
	if err != nil {
		t.Fatal(err)
	}
	if same, _ := h.AppendHeader(nil); !bytes.Equal(same, b[:]) {
		t.Error("an unchanged header was written differently")
	}
	h.Size++
	changed, err := h.AppendHeader(nil)
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseHeader((*[BlockSize]byte)(changed))
	if err != nil || describe(again) != describe(h) {
		t.Errorf("got %+v, %v, want %s", again, err, describe(h))
	}
}

func TestChecksumAddsUnsignedBytes(t *testing.T) {
	var b [BlockSize]byte
	for i := range b {
		b[i] = 0xff
	}
	if got, want := checksum(&b), 504*255+8*int(' '); got != want {
		t.Errorf("got %d, want %d", got, want)
	}
}

// FuzzHeader: what ParseHeader accepts can be written and read again, unchanged
// and rewritten, and means the same.
func FuzzHeader(f *testing.F) {
	a := archive(f, seed()...)
	for off := 0; off+BlockSize <= len(a); off += BlockSize {
		f.Add(a[off : off+BlockSize])
	}
	f.Add(block(with(serverHeader(), 124, "\x80\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff"))[:])
	f.Add(block(with(serverHeader(), 136, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe"))[:])
	f.Add(block(with(serverHeader(), 345, strings.Repeat("p", prefixLen)))[:])
	f.Add(block(with(with(serverHeader(), 345, strings.Repeat("p/", 77)), 0, strings.Repeat("n", nameLen)))[:])
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < BlockSize {
			return
		}
		b := [BlockSize]byte(data)
		setChecksum(&b)
		h, err := ParseHeader(&b)
		if err != nil {
			return
		}
		same, err := h.AppendHeader(nil)
		if err != nil || !bytes.Equal(same, b[:]) {
			t.Fatalf("unchanged header was not written as it came: %v", err)
		}
		h.parsed = nil
		rewritten, err := h.AppendHeader(nil)
		if err != nil {
			t.Fatalf("%s: %v", describe(h), err)
		}
		again, err := ParseHeader((*[BlockSize]byte)(rewritten))
		if err != nil || describe(again) != describe(h) {
			t.Fatalf("got %+v, %v, want %s", again, err, describe(h))
		}
		if std, err := tar.NewReader(bytes.NewReader(rewritten)).Next(); err != nil && err != io.ErrUnexpectedEOF {
			t.Fatalf("archive/tar does not read %s: %v", describe(h), err)
		} else if err == nil && strings.TrimSuffix(std.Name, "/") != h.Name {
			t.Fatalf("archive/tar reads the name %q, not %q", std.Name, h.Name)
		}
	})
}
