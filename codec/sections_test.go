package codec

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"runtime"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/flate"
)

// processors has the rest of the test run on so many.
func processors(t testing.TB, n int) {
	before := runtime.GOMAXPROCS(n)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
}

// sectioned compresses with sections of so much content, of which some are ended by Flush.
func sectioned(t testing.TB, s Spec, content int, data []byte, flushAfter ...int) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(&out, s)
	if err != nil {
		t.Fatal(err)
	}
	w.format.blockSize = content
	w.format.header = sectionedHeader(content)
	written := 0
	for _, n := range flushAfter {
		if _, err := w.Write(data[written:n]); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		written = n
	}
	if _, err := w.Write(data[written:]); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// sectionHeaderSize is the length of the header of a member in sections.
var sectionHeaderSize = len(sectionedHeader(0))

// unmarked is z without what its first header says about sections.
func unmarked(z []byte) []byte {
	z = bytes.Clone(z)
	if len(z) >= sectionHeaderSize {
		z[sectionHeaderSize-5] = 99 // the version
	}
	return z
}

// readInSections reads z, one member, by sections only. It tells how many sections had content, and whether there was nothing else.
func readInSections(t testing.TB, z []byte) (data []byte, sections int, only bool) {
	t.Helper()
	r := &gzipReader{inflater: newInflater(bytes.NewReader(z))}
	if err := r.header(); err != nil {
		t.Fatal(err)
	}
	if r.section == 0 {
		return nil, 0, false
	}
	out := newPieces(Gzip)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for p := range out.order {
			<-p.done
			if len(p.data) > 0 {
				sections++
			}
			data = append(data, p.data...)
			out.free <- p
		}
	}()
	s := sectionReader{z: r, out: out}
	_, err := s.read()
	if err == io.EOF {
		err = r.next()
	}
	s.close()
	close(out.order)
	<-done
	return data, sections, err == io.EOF && !r.plain
}

// outcome is what reading gives, the error as text.
func outcome(z []byte) (data []byte, failure string) {
	data, err := decompress(Gzip, bytes.NewReader(z))
	if err != nil {
		failure = err.Error()
	}
	return data, failure
}

// agrees fails the test unless reading z gives the same with and without sections, and what compress/gzip makes of it.
func agrees(t *testing.T, z []byte, what string, args ...any) {
	t.Helper()
	got, failure := outcome(z)
	plain, plainFailure := outcome(unmarked(z))
	if !bytes.Equal(got, plain) || failure != plainFailure {
		t.Fatalf("%s: %d bytes, %q, but %d bytes, %q without sections", fmt.Sprintf(what, args...), len(got), failure, len(plain), plainFailure)
	}
	var want []byte
	r, err := gzip.NewReader(bytes.NewReader(z))
	if err == nil {
		want, err = io.ReadAll(r)
	}
	if (err != nil) != (failure != "") || err == nil && !bytes.Equal(got, want) {
		t.Fatalf("%s: %d bytes, %q, but compress/gzip gives %d bytes, %v", fmt.Sprintf(what, args...), len(got), failure, len(want), err)
	}
}

func TestSectionsOfAllSizesAndLevelsAreRead(t *testing.T) {
	noLeak(t)
	processors(t, 4)
	data := append(pages(4*gzipBlock/3), noise(gzipBlock)...)
	for _, content := range []int{1, 100, 4000, 70_000, gzipBlock} {
		for _, size := range []int{0, 1, content - 1, content, content + 1, 2 * content, 5*content + content/3} {
			if size > len(data) {
				continue
			}
			for level := 1; level <= 9; level++ {
				if content == gzipBlock && level != 6 {
					continue
				}
				z := sectioned(t, Spec{Algorithm: Gzip, Level: level, LevelSet: true}, content, data[:size])
				got, sections, only := readInSections(t, z)
				same(t, got, data[:size])
				if want := (size + content - 1) / content; sections != want || !only {
					t.Fatalf("%d bytes, sections of %d, level %d: read in %d sections, want %d; nothing else: %v", size, content, level, sections, want, only)
				}
				agrees(t, z, "%d bytes, sections of %d, level %d", size, content, level)
			}
		}
	}
}

