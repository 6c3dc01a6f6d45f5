package tarstream

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgbasin/pgbasin/internal/seeds"
)

// parseLenient feeds an archive to a visitor in pieces of n bytes.
func parseLenient(v Visitor, o LenientOptions, data []byte, n int) error {
	p := NewLenientParser(v, o)
	for len(data) > 0 {
		m := min(n, len(data))
		if _, err := p.Write(data[:m]); err != nil {
			return err
		}
		data = data[m:]
	}
	return p.Close()
}

// handMade reads the archives of testdata/handmade, which GNU tar 1.34, bsdtar
// 3.6.2 and Python 3.11 made of one directory; for the formats without long names
// it lacks what they cannot hold.
func handMade(t testing.TB) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob("testdata/handmade/*.tar.gz")
	if err != nil || len(paths) < 17 {
		t.Fatalf("%d archives, %v", len(paths), err)
	}
	archives := map[string][]byte{}
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(z)
		if err != nil {
			t.Fatal(err)
		}
		archives[filepath.Base(path)] = data
	}
	return archives
}

func TestArchivesOfOtherToolsAreRead(t *testing.T) {
	const mtime = 1_700_000_000
	file := func(name, content string) string {
		return describe(&Header{Name: name, Type: Regular, Mode: 0o644, UID: 26, GID: 26, Size: int64(len(content)), ModTime: time.Unix(mtime, 0)}) +
			fmt.Sprintf(" %x", content)
	}
	dir := func(name string) string {
		return describe(&Header{Name: name, Type: Directory, Mode: 0o755, UID: 26, GID: 26, ModTime: time.Unix(mtime, 0)}) + " "
	}
	link := func(name, target string) string {
		return describe(&Header{Name: name, Linkname: target, Type: Symlink, Mode: 0o777, UID: 26, GID: 26, ModTime: time.Unix(mtime, 0)}) + " "
	}
	both := []string{
		file("PG_VERSION", "15\n"), file("backup_label", "START WAL LOCATION: 0/2000028\n"),
		dir("base"), dir("base/1"), file("base/1/1259", strings.Repeat("abcdefgh", 1024)), file("base/1/empty", ""),
		dir("pg_tblspc"), dir("pg_replslot"), link("pg_wal", "/srv/wal"), file("größe.conf", "x"),
		dir("global"), file("global/pg_control", string(make([]byte, 8192))),
	}
	short := append(slices.Clone(both), link("pg_tblspc/16384", "/srv/ts1"))
	d, e, f := strings.Repeat("d", 90), strings.Repeat("e", 120), strings.Repeat("f", 255)
	long := append(slices.Clone(both), link("pg_tblspc/16384", "/srv/ts1/"+strings.Repeat("t", 150)),
		dir(d), dir(d+"/"+e), file(d+"/"+e+"/"+f, "long\n"))
	slices.Sort(short)
	slices.Sort(long)

	for name, data := range handMade(t) {
		want, prefix := long, "data5445"
		if strings.Contains(name, "ustar") || strings.Contains(name, "v7") {
			want = short
		}
		if strings.Contains(name, "-dot") {
			prefix = ""
		}
		for _, piece := range []int{1, 511, 4096, 1 << 20} {
			var r recorder
			if err := parseLenient(below(prefix, &r), LenientOptions{}, data, piece); err != nil {
				t.Errorf("%s: %v", name, err)
				break
			}
			var got []string
			for i := 0; i < len(r.events); i += 2 {
				got = append(got, r.events[i]+" "+r.events[i+1])
			}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("%s: below %q got\n%q, want\n%q", name, prefix, got, want)
			}
		}
	}
}

// below passes on what lies below a directory of the archive, under the names
// that it has there.
func below(prefix string, next Visitor) Visitor {
	strip := headerRewriter{next, func(h Header) Header {
		h.Name = strings.TrimPrefix(h.Name, prefix+"/")
		return h
	}}
	return Drop(strip, func(h *Header) bool { return h.Name == "." || h.Name == prefix })
}

type headerRewriter struct {
	Visitor
	rewrite func(Header) Header
}

func (r headerRewriter) Member(h *Header) error {
	changed := r.rewrite(*h)
	return r.Visitor.Member(&changed)
}

