package tarstream

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/pgbasin/pgbasin/internal/seeds"
)

func TestEventsDoNotDependOnHowTheInputIsSplit(t *testing.T) {
	a := archive(t, sample...)
	var want recorder
	if err := parse(&want, a, len(a)); err != nil {
		t.Fatal(err)
	}
	if len(want.events) != 2*len(sample) {
		t.Fatalf("%d events for %d members", len(want.events), len(sample))
	}
	for _, n := range []int{1, 2, 3, 7, 511, 512, 513, 1000, 1024, 8191, 8192, 32 << 10} {
		var got recorder
		if err := parse(&got, a, n); err != nil {
			t.Fatalf("pieces of %d bytes: %v", n, err)
		}
		if !slices.Equal(got.events, want.events) {
			t.Errorf("pieces of %d bytes: got %q, want %q", n, got.events, want.events)
		}
	}
}

func TestContentIsPassedUncopied(t *testing.T) {
	a := archive(t, sample...)
	begin, end := uintptr(unsafe.Pointer(&a[0])), uintptr(unsafe.Pointer(&a[len(a)-1]))
	err := parse(contentFunc(func(p []byte) error {
		if at := uintptr(unsafe.Pointer(&p[0])); at < begin || at > end {
			t.Error("content is not part of what was written")
		}
		if cap(p) != len(p) {
			t.Error("a visitor could append to the input")
		}
		return nil
	}), a, 1000)
	if err != nil {
		t.Fatal(err)
	}
}

// contentFunc is a Visitor that only looks at content.
type contentFunc func(p []byte) error

func (contentFunc) Member(*Header) error     { return nil }
func (f contentFunc) Content(p []byte) error { return f(p) }
func (contentFunc) EndMember() error         { return nil }