func TestAWriterWritesSections(t *testing.T) {
	processors(t, 4)
	data := append(pages(gzipBlock+100), noise(gzipBlock)...)
	data = append(data, make([]byte, gzipBlock)...)
	for level := 1; level <= 9; level++ {
		got, sections, only := readInSections(t, compress(t, Spec{Algorithm: Gzip, Level: level, LevelSet: true}, data))
		same(t, got, data)
		if sections != 4 || !only {
			t.Errorf("level %d: %d sections, nothing else: %v", level, sections, only)
		}
	}
}

func TestSectionsEndedByFlushAreRead(t *testing.T) {
	noLeak(t)
	processors(t, 4)
	data := append(pages(50_000), noise(50_000)...)
	z := sectioned(t, Spec{Algorithm: Gzip}, 10_000, data, 0, 0, 1, 1, 9_999, 19_999, 20_000, 61_000, 61_001, 100_000, 100_000)
	got, sections, only := readInSections(t, z)
	same(t, got, data)
	if sections != 14 || !only {
		t.Errorf("%d sections, nothing else: %v", sections, only)
	}
	agrees(t, z, "flushed")
}

// What looks like the border of two sections can be content.
func TestContentThatLooksLikeSections(t *testing.T) {
	noLeak(t)
	processors(t, 4)
	data := noise(3 * readCompress)
	record := bytes.Clone(sectionRecord)
	record[0] = 31 << 3
	for at := 0; at+len(record) < len(data); at += 300 {
		copy(data[at:], record)
	}
	for at := readCompress - 300; at < readCompress+300; at += 4 {
		copy(data[at:], sectionRecord[1:5])
	}
	for _, content := range []int{299, 65_536, gzipBlock} {
		z := sectioned(t, Spec{Algorithm: Gzip}, content, data)
		for _, wrap := range []func(io.Reader) io.Reader{func(r io.Reader) io.Reader { return r }, iotest.HalfReader, iotest.OneByteReader, iotest.DataErrReader} {
			got, err := decompress(Gzip, wrap(bytes.NewReader(z)))
			if err != nil {
				t.Fatal(err)
			}
			same(t, got, data)
		}
		if got, _, only := readInSections(t, z); !only || !bytes.Equal(got, data) {
			t.Errorf("sections of %d: %d bytes, nothing else: %v", content, len(got), only)
		}
	}
}

func TestSectionsThatAreCutOffGiveAllThatIsThere(t *testing.T) {
	noLeak(t)
	processors(t, 3)
	data := append(pages(150), noise(150)...)
	z := sectioned(t, Spec{Algorithm: Gzip}, 80, data, 30, 150)
	for n := range z {
		got, err := decompress(Gzip, bytes.NewReader(z[:n]))
		if !errors.Is(err, io.ErrUnexpectedEOF) || !bytes.HasPrefix(data, got) {
			t.Fatalf("cut after %d of %d: %d bytes, %v", n, len(z), len(got), err)
		}
		agrees(t, z[:n], "cut after %d of %d", n, len(z))
		// Behind another member, and with an error of the source.
		agrees(t, append(z[:len(z):len(z)], z[:n]...), "second member cut after %d of %d", n, len(z))
		lost := errors.New("connection reset by peer")
		got, err = decompress(Gzip, io.MultiReader(bytes.NewReader(z[:n]), iotest.ErrReader(lost)))
		if err != lost || !bytes.HasPrefix(data, got) {
			t.Fatalf("source fails after %d of %d: %d bytes, %v", n, len(z), len(got), err)
		}
	}
}

func TestChangedBytesInSectionsAreFoundOrHarmless(t *testing.T) {
	noLeak(t)
	processors(t, 3)
	data := append(pages(200), noise(100)...)
	z := sectioned(t, Spec{Algorithm: Gzip}, 80, data, 30)
	for i := range z {
		if i == 3 {
			continue // flags: other parts of the header, which the packages do not hold to the same limits
		}
		for _, change := range []byte{1 << (i % 8), 0xff} {
			bad := bytes.Clone(z)
			bad[i] ^= change
			agrees(t, bad, "byte %d of %d changed by %#x", i, len(z), change)
		}
		agrees(t, slices.Delete(bytes.Clone(z), i, i+1), "byte %d of %d removed", i, len(z))
		agrees(t, slices.Insert(bytes.Clone(z), i, 0), "zero byte before byte %d of %d", i, len(z))
	}
}