func TestLenientParserReadsServersArchivesAsTheStrictOneDoes(t *testing.T) {
	a := archive(t, sample...)
	var strict, lenient bytes.Buffer
	w := NewWriter(&strict)
	if err := errors.Join(parse(w, a, 1000), w.Close()); err != nil {
		t.Fatal(err)
	}
	w = NewWriter(&lenient)
	if err := errors.Join(parseLenient(w, LenientOptions{}, a, 1000), w.Close()); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(strict.Bytes(), lenient.Bytes()) || !bytes.Equal(strict.Bytes(), a) {
		t.Error("the archive was changed")
	}
}

func TestWhatOtherToolsWroteIsWrittenAsUstar(t *testing.T) {
	for name, data := range handMade(t) {
		if !strings.Contains(name, "v7") && !strings.Contains(name, "ustar") {
			continue
		}
		var first, second recorder
		var out bytes.Buffer
		w := NewWriter(&out)
		if err := parseLenient(Tee(&first, w), LenientOptions{}, data, 1000); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err := parseLenient(&second, LenientOptions{}, out.Bytes(), 1000); err != nil || !slices.Equal(first.events, second.events) {
			t.Errorf("%s: got %q, %v, want %q", name, second.events, err, first.events)
		}
		if i := bytes.Index(out.Bytes(), []byte("backup_label")) + magicOff - len("data5445/"); string(out.Bytes()[i:][:magicLen]) != magicPOSIX {
			t.Errorf("%s: magic is %q", name, out.Bytes()[i:][:magicLen])
		}
	}
}

// extension is an extended header with its content.
func extension(kind byte, content string) []byte {
	h := Header{Name: "././@LongLink", Size: int64(len(content))}
	b, err := h.AppendHeader(nil)
	if err != nil {
		panic(err)
	}
	b[typeOff] = kind
	setChecksum((*[BlockSize]byte)(b))
	return append(append(b, content...), make([]byte, paddingOf(h.Size))...)
}

// paxRecord is "key=value" with its length in front.
func paxRecord(record string) string {
	n := len(record) + 2
	for len(fmt.Sprint(n))+len(record)+2 > n {
		n = len(fmt.Sprint(n)) + len(record) + 2
	}
	return fmt.Sprintf("%d %s\n", n, record)
}

func pax(records ...string) []byte {
	var s string
	for _, r := range records {
		s += paxRecord(r)
	}
	return extension('x', s)
}

func join(parts ...[]byte) []byte { return slices.Concat(parts...) }

func TestPaxRecordsCount(t *testing.T) {
	five := archive(t, member{name: "short", content: "12345", mode: 0o600})
	// The size in the header is 0: only the record says what follows.
	sizeless := slices.Clone(five)
	copy(sizeless[sizeOff:], "00000000000 ")
	setChecksum((*[BlockSize]byte)(sizeless))
	for _, c := range []struct {
		a    []byte
		want string
	}{
		{join(pax("path=base/1/2"), five), `"base/1/2" "" 0 600 26 27 5 1700000000`},
		{join(pax("path=a", "path="), five), `"short" "" 0 600 26 27 5 1700000000`},
		{join(pax("path=a", "path=b"), five), `"b" "" 0 600 26 27 5 1700000000`},
		{join(pax("size=5"), sizeless), `"short" "" 0 600 26 27 5 1700000000`},
		{join(pax("mtime=12.999"), five), `"short" "" 0 600 26 27 5 12`},
		{join(pax("mtime=-12.5"), five), `"short" "" 0 600 26 27 5 -13`},
		{join(pax("mtime=-12.0"), five), `"short" "" 0 600 26 27 5 -12`},
		{join(extension('g', paxRecord("mtime=7")), five), `"short" "" 0 600 26 27 5 7`},
		{join(extension('g', paxRecord("mtime=7")), pax("mtime=8"), five), `"short" "" 0 600 26 27 5 8`},
		{join(pax("SCHILY.xattr.user.x=a\x00=\nb", "uname=x", "hdrcharset=BINARY", "path=\xff"), five), `"\xff" "" 0 600 26 27 5 1700000000`},
		{join(extension('L', "gnu\x00"), five), `"gnu" "" 0 600 26 27 5 1700000000`},
		{join(extension('L', "gnu\x00"), pax("path=pax"), five), `"pax" "" 0 600 26 27 5 1700000000`},
		{join(pax("path=pax"), extension('L', "gnu\x00"), five), `"pax" "" 0 600 26 27 5 1700000000`},
		{join(extension('L', ".//a/./b//c\x00"), five), `"a/b/c" "" 0 600 26 27 5 1700000000`},
		{join(extension('L', ".//a\x00"), five), `"a" "" 0 600 26 27 5 1700000000`},
		{join(extension('L', "././a\x00"), five), `"a" "" 0 600 26 27 5 1700000000`},
	} {
		var r recorder
		if err := parseLenient(&r, LenientOptions{}, c.a, 100); err != nil {
			t.Errorf("want %s: %v", c.want, err)
			continue
		}
		if len(r.events) != 2 || r.events[0] != c.want || r.events[1] != "3132333435" {
			t.Errorf("got %q, want %s", r.events, c.want)
		}
	}
}

