// Package sinktest is the test that every walstream.Sink must pass.
package sinktest

import (
	"bytes"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/pgbasin/pgbasin/walstream"
)

// A Fixture is a new, empty sink and what is needed to judge it.
type Fixture struct {
	Sink walstream.Sink

	// Files ends the sink and returns what it holds, by name. It is called
	// once, last.
	Files func(t *testing.T) map[string][]byte

	// Partial is the suffix of a segment that was closed early; "" if such a
	// segment is stored under its own name.
	Partial string
	// Durable is what Sync is to say.
	Durable bool
	// Resumes tells that a segment that was closed early can be gone on with;
	// otherwise, with Partial, it can be begun again.
	Resumes bool
	// Short tells that a segment that was closed early is not filled up.
	Short bool
}

// SegmentSize is that of the segments which Run writes, in bytes.
const SegmentSize = 1 << 20

const (
	first   = "000000010000000000000001"
	second  = "000000010000000000000002"
	history = "00000002.history"
	status  = "archive_status/" + first + ".done"
)

// Run runs the test on sinks made by make.
func Run(t *testing.T, make func(t *testing.T) Fixture) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, f Fixture)
	}{
		{"segments come back byte for byte", wholeSegments},
		{"a segment closed early is filled with zeroes", earlyClose},
		{"an early segment goes on at its offset or is refused", resume},
		{"an early segment can be begun again if it has a name that tells", again},
		{"an offset beyond the segment is refused", badOffset},
		{"nothing is written beyond a segment's size", overrun},
		{"one segment is open at a time", oneOpen},
		{"without an open segment there is nothing to write or close", noneOpen},
		{"files are stored and history files are found", files},
		{"sync says whether it can", syncs},
		{"sync runs beside everything else", concurrentSync},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, make(t)) })
	}
}

func wholeSegments(t *testing.T, f Fixture) {
	want := map[string][]byte{first: content(1), second: content(2)}
	for _, name := range []string{first, second} {
		open(t, f, name, 0)
		write(t, f, want[name])
		closeSegment(t, f)
	}
	compare(t, f, want)
}

func earlyClose(t *testing.T, f Fixture) {
	want := content(1)
	open(t, f, first, 0)
	write(t, f, want[:12345])
	closeSegment(t, f)
	if f.Short {
		want = want[:12345]
	} else {
		clear(want[12345:])
	}
	compare(t, f, map[string][]byte{first + f.Partial: want})
}