// section makes a section that may refer to what is before it.
func section(t testing.TB, before, data []byte, last bool) []byte {
	t.Helper()
	var b bytes.Buffer
	b.Write(sectionRecord)
	w, err := flate.NewWriterDict(&b, 9, before)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	end := w.Flush
	if last {
		end = w.Close
	}
	if err := end(); err != nil {
		t.Fatal(err)
	}
	putSectionLength(b.Bytes(), b.Len())
	return b.Bytes()
}

// member puts sections together.
func member(content int, data []byte, sections ...[]byte) []byte {
	z := append(sectionedHeader(content), bytes.Join(sections, nil)...)
	z = binary.LittleEndian.AppendUint32(z, crc32.ChecksumIEEE(data))
	return binary.LittleEndian.AppendUint32(z, uint32(len(data)))
}

func TestMembersThatOnlySayThatTheyAreInSections(t *testing.T) {
	noLeak(t)
	processors(t, 4)
	const content = 40_000
	unit := noise(content)
	data := bytes.Repeat(unit, 8)
	part := func(i int) []byte { return data[i*content:][:content] }
	independent := func() [][]byte {
		s := make([][]byte, 8)
		for i := range s {
			s[i] = section(t, nil, part(i), i == 7)
		}
		return s
	}
	changed := func(change func(s [][]byte) [][]byte) []byte { return member(content, data, change(independent())...) }
	var std bytes.Buffer
	w := gzip.NewWriter(&std)
	w.Write(data)
	w.Close()
	blocks := append(sectionedHeader(content), std.Bytes()[10:]...)

	cases := map[string]struct {
		z  []byte
		ok bool
	}{
		"no sections at all":             {blocks, true},
		"content of sections of 0":       {member(0, data, independent()...), true},
		"content of sections of 4 GiB":   {member(-1, data, independent()...), true},
		"content is larger than it says": {member(content-1, data, independent()...), true},
		"content is smaller":             {member(content+1, data, independent()...), true},
		"no end":                         {changed(func(s [][]byte) [][]byte { return s[:7] }), false},
		"an end in the middle": {changed(func(s [][]byte) [][]byte {
			s[3] = section(t, nil, part(3), true)
			return s
		}), false},
		"two sections in one": {changed(func(s [][]byte) [][]byte {
			putSectionLength(s[2], len(s[2])+len(s[3]))
			return s
		}), true},
		"another member inside the last section": {changed(func(s [][]byte) [][]byte {
			putSectionLength(s[7], len(s[7])+8+100)
			return s
		}), true},
		"blocks without a record between sections": {changed(func(s [][]byte) [][]byte {
			return slices.Insert(s, 4, []byte{0, 0, 0, 0xff, 0xff})
		}), true},
		"sections without content": {changed(func(s [][]byte) [][]byte {
			return slices.Insert(s, 4, slices.Repeat([][]byte{section(t, nil, nil, false)}, 300)...)
		}), true},
		"a stored block beyond the end of its section": {changed(func(s [][]byte) [][]byte {
			putSectionLength(s[4], len(s[4])-9)
			return s
		}), true},
	}
	for _, n := range []int{0, 1, 24, 25, 26, 100, 1 << 20, 1<<25 - 1} {
		for _, i := range []int{0, 4, 7} {
			s := independent()
			putSectionLength(s[i], n)
			cases[fmt.Sprintf("section %d has a length of %d", i, n)] = struct {
				z  []byte
				ok bool
			}{member(content, data, s...), true}
		}
	}
	// Sections that repeat the end of the one before.
	for _, lies := range [][]int{{1}, {7}, {1, 2, 3, 4, 5, 6, 7}, {2, 5}} {
		s := independent()
		d := bytes.Clone(data)
		for _, i := range lies {
			copy(d[i*content:], d[i*content-20_000:i*content])
			s[i] = section(t, d[:i*content], d[i*content:][:content], i == 7)
			if len(s[i]) > content*2/3 {
				t.Fatal("the section does not refer to what is before it")
			}
		}
		z := member(content, d, s...)
		cases[fmt.Sprintf("sections %v refer to what is before them", lies)] = struct {
			z  []byte
			ok bool
		}{z, true}
		if _, _, only := readInSections(t, z); only {
			t.Errorf("sections %v refer to what is before them, and were read without it", lies)
		}
	}
	// The window before a section may come from many small ones.
	var s [][]byte
	for i := range 200 {
		s = append(s, section(t, nil, unit[i*100:][:100], false))
	}
	d := append(unit[:20_000:20_000], unit[:20_000]...)
	s = append(s, section(t, d[:20_000], d[20_000:], true))
	cases["a window of small sections"] = struct {
		z  []byte
		ok bool
	}{member(content, d, s...), true}
	// The first one has nothing before it, not even another member.
	s = independent()
	s[0] = section(t, data[:20_000], part(0), false)
	cases["the first section refers to what is before the member"] = struct {
		z  []byte
		ok bool
	}{member(content, data, s...), false}

	good := sectioned(t, Spec{Algorithm: Gzip}, 1000, unit)
	for what, c := range cases {
		if _, failure := outcome(c.z); c.ok != (failure == "") {
			t.Errorf("%s: %q", what, failure)
			continue
		}
		agrees(t, c.z, "%s", what)
		agrees(t, append(c.z[:len(c.z):len(c.z)], good...), "%s, another member behind it", what)
		agrees(t, append(good[:len(good):len(good)], c.z...), "%s, another member before it", what)
	}
}