func TestSizesUpToTheLargestAreRead(t *testing.T) {
	for _, size := range []string{"8589934592", fmt.Sprint(int64(math.MaxInt64))} {
		a := join(pax("size="+size), archive(t, member{name: "huge"}))
		var got int64
		p := NewLenientParser(headerFunc(func(h *Header) { got = h.Size }), LenientOptions{})
		if _, err := p.Write(a); err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(got) != size {
			t.Errorf("got %d, want %s", got, size)
		}
		if err := p.Close(); !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), `"huge"`) {
			t.Errorf("got %v", err)
		}
	}
}

func TestBrokenExtendedHeadersAreRefused(t *testing.T) {
	one := archive(t, member{name: "x", content: "12345"})
	for _, c := range []struct {
		a    []byte
		want string
	}{
		{join(extension('x', "no records"), one), "malformed"},
		{join(extension('x', "0 \n"), one), "malformed"},
		{join(extension('x', "5 a=b\n"), one), "malformed"},
		{join(extension('x', "7 a=b\n"), one), "malformed"},
		{join(extension('x', "6 abc\n"), one), "malformed"},
		{join(extension('x', "6 =ab\n"), one), "malformed"},
		{join(extension('x', "-6 a=b\n"), one), "malformed"},
		{join(extension('x', "99999999999999999999 a=b\n"), one), "malformed"},
		{join(pax("size=-1"), one), "size"},
		{join(pax("size= 1"), one), "size"},
		{join(pax("size=9223372036854775808"), one), "size"},
		{join(pax("size=0x10"), one), "size"},
		{join(pax("mtime=now"), one), "modification time"},
		{join(pax("mtime=1.x"), one), "modification time"},
		{join(pax("GNU.sparse.major=1"), one), "sparse"},
		{join(extension('g', paxRecord("GNU.sparse.name=x")), one), "sparse"},
		{join(extension('g', paxRecord("path=x")), one), "global"},
		{join(extension('g', paxRecord("linkpath=x")), one), "global"},
		{join(extension('g', paxRecord("size=1")), one), "global"},
		{join(extension('L', ""), one), "empty"},
		{join(extension('L', "\x00\x00"), one), "empty"},
		{join(extension('L', "a\x00"), extension('L', "b\x00"), one), "two long names"},
		{join(extension('K', "a\x00"), extension('K', "b\x00"), one), "two long link targets"},
		{join(extension('L', strings.Repeat("a/", maxName/2+1)), one), "more than"},
		{join(pax("path="+strings.Repeat("a/", maxName/2+1)), one), "too long"},
		{join(extension('x', strings.Repeat("x", maxPax+1)), one), "more than"},
		{join(pax("path=x"), make([]byte, 2*BlockSize)), "followed by no member"},
		{join(extension('L', "x\x00"), make([]byte, 2*BlockSize)), "followed by no member"},
	} {
		err := parseLenient(discard{}, LenientOptions{}, c.a, 1000)
		var fe *FormatError
		if !errors.As(err, &fe) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("want an error about %q, got %v", c.want, err)
		}
	}
}

func TestCutOffHandMadeArchiveIsAnErrorWhereverItIsCut(t *testing.T) {
	a := handMade(t)["gnutar-posix.tar.gz"]
	// What follows the two zero blocks fills GNU tar's record.
	end := len(a)
	for end > 0 && a[end-1] == 0 {
		end--
	}
	end += paddingOf(int64(end)) + 2*BlockSize
	for _, step := range []struct{ from, by int }{{0, 256}, {511, 512}, {513, 512}} {
		for n := step.from; n < end; n += step.by {
			if err := parseLenient(discard{}, LenientOptions{}, a[:n], 4096); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("cut after %d bytes: got %v", n, err)
			}
		}
	}
	if err := parseLenient(discard{}, LenientOptions{}, a[:end], 4096); err != nil {
		t.Error(err)
	}
}

