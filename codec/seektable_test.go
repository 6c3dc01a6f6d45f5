package codec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// members compresses parts one after the other, with a boundary before each.
func members(t testing.TB, s Spec, parts ...[]byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(&out, s)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range parts {
		w.Boundary()
		if _, err := w.Write(part); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// contentEnd is where the seek table of a Writer's zstd stream begins.
func contentEnd(z []byte) int {
	frames := int(binary.LittleEndian.Uint32(z[len(z)-seekFooterSize:]))
	return len(z) - seekFooterSize - frames*seekEntrySize - seekHeaderSize
}

// contents takes a file apart by its table, read as the specification has it, and returns the content of each frame.
func contents(t testing.TB, z []byte) [][]byte {
	t.Helper()
	le := binary.LittleEndian
	foot := z[len(z)-9:]
	if !bytes.Equal(foot[5:], []byte{0xb1, 0xea, 0x92, 0x8f}) {
		t.Fatalf("the file ends in %x", foot[5:])
	}
	if foot[4] != 0 {
		t.Fatalf("descriptor is %x", foot[4])
	}
	frames := int(le.Uint32(foot))
	table := z[len(z)-9-frames*8-8:]
	if !bytes.Equal(table[:4], []byte{0x5e, 0x2a, 0x4d, 0x18}) || int(le.Uint32(table[4:])) != frames*8+9 {
		t.Fatalf("the table begins with %x", table[:8])
	}
	at := 0
	var all [][]byte
	for i := range frames {
		entry := table[8+i*8:]
		n := int(le.Uint32(entry))
		content, err := decompress(Zstd, bytes.NewReader(z[at:at+n]))
		if err != nil {
			t.Fatalf("frame %d: %v", i, err)
		}
		if len(content) != int(le.Uint32(entry[4:])) {
			t.Fatalf("frame %d has %d bytes, its entry %d", i, len(content), le.Uint32(entry[4:]))
		}
		at += n
		all = append(all, content)
	}
	if at != len(z)-len(table) {
		t.Fatalf("frames have %d bytes, and the table begins at %d", at, len(z)-len(table))
	}
	return all
}

func TestTheSeekTableListsEveryFrame(t *testing.T) {
	data := append(pages(4<<20), noise(1<<20+5)...)
	for _, size := range []int{0, 1, zstdBlock - 1, zstdBlock, zstdBlock + 1, 2 * zstdBlock, len(data)} {
		frames := contents(t, members(t, Spec{Algorithm: Zstd}, data[:size]))
		same(t, bytes.Join(frames, nil), data[:size])
		if want := max(1, (size+zstdBlock-1)/zstdBlock); len(frames) != want {
			t.Errorf("%d bytes are in %d frames, want %d", size, len(frames), want)
		}
	}
	long := bytes.Repeat(data, 2)
	if frames := contents(t, members(t, Spec{Algorithm: Zstd, Long: true}, long)); len(frames) != 2 || len(frames[0]) != zstdLongBlock {
		t.Errorf("%d frames of long-distance mode, the first of %d bytes", len(frames), len(frames[0]))
	}
}

// WAL segments are read whole.
func TestAStreamWithoutMembersGetsNoTable(t *testing.T) {
	data := pages(3 << 20)
	z, with := compress(t, Spec{Algorithm: Zstd}, data), members(t, Spec{Algorithm: Zstd}, data)
	same(t, z, with[:contentEnd(with)])
	if _, err := OpenSeekable(bytes.NewReader(z), int64(len(z))); !errors.Is(err, ErrNotSeekable) {
		t.Errorf("it is opened: %v", err)
	}
}

func TestWhatIsFlushedIsAFrameOfItsOwn(t *testing.T) {
	var out bytes.Buffer
	w, err := NewWriter(&out, Spec{Algorithm: Zstd, Workers: 2, WorkersSet: true})
	if err != nil {
		t.Fatal(err)
	}
	w.Boundary()
	for _, part := range []string{"a", "", "bcd", ""} {
		if _, err := io.WriteString(w, part); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	frames := contents(t, out.Bytes())
	if got := fmt.Sprintf("%q", frames); got != `["a" "bcd"]` {
		t.Errorf("frames are %s", got)
	}
}

func TestAFrameEndsWhereAMemberBeginsIfItHoldsEnough(t *testing.T) {
	data := pages(4 << 20)
	const least = zstdBlock / zstdBoundary
	for _, c := range []struct{ members, frames []int }{
		{[]int{least - 1, 1, 5}, []int{least, 5}}, // a boundary behind too little is none
		{[]int{least, 5}, []int{least, 5}},
		{[]int{zstdBlock, 5}, []int{zstdBlock, 5}},
		{[]int{zstdBlock + least - 1, 5}, []int{zstdBlock, least + 4}},
		{[]int{zstdBlock + least, 5}, []int{zstdBlock, least, 5}},
		{[]int{0, 0, 5}, []int{5}},
		{[]int{512, 8192, 512, least, 3}, []int{512 + 8192 + 512 + least, 3}},
	} {
		var parts [][]byte
		rest := data
		for _, n := range c.members {
			parts, rest = append(parts, rest[:n]), rest[n:]
		}
		var got []int
		for _, frame := range contents(t, members(t, Spec{Algorithm: Zstd}, parts...)) {
			got = append(got, len(frame))
		}
		if !slices.Equal(got, c.frames) {
			t.Errorf("members of %d bytes are in frames of %d, want %d", c.members, got, c.frames)
		}
	}
}

func TestMoreFramesThanATableCanListHaveNone(t *testing.T) {
	table := seekTable{limit: 2, wanted: true}
	table.add(10, 20)
	table.add(0, 0) // none
	table.add(10, 20)
	if n := len(table.frame()); n != 8+2*8+9 {
		t.Errorf("a table of two frames has %d bytes", n)
	}
	table.add(10, 20)
	table.add(10, 20)
	if b := table.frame(); b != nil || table.entries != nil {
		t.Errorf("a table of %d bytes for more frames than it can list", len(b))
	}
}

func TestTheZstdCommandReadsAFileWithASeekTable(t *testing.T) {
	parts := [][]byte{pages(3 << 20), noise(600 << 10), nil, pages(200 << 10), make([]byte, 5<<20)}
	z := members(t, Spec{Algorithm: Zstd}, parts...)
	same(t, run(t, Zstd, z, "-dc"), bytes.Join(parts, nil))
	file := filepath.Join(t.TempDir(), "data.zst")
	if err := os.WriteFile(file, z, 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, Zstd, nil, "-t", file)
	list := string(run(t, Zstd, nil, "-lv", file))
	for _, want := range []string{
		fmt.Sprintf("# Zstandard Frames: %d", len(contents(t, z))), "# Skippable Frames: 1", fmt.Sprintf("(%d B)", len(bytes.Join(parts, nil))), "Check: XXH64",
	} {
		if !strings.Contains(list, want) {
			t.Errorf("zstd -lv does not say %q:\n%s", want, list)
		}
	}
}

// What a writer that was killed leaves, and what a disk that was full.
func TestAStreamThatIsCutNearItsEndIsNeverTakenForAnother(t *testing.T) {
	data := append(pages(zstdBlock), noise(100)...)
	z := members(t, Spec{Algorithm: Zstd}, data)
	end := contentEnd(z)
	for n := end - 200; n < len(z); n++ {
		got, err := decompress(Zstd, bytes.NewReader(z[:n]))
		switch {
		case n == end: // all that is missing is the table
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("without the seek table: %d bytes, %v", len(got), err)
			}
		case n == firstFrame(z): // what lacks whole frames is told by the end of the tar
			if err != nil || !bytes.Equal(got, data[:zstdBlock]) {
				t.Errorf("without the last frame: %d bytes, %v", len(got), err)
			}
		case !errors.Is(err, io.ErrUnexpectedEOF) || !bytes.HasPrefix(data, got):
			t.Errorf("cut after %d of %d bytes: %d bytes, %v", n, len(z), len(got), err)
		}
		if _, err := OpenSeekable(bytes.NewReader(z[:n]), int64(n)); !errors.Is(err, ErrNotSeekable) {
			t.Errorf("cut after %d of %d bytes: the seek table: %v", n, len(z), err)
		}
	}
}

// firstFrame is where the first frame of a Writer's stream ends.
func firstFrame(z []byte) int {
	return int(binary.LittleEndian.Uint32(z[contentEnd(z)+seekHeaderSize:]))
}

// writes notes where the writes to it ended.
type writes struct {
	bytes.Buffer
	ends []int
}

func (w *writes) Write(p []byte) (int, error) {
	n, err := w.Buffer.Write(p)
	w.ends = append(w.ends, w.Len())
	return n, err
}

// Who dies between two writes leaves what cannot be taken for whole.
func TestBetweenTheWritesOfAStreamNoFrameEnds(t *testing.T) {
	var out writes
	w, err := NewWriter(&out, Spec{Algorithm: Zstd, Workers: 2, WorkersSet: true})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		w.Boundary()
		if _, err := w.Write(pages(3 << 20)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if len(out.ends) < 4 {
		t.Fatalf("%d writes", len(out.ends))
	}
	for _, n := range out.ends[:len(out.ends)-1] {
		if _, err := decompress(Zstd, bytes.NewReader(out.Bytes()[:n])); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut after a write, at byte %d of %d: %v", n, out.Len(), err)
		}
	}
}