// A section ends where its last block does, and not when all of its bytes have been fetched.
func TestSectionsThatAreALittleLongerOrShorterThanTheySay(t *testing.T) {
	noLeak(t)
	processors(t, 2)
	data := append(pages(150), noise(150)...)
	for size := range 200 {
		first := section(t, nil, data[size/2:][:size], false)
		whole := len(first)
		for n := max(whole-8, len(sectionRecord)); n < whole+9; n++ {
			putSectionLength(first, n)
			z := member(1000, append(data[size/2:][:size:size], data...), first, section(t, nil, data, true))
			agrees(t, z, "%d bytes, section of %d has a length of %d", size, whole, n)
		}
	}
}

func TestManyMembersThatLieAboutSectionsCostNoMemory(t *testing.T) {
	noLeak(t)
	processors(t, 4)
	data := bytes.Repeat(noise(100), 2)
	lie := member(100, data, section(t, nil, data[:100], false), section(t, data[:100], data[100:], true))
	z := bytes.Repeat(lie, 5000)
	n := allocated(func() {
		r, err := NewReader(bytes.NewReader(z), Gzip)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if n, err := io.Copy(io.Discard, r); n != int64(5000*len(data)) || err != nil {
			t.Fatal(n, err)
		}
	})
	if n > 3<<20 {
		t.Errorf("allocated %d KiB", n>>10)
	}
}

func TestMembersWithAndWithoutSectionsFollowOneAnother(t *testing.T) {
	noLeak(t)
	data := pages(300_000)
	var std bytes.Buffer
	w := gzip.NewWriter(&std)
	w.Extra = []byte("XX\x02\x00ab")
	w.Write(data)
	w.Close()
	var z, want []byte
	for _, content := range []int{1000, 50_000, 0, 0, 300_000, 0, 100_000, 100_000, 0} {
		want = append(want, data...)
		if content == 0 {
			z = append(z, std.Bytes()...)
		} else {
			z = append(z, sectioned(t, Spec{Algorithm: Gzip}, content, data)...)
		}
	}
	for _, n := range []int{1, 2, 3, 8, 20} {
		processors(t, n)
		for _, wrap := range []func(io.Reader) io.Reader{func(r io.Reader) io.Reader { return r }, iotest.HalfReader, iotest.OneByteReader} {
			got, err := decompress(Gzip, wrap(bytes.NewReader(z)))
			if err != nil {
				t.Fatalf("%d processors: %v", n, err)
			}
			same(t, got, want)
		}
	}
}