func TestNothingIsAllocatedInsideALargeMember(t *testing.T) {
	p := NewParser(discard{})
	head, err := (&Header{Name: "big", Size: 1 << 40}).AppendHeader(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Write(head); err != nil {
		t.Fatal(err)
	}
	piece := make([]byte, serverPiece)
	if n := testing.AllocsPerRun(1000, func() {
		if _, err := p.Write(piece); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations for a piece", n)
	}
}

func TestOnlyTheNameIsAllocatedForAMember(t *testing.T) {
	member := archive(t, member{name: "base/1/1259", content: "x", mode: 0o600})[:2*BlockSize]
	p := NewParser(discard{})
	if n := testing.AllocsPerRun(1000, func() {
		if _, err := p.Write(member); err != nil {
			t.Fatal(err)
		}
	}); n > 1 {
		t.Errorf("%v allocations for a member", n)
	}
}

func TestCutOffArchiveIsAnErrorWhereverItIsCut(t *testing.T) {
	a := archive(t, sample[:4]...)
	for n := range len(a) {
		err := parse(&recorder{}, a[:n], len(a))
		var fe *FormatError
		if !errors.Is(err, io.ErrUnexpectedEOF) || !errors.As(err, &fe) {
			t.Fatalf("cut at %d of %d: got %v", n, len(a), err)
		}
		if fe.Offset != int64(n) {
			t.Errorf("cut at %d: error names offset %d", n, fe.Offset)
		}
	}
	err := parse(discard{}, a[:512+10], 100)
	if err == nil || !strings.Contains(err.Error(), "backup_label") {
		t.Errorf("member that was cut off is not named: %v", err)
	}
}

func TestCloseRepeatsTheError(t *testing.T) {
	p := NewParser(discard{})
	err := p.Close()
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("empty input: got %v", err)
	}
	if again := p.Close(); again != err {
		t.Errorf("got %v, want %v", again, err)
	}
	if _, again := p.Write([]byte("x")); again != err {
		t.Errorf("got %v, want %v", again, err)
	}
}

func TestNothingCanBeWrittenAfterClose(t *testing.T) {
	p := NewParser(discard{})
	if _, err := p.Write(make([]byte, 1024)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.Write(make([]byte, 1)); err == nil {
		t.Error("Write after Close was accepted")
	}
}

func TestWhatFollowsTheEndMustBeZeroes(t *testing.T) {
	a := archive(t, sample[:1]...)
	for _, n := range []int{1, 511, 8192, 100_000} {
		padded := append(slices.Clone(a), make([]byte, n)...)
		if err := parse(discard{}, padded, 1000); err != nil {
			t.Errorf("%d bytes of padding: %v", n, err)
		}
		padded[len(padded)-1] = 1
		err := parse(discard{}, padded, 1000)
		var fe *FormatError
		if !errors.As(err, &fe) || fe.Offset != int64(len(padded)-1) {
			t.Errorf("data after the end: got %v", err)
		}
	}
	lone := append(make([]byte, BlockSize), a...)
	if err := parse(discard{}, lone, 1000); err == nil || errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("single zero block before a member: got %v", err)
	}
}

func TestHostileMembersAreRefusedBeforeTheVisitorSeesThem(t *testing.T) {
	for _, m := range []member{
		{name: "/etc/passwd"},
		{name: "../x"},
		{name: "base/../../x"},
		{name: "././x"},
		{name: ".//x"},
		{name: "./../x"},
		{name: "base//x"},
		{name: "../", typ: '5'},
		{name: "pg_wal", typ: '2', link: "/wal"},
		{name: "pg_tblspc/16384", typ: '2', link: "../../etc"},
		{name: "base/x", typ: '1', link: "base/y"},
		{name: "base/x", typ: '3'},
		{name: "base/x", typ: '4'},
		{name: "base/x", typ: '6'},
	} {
		a := archive(t, sample[0], m)
		var r recorder
		err := parse(&r, a, 100)
		var fe *FormatError
		if !errors.As(err, &fe) || fe.Offset != 1024 {
			t.Errorf("%q: got %v", m.name, err)
			continue
		}
		if len(r.events) != 2 {
			t.Errorf("%q: the visitor saw %q", m.name, r.events)
		}
		if name := strings.TrimPrefix(m.name, "./"); !strings.Contains(err.Error(), name[:len(name)-1]) {
			t.Errorf("error does not name %q: %v", m.name, err)
		}
	}
}

func TestVisitorErrorsEndTheArchiveAndComeBackAsTheyAre(t *testing.T) {
	a := archive(t, sample...)
	boom := errors.New("boom")
	seen := 0
	p := NewParser(Tee(discard{}, contentFunc(func([]byte) error {
		seen++
		return boom
	})))
	n, err := p.Write(a)
	if err != boom || n != 512+len(sample[0].content) {
		t.Errorf("got %d, %v", n, err)
	}
	if _, err := p.Write(a[n:]); err != boom {
		t.Errorf("got %v", err)
	}
	if err := p.Close(); err != boom {
		t.Errorf("got %v", err)
	}
	if seen != 1 {
		t.Errorf("the visitor was called %d times", seen)
	}
}

func TestHeaderKeptByTheVisitorStaysWhole(t *testing.T) {
	a := archive(t, sample[:2]...)
	var kept []Header
	p := NewParser(Tee(headerFunc(func(h *Header) { kept = append(kept, *h) })))
	for i := range a {
		if _, err := p.Write(a[i : i+1]); err != nil {
			t.Fatal(err)
		}
		for _, h := range kept {
			b, err := h.AppendHeader(nil)
			if err != nil {
				t.Fatal(err)
			}
			got, err := ParseHeader((*[BlockSize]byte)(b))
			if err != nil || describe(got) != describe(&h) {
				t.Fatalf("after byte %d: got %+v, %v, want %s", i, got, err, describe(&h))
			}
		}
	}
}

type headerFunc func(h *Header)

func (f headerFunc) Member(h *Header) error { f(h); return nil }
func (headerFunc) Content([]byte) error     { return nil }
func (headerFunc) EndMember() error         { return nil }

// FuzzParser: no input makes the parser panic, contents add up to the sizes in
// the headers, and how the input is split does not matter.
func FuzzParser(f *testing.F) {
	seeds.Require(f, 27)
	f.Add(archive(f, seed()...), uint64(1))
	f.Add(archive(f, member{name: "../x"}), uint64(2))
	f.Add(append(archive(f, seed()[:3]...), "trailing"...), uint64(3))
	f.Add(archive(f, seed()[3:5]...)[:700], uint64(4))
	f.Add(archive(f, member{name: "x", content: strings.Repeat("x", 2000)}), uint64(7))
	f.Add(make([]byte, 1024), uint64(5))
	f.Add(append(make([]byte, 512), archive(f, seed()[:1]...)...), uint64(6))
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) {
		data = fixChecksums(data)
		var whole recorder
		wholeErr := parse(&whole, data, len(data)+1)

		rnd := rand.New(rand.NewPCG(seed, 0))
		var split recorder
		p := NewParser(&split)
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
			if err := parse(w, data, 100); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			var copied recorder
			if err := parse(&copied, again.Bytes(), 100); err != nil || !slices.Equal(whole.events, copied.events) {
				t.Fatalf("the archive written again differs: %v", err)
			}
		}
	})
}

// fixChecksums repairs the checksums of an archive's headers, so that a fuzzer
// can change what they say.
func fixChecksums(data []byte) []byte {
	data = slices.Clone(data)
	for off := 0; off+BlockSize <= len(data); {
		b := (*[BlockSize]byte)(data[off:])
		if *b == zeroBlock {
			break
		}
		setChecksum(b)
		off += BlockSize
		if size, err := parseSize(b[sizeOff:][:sizeLen]); err == nil && size < int64(len(data)) {
			off += int(size) + paddingOf(size)
		}
	}
	return data
}
