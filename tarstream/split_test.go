package tarstream

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
)

// marked notes where members are said to begin.
type marked struct {
	bytes.Buffer
	marks []int
}

func (m *marked) Boundary() { m.marks = append(m.marks, m.Len()) }

// headers are where members of an archive begin, as the standard library sees them, and where the last one ends.
func headers(t testing.TB, a []byte) (starts []int, end int) {
	t.Helper()
	r := bytes.NewReader(a)
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if err == io.EOF {
			return starts, end
		}
		if err != nil {
			t.Fatal(err)
		}
		starts = append(starts, end)
		end = len(a) - r.Len() + int(h.Size) + paddingOf(h.Size)
	}
}

// longNames is an archive in which headers of other kinds precede those of members.
func longNames(t testing.TB, format tar.Format) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i, name := range []string{"short", strings.Repeat("long/", 60) + "name", "base/1", strings.Repeat("x", 200)} {
		content := strings.Repeat("c", i*700)
		if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o600, Size: int64(len(content)), ModTime: someTime, Format: format}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestASplitterTellsWhereMembersBegin(t *testing.T) {
	for what, a := range map[string][]byte{
		"of a server": archive(t, sample...), "pax": longNames(t, tar.FormatPAX), "GNU": longNames(t, tar.FormatGNU), "none": archive(t),
	} {
		starts, end := headers(t, a)
		want := append(starts, end) // the end of the archive begins there
		for _, n := range []int{1, 3, 511, 512, 513, 1000, 8192, len(a)} {
			out := new(marked)
			s := NewSplitter(out, NewLenientParser(discard{}, LenientOptions{}))
			for rest := a; len(rest) > 0; {
				m := min(n, len(rest))
				if k, err := s.Write(rest[:m]); k != m || err != nil {
					t.Fatalf("%s, pieces of %d: %d of %d, %v", what, n, k, m, err)
				}
				rest = rest[m:]
			}
			if !slices.Equal(out.marks, want) {
				t.Errorf("%s, pieces of %d: members begin at %d, want %d", what, n, out.marks, want)
			}
			if !bytes.Equal(out.Bytes(), a) {
				t.Errorf("%s, pieces of %d: the archive changed", what, n)
			}
		}
	}
}

func TestAWriterTellsWhereMembersBegin(t *testing.T) {
	out, plain := new(marked), new(bytes.Buffer)
	writeSample(t, NewWriter(out))
	writeSample(t, NewWriter(plain))
	if starts, _ := headers(t, out.Bytes()); !slices.Equal(out.marks, starts) {
		t.Errorf("members begin at %d, want %d", out.marks, starts)
	}
	if !bytes.Equal(out.Bytes(), plain.Bytes()) {
		t.Error("the archive is another one than without")
	}
}

// What cannot be parsed is to be found in the file that it was written to.
func TestASplitterWritesWhatTheParserStopsAt(t *testing.T) {
	a := archive(t, sample...)
	a[len(a)-1] = 1 // in the second zero block
	out := new(marked)
	_, err := NewSplitter(out, NewParser(discard{})).Write(a)
	var format *FormatError
	if !errors.As(err, &format) || !bytes.Equal(out.Bytes(), a) {
		t.Errorf("%d of %d bytes were written: %v", out.Len(), len(a), err)
	}
	full := errors.New("no space left on device")
	if _, err := NewSplitter(writerFunc(func([]byte) (int, error) { return 0, full }), NewParser(discard{})).Write(a); err != full {
		t.Error(err)
	}
	if _, err := NewSplitter(writerFunc(func(p []byte) (int, error) { return len(p) - 1, nil }), NewParser(discard{})).Write(a); err != io.ErrShortWrite {
		t.Error(err)
	}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// selective skips members by their names.
type selective struct {
	recorder
	skip func(name string) bool
	last string
}

func (s *selective) Member(h *Header) error {
	s.last = h.Name
	return s.recorder.Member(h)
}

func TestASkippedMemberIsOneWithoutItsContent(t *testing.T) {
	for _, a := range [][]byte{archive(t, sample...), longNames(t, tar.FormatPAX)} {
		var all recorder
		p := NewLenientParser(&all, LenientOptions{})
		if _, err := p.Write(a); err != nil {
			t.Fatal(err)
		}
		v := &selective{skip: func(name string) bool { return len(name)%2 == 0 }}
		p = NewLenientParser(v, LenientOptions{})
		at := int64(0)
		skipped := int64(0)
		for at < int64(len(a)) {
			n := p.UntilMember()
			if n == 0 {
				n = BlockSize
			}
			n = min(n, int64(len(a))-at)
			if _, err := p.Write(a[at : at+n]); err != nil {
				t.Fatal(err)
			}
			at += n
			if v.inside && v.skip(v.last) {
				m, err := p.Skip()
				if err != nil {
					t.Fatal(err)
				}
				at += m
				skipped += m
			}
			if p.Offset() != at {
				t.Fatalf("the offset is %d, want %d", p.Offset(), at)
			}
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		if skipped == 0 || len(v.events) != len(all.events) {
			t.Fatalf("%d bytes were skipped, %d events of %d", skipped, len(v.events), len(all.events))
		}
		for i, e := range v.events {
			name := ""
			fmt.Sscanf(v.events[i&^1], "%q", &name)
			want := all.events[i]
			if i%2 == 1 && v.skip(name) {
				want = ""
			}
			if e != want {
				t.Errorf("event %d is %q, want %q", i, e, want)
			}
		}
	}
}

func TestSkippingOutsideOfAMembersBeginningDoesNothing(t *testing.T) {
	a := archive(t, sample...)
	p := NewParser(discard{})
	for i := range a {
		inside := p.state == inContent && p.remaining == p.header.Size
		if !inside {
			if n, err := p.Skip(); n != 0 || err != nil {
				t.Fatalf("at byte %d: %d, %v", i, n, err)
			}
		}
		if _, err := p.Write(a[i : i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	p = NewParser(discard{})
	if _, err := p.Write(bytes.Repeat([]byte("x"), BlockSize)); err == nil {
		t.Fatal("accepted")
	} else if n, again := p.Skip(); n != 0 || again != err {
		t.Errorf("after an error: %d, %v", n, again)
	}
}

func TestAMemberOfTheLargestSizeDoesNotWrap(t *testing.T) {
	head, err := (&Header{Name: "big", Size: math.MaxInt64}).AppendHeader(nil)
	if err != nil {
		t.Fatal(err)
	}
	p := NewParser(discard{})
	if _, err := p.Write(head); err != nil {
		t.Fatal(err)
	}
	if n := p.UntilMember(); n < math.MaxInt64-BlockSize {
		t.Errorf("%d bytes to come", n)
	}
	if n, err := p.Skip(); n != math.MaxInt64-BlockSize || err != nil || p.Offset() != math.MaxInt64 {
		t.Errorf("%d bytes were skipped up to %d, %v", n, p.Offset(), err)
	}
	if err := p.Close(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
}