func resume(t *testing.T, f Fixture) {
	want := content(1)
	open(t, f, first, 0)
	write(t, f, want[:8192])
	closeSegment(t, f)
	err := f.Sink.OpenSegment(segment(first, 8192))
	if !f.Resumes {
		if err == nil {
			t.Error("a segment was opened at an offset")
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	write(t, f, want[8192:])
	closeSegment(t, f)
	compare(t, f, map[string][]byte{first: want})
}

func again(t *testing.T, f Fixture) {
	if f.Partial == "" {
		compare(t, f, nil)
		return
	}
	want := content(1)
	for _, n := range []int{300000, 200000, 400000, SegmentSize} {
		open(t, f, first, 0)
		write(t, f, want[:n])
		closeSegment(t, f)
	}
	compare(t, f, map[string][]byte{first: want})
}

func badOffset(t *testing.T, f Fixture) {
	for _, offset := range []int64{-1, SegmentSize, SegmentSize + 1} {
		if err := f.Sink.OpenSegment(segment(first, offset)); err == nil {
			t.Errorf("a segment was opened at offset %d", offset)
		}
	}
	if f.Resumes {
		if err := f.Sink.OpenSegment(segment(first, 8192)); err == nil {
			t.Error("a segment that is not there was opened in its middle")
		}
	}
	compare(t, f, nil)
}

func overrun(t *testing.T, f Fixture) {
	want := content(1)
	open(t, f, first, 0)
	write(t, f, want[:SegmentSize-1])
	if n, err := f.Sink.Write(want[:2]); err == nil || n != 0 {
		t.Errorf("writing 2 bytes where 1 is left: %d, %v", n, err)
	}
	write(t, f, want[SegmentSize-1:])
	closeSegment(t, f)
	compare(t, f, map[string][]byte{first: want})
}

func oneOpen(t *testing.T, f Fixture) {
	want := content(1)
	open(t, f, first, 0)
	if err := f.Sink.OpenSegment(segment(second, 0)); err == nil {
		t.Error("a second segment was opened")
	}
	write(t, f, want)
	closeSegment(t, f)
	compare(t, f, map[string][]byte{first: want})
}

func noneOpen(t *testing.T, f Fixture) {
	if n, err := f.Sink.Write([]byte("x")); err == nil || n != 0 {
		t.Errorf("Write without a segment: %d, %v", n, err)
	}
	if err := f.Sink.CloseSegment(); err == nil {
		t.Error("CloseSegment without a segment succeeded")
	}
	compare(t, f, nil)
}

func files(t *testing.T, f Fixture) {
	exists := func(want bool) {
		t.Helper()
		if got, err := f.Sink.Exists(history); err != nil || got != want {
			t.Errorf("Exists(%s) = %v, %v; want %v", history, got, err, want)
		}
	}
	exists(false)
	text := []byte("1\t0/2000000\tno recovery target specified\n")
	if err := f.Sink.WriteFile(history, text); err != nil {
		t.Fatal(err)
	}
	exists(true)
	want := content(1)
	open(t, f, first, 0)
	write(t, f, want)
	closeSegment(t, f)
	if err := f.Sink.WriteFile(status, nil); err != nil {
		t.Fatal(err)
	}
	compare(t, f, map[string][]byte{history: text, first: want, status: {}})
}

func syncs(t *testing.T, f Fixture) {
	sync := func() {
		t.Helper()
		if durable, err := f.Sink.Sync(); err != nil || durable != f.Durable {
			t.Errorf("Sync() = %v, %v; want %v", durable, err, f.Durable)
		}
	}
	sync()
	want := content(1)
	open(t, f, first, 0)
	sync()
	write(t, f, want[:100])
	sync()
	write(t, f, want[100:])
	closeSegment(t, f)
	sync()
	sync()
	compare(t, f, map[string][]byte{first: want})
}

func concurrentSync(t *testing.T, f Fixture) {
	var wg sync.WaitGroup
	quit := make(chan struct{})
	wg.Add(1)
	go func() {
		defer wg.Done()
		for {
			select {
			case <-quit:
				return
			default:
			}
			if durable, err := f.Sink.Sync(); err != nil || durable != f.Durable {
				t.Errorf("Sync() = %v, %v; want %v", durable, err, f.Durable)
				return
			}
		}
	}()
	want := map[string][]byte{first: content(1), second: content(2), status: {}}
	for _, name := range []string{first, second} {
		open(t, f, name, 0)
		write(t, f, want[name])
		closeSegment(t, f)
		if name == first {
			if err := f.Sink.WriteFile(status, nil); err != nil {
				t.Error(err)
			}
		}
	}
	close(quit)
	wg.Wait()
	compare(t, f, want)
}

func segment(name string, offset int64) walstream.Segment {
	return walstream.Segment{Name: name, Size: SegmentSize, Offset: offset}
}

func open(t *testing.T, f Fixture, name string, offset int64) {
	t.Helper()
	if err := f.Sink.OpenSegment(segment(name, offset)); err != nil {
		t.Fatal(err)
	}
}

// write writes p in uneven pieces, from a buffer that is overwritten after each.
func write(t *testing.T, f Fixture, p []byte) {
	t.Helper()
	var buf [150 << 10]byte
	random := rand.New(rand.NewPCG(1, 2))
	for len(p) > 0 {
		n := copy(buf[:1+random.IntN(len(buf)-1)], p)
		if m, err := f.Sink.Write(buf[:n]); err != nil || m != n {
			t.Fatalf("Write of %d bytes: %d, %v", n, m, err)
		}
		for i := range buf[:n] {
			buf[i] = 0xEE
		}
		p = p[n:]
	}
}

func closeSegment(t *testing.T, f Fixture) {
	t.Helper()
	if err := f.Sink.CloseSegment(); err != nil {
		t.Fatal(err)
	}
}

func compare(t *testing.T, f Fixture, want map[string][]byte) {
	t.Helper()
	got := f.Files(t)
	for name, content := range want {
		switch have, ok := got[name]; {
		case !ok:
			t.Errorf("%s is missing", name)
		case !bytes.Equal(have, content):
			t.Errorf("%s: %d bytes that differ from the %d written", name, len(have), len(content))
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s should not be there", name)
		}
	}
}

// content is a segment's worth of bytes.
func content(seed uint64) []byte {
	p := make([]byte, SegmentSize)
	random := rand.NewChaCha8([32]byte{byte(seed)})
	random.Read(p)
	return p
}