func TestArchiveWithoutAnEndIsTakenOnlyWhereAskedFor(t *testing.T) {
	a := archive(t, sample...)
	a = a[:len(a)-2*BlockSize]
	if err := parseLenient(discard{}, LenientOptions{}, a, 1000); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v", err)
	}
	yes := LenientOptions{Unterminated: true}
	for _, ok := range [][]byte{a, join(a, make([]byte, BlockSize)), join(a, make([]byte, 2*BlockSize))} {
		if err := parseLenient(discard{}, yes, ok, 1000); err != nil {
			t.Error(err)
		}
	}
	for what, bad := range map[string][]byte{
		"nothing at all": nil, "zeroes": make([]byte, BlockSize), "inside content": a[:len(a)-8192],
		"inside a header": a[:len(a)-8192-1], "after an extended header": join(a, pax("path=x")),
		"inside an extended header": join(a, pax("path=x")[:600]),
		"inside its padding":        join(a, pax("path=x")[:1000]),
	} {
		if err := parseLenient(discard{}, yes, bad, 1000); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: got %v", what, err)
		}
	}
}

func TestNothingIsAllocatedInsideALargeMemberOfAHandMadeArchive(t *testing.T) {
	p := NewLenientParser(discard{}, LenientOptions{})
	if _, err := p.Write(join(pax("size=8589934592"), archive(t, member{name: "x"})[:BlockSize])); err != nil {
		t.Fatal(err)
	}
	piece := make([]byte, 32<<10)
	if n := testing.AllocsPerRun(100, func() {
		if _, err := p.Write(piece); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations for a piece", n)
	}
}

// FuzzLenientParser: no input makes the parser panic; how the input is split does
// not matter; no name leads outside; whatever comes through can be written as
// ustar and read again, unless ustar cannot hold it.
func FuzzLenientParser(f *testing.F) {
	seeds.Require(f, 28)
	for _, data := range handMade(f) {
		f.Add(data, uint64(1))
	}
	five := archive(f, member{name: "short", content: "12345"})
	f.Add(join(pax("path=../x", "size=5"), five), uint64(2))
	f.Add(join(extension('L', "a\x00../x\x00"), five), uint64(3))
	f.Add(join(extension('g', paxRecord("mtime=1")), pax("linkpath=/etc"), five), uint64(4))
	f.Add(five[:len(five)-2*BlockSize], uint64(5))
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) {
		data = fixChecksums(data)
		o := LenientOptions{Unterminated: seed%2 == 1}
		var whole recorder
		names := headerFunc(func(h *Header) {
			if h.Name == "." && h.Type == Directory {
				return
			}
			if err := errors.Join(CheckName(h.Name), checkLength(h.Name)); err != nil {
				t.Fatal(err)
			}
			if h.Size < 0 || h.Type != Regular && h.Size != 0 {
				t.Fatalf("%s has a size of %d", h.Name, h.Size)
			}
		})
		wholeErr := parseLenient(Tee(names, &whole), o, data, len(data)+1)

		rnd := rand.New(rand.NewPCG(seed, 0))
		var split recorder
		p := NewLenientParser(&split, o)
		var splitErr error
		for rest := data; len(rest) > 0 && splitErr == nil; {
			n := 1 + rnd.IntN(min(len(rest), 1500))
			_, splitErr = p.Write(rest[:n])
			rest = rest[n:]
		}
		if closeErr := p.Close(); splitErr == nil {
			splitErr = closeErr
		}
		if (wholeErr == nil) != (splitErr == nil) || wholeErr != nil && wholeErr.Error() != splitErr.Error() {
			t.Fatalf("whole: %v, split: %v", wholeErr, splitErr)
		}
		if !slices.Equal(whole.events, split.events) || !bytes.Equal(whole.content, split.content) {
			t.Fatalf("whole: %q, split: %q", whole.events, split.events)
		}
		if wholeErr == nil {
			var again bytes.Buffer
			w := NewWriter(&again)
			if err := parseLenient(w, o, data, 100); err != nil {
				return // a name or target that ustar has no room for
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			var copied recorder
			if err := parseLenient(&copied, LenientOptions{}, again.Bytes(), 100); err != nil || !slices.Equal(whole.events, copied.events) {
				t.Fatalf("the archive written again differs: %v", err)
			}
		}
	})
}