func TestAReaderOfSectionsCanBeClosedAtAnyPoint(t *testing.T) {
	noLeak(t)
	processors(t, 4)
	data := pages(200_000)
	for _, bad := range []bool{false, true} {
		z := sectioned(t, Spec{Algorithm: Gzip}, 5000, data)
		if bad {
			z[len(z)/2] ^= 0xff
		}
		for n := 0; n < len(data)/2; n += 2500 {
			r, err := NewReader(bytes.NewReader(z), Gzip)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.CopyN(io.Discard, r, int64(n)); err != nil && !bad {
				t.Fatal(err)
			}
			r.Close()
		}
	}
}

// What is held does not depend on the number of sections.
func TestMemoryOfSectionsIsUsedAgain(t *testing.T) {
	noLeak(t)
	processors(t, 3)
	data := append(pages(4<<20), noise(4<<20)...)
	var took []int64
	for _, times := range []int{2, 6} {
		z := bytes.Repeat(compress(t, Spec{Algorithm: Gzip}, data), times)
		took = append(took, allocated(func() {
			r, err := NewReader(bytes.NewReader(z), Gzip)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if n, err := io.Copy(io.Discard, r); n != int64(times*len(data)) || err != nil {
				t.Fatal(n, err)
			}
		}))
	}
	// Five pieces with up to 1.5 MiB of output and as much input, which grows once or twice.
	if most := int64(5*5) << 20; took[0] > most || took[1] > most {
		t.Errorf("allocated %d and %d KiB", took[0]>>10, took[1]>>10)
	}
}

func TestJoinedCRCs(t *testing.T) {
	data := noise(5000)
	for _, n := range []int{0, 1, 2, 255, 256, 4999, 5000} {
		a, b := crc32.ChecksumIEEE(data[:n]), crc32.ChecksumIEEE(data[n:])
		if got, want := crcJoin(a, b, len(data)-n), crc32.ChecksumIEEE(data); got != want {
			t.Errorf("%d and %d bytes: %#x, want %#x", n, len(data)-n, got, want)
		}
	}
}

// FuzzGzipSections reads members in small sections with the same result as without, and as compress/gzip.
func FuzzGzipSections(f *testing.F) {
	data := append(pages(300), noise(100)...)
	header := sectionHeaderSize
	for _, content := range []int{1, 50, 130, 1000} {
		z := sectioned(f, Spec{Algorithm: Gzip}, content, data[:min(len(data), 20*content)], 10)
		f.Add(uint32(content), z[header:])
		f.Add(uint32(content/2), z[header:])
		f.Add(uint32(content), append(z[header:len(z):len(z)], z...))
		f.Add(uint32(content), z[header:len(z)-9])
	}
	f.Add(uint32(200), member(0, data, section(f, nil, data[:200], false), section(f, data[:200], data[:200], true))[header:])
	f.Fuzz(func(t *testing.T, content uint32, rest []byte) {
		const most = 1 << 20
		z := append(sectionedHeader(int(content)), rest...)
		read := func(z []byte) (data []byte, err error) {
			r, err := NewReader(bytes.NewReader(z), Gzip)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			return io.ReadAll(io.LimitReader(r, most))
		}
		got, err := read(z)
		plain, plainErr := read(unmarked(z))
		if !bytes.Equal(got, plain) || fmt.Sprint(err) != fmt.Sprint(plainErr) {
			t.Fatalf("%d bytes, %v, but %d bytes, %v without sections", len(got), err, len(plain), plainErr)
		}
		if len(got) == most || errors.Is(err, errGzipHeader) {
			return
		}
		var want []byte
		r, wantErr := gzip.NewReader(bytes.NewReader(z))
		if wantErr == nil {
			want, wantErr = io.ReadAll(io.LimitReader(r, most))
		}
		if errors.Is(wantErr, gzip.ErrHeader) { // long names
			return
		}
		if (err == nil) != (wantErr == nil) || err == nil && !bytes.Equal(got, want) {
			t.Fatalf("%d bytes, %v, but compress/gzip gives %d bytes, %v", len(got), err, len(want), wantErr)
		}
	})
}
