package codec

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// small returns a compressed stream of a few hundred bytes, and what is in it.
func small(t testing.TB, a Algorithm) (z, data []byte) {
	data = append(pages(200), noise(30)...)
	return compress(t, Spec{Algorithm: a}, data), data
}

func TestStreamsOneAfterTheOtherAreReadAsOne(t *testing.T) {
	noLeak(t)
	data := pages(700 << 10)
	for _, a := range compressed {
		var z []byte
		for _, part := range [][]byte{data[:1000], nil, data[1000:1001], data[1001:]} {
			z = append(z, compress(t, Spec{Algorithm: a}, part)...)
		}
		got, err := decompress(a, bytes.NewReader(z))
		if err != nil {
			t.Fatalf("%s: %v", a, err)
		}
		same(t, got, data)
	}
}

func TestAnyWayOfReadingGivesTheSame(t *testing.T) {
	noLeak(t)
	data := pages(5 << 19)
	for _, a := range append(compressed, None) {
		z := compress(t, Spec{Algorithm: a}, data)
		for name, wrap := range map[string]func(io.Reader) io.Reader{
			"one byte": iotest.OneByteReader, "half": iotest.HalfReader, "data with EOF": iotest.DataErrReader,
		} {
			got, err := decompress(a, wrap(bytes.NewReader(z)))
			if err != nil {
				t.Fatalf("%s, source gives %s: %v", a, name, err)
			}
			same(t, got, data)
		}

		r, err := NewReader(bytes.NewReader(z), a)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 1000)
		if _, err := io.ReadFull(r, got); err != nil {
			t.Fatal(err)
		}
		var rest bytes.Buffer
		n, err := r.WriteTo(&rest)
		if err != nil || n != int64(len(data)-1000) {
			t.Fatalf("%s: WriteTo = %d, %v", a, n, err)
		}
		same(t, append(got, rest.Bytes()...), data)
		if n, err := r.Read(got); n != 0 || err != io.EOF {
			t.Errorf("%s: Read at the end = %d, %v", a, n, err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestATruncatedStreamIsAnUnexpectedEOFWhereverItWasCut(t *testing.T) {
	noLeak(t)
	for _, a := range compressed {
		z, data := small(t, a)
		for n := range z {
			got, err := decompress(a, bytes.NewReader(z[:n]))
			if !errors.Is(err, io.ErrUnexpectedEOF) || !strings.HasPrefix(err.Error(), a.String()+": ") {
				t.Errorf("%s, cut after %d of %d bytes: %v", a, n, len(z), err)
			}
			if !bytes.HasPrefix(data, got) {
				t.Errorf("%s, cut after %d of %d bytes: wrong data came out", a, n, len(z))
			}
		}
		// Inside a further member or frame.
		for n := 1; n < len(z); n++ {
			if _, err := decompress(a, bytes.NewReader(append(z[:len(z):len(z)], z[:n]...))); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s, second stream cut after %d of %d bytes: %v", a, n, len(z), err)
			}
		}
	}
}

func TestAGzipHeaderCutInsideItsNameIsAnUnexpectedEOF(t *testing.T) {
	z, _ := small(t, Gzip)
	named := append([]byte{0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 255}, "base.tar\x00"...)
	named = append(named, z[sectionHeaderSize:]...)
	if _, err := decompress(Gzip, bytes.NewReader(named)); err != nil {
		t.Fatal(err)
	}
	for n := 1; n < 19; n++ {
		for _, before := range [][]byte{nil, z} {
			if _, err := decompress(Gzip, bytes.NewReader(append(before[:len(before):len(before)], named[:n]...))); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("cut after %d bytes: %v", n, err)
			}
		}
	}
}

func TestAFlippedBitIsFoundOrHarmless(t *testing.T) {
	noLeak(t)
	for _, a := range compressed {
		z, data := small(t, a)
		for bit := range len(z) * 8 {
			if i := bit / 8; i > 24 && i < len(z)-12 && bit%8 != i%8 {
				continue // inside, one of each byte
			}
			bad := bytes.Clone(z)
			bad[bit/8] ^= 1 << (bit % 8)
			got, err := decompress(a, bytes.NewReader(bad))
			if err == nil && !bytes.Equal(got, data) {
				t.Errorf("%s: bit %d of byte %d was flipped, and wrong data came out without an error", a, bit%8, bit/8)
			}
			if err != nil && !strings.HasPrefix(err.Error(), a.String()+": ") {
				t.Errorf("%s: the error does not name the codec: %v", a, err)
			}
		}
	}
}

func TestWhatIsNotCompressedIsRefused(t *testing.T) {
	noLeak(t)
	for _, a := range compressed {
		for _, input := range []string{"x", "PGDMP and more", strings.Repeat("\x00", 100_000)} {
			_, err := decompress(a, strings.NewReader(input))
			if err == nil || !strings.HasPrefix(err.Error(), a.String()+": ") {
				t.Errorf("%s of %.10q: %v", a, input, err)
			}
		}
		z, _ := small(t, a)
		if _, err := decompress(a, bytes.NewReader(append(z, "trailing garbage"...))); err == nil {
			t.Errorf("%s: garbage after the stream was accepted", a)
		}
	}
}

func TestAnErrorOfTheSourceIsPassedOn(t *testing.T) {
	noLeak(t)
	lost := errors.New("connection reset by peer")
	for _, a := range append(compressed, None) {
		z := compress(t, Spec{Algorithm: a}, pages(1<<20))
		for _, n := range []int{0, 3, len(z) / 2, len(z)} {
			_, err := decompress(a, io.MultiReader(bytes.NewReader(z[:n]), iotest.ErrReader(lost)))
			if err != lost {
				t.Errorf("%s, source fails after %d bytes: %v", a, n, err)
			}
		}
	}
}

func TestAReaderCanBeClosedAtAnyPoint(t *testing.T) {
	noLeak(t)
	data := pages(4 << 20)
	for _, a := range append(compressed, None) {
		z := compress(t, Spec{Algorithm: a}, data)
		for _, n := range []int{0, 1, 600 << 10, len(data)} {
			r, err := NewReader(bytes.NewReader(z), a)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.CopyN(io.Discard, r, int64(n)); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := r.Close(); err != nil {
					t.Error(err)
				}
			}
			if n, err := r.Read(make([]byte, 10)); n != 0 || err == nil || err == io.EOF {
				t.Errorf("%s: Read after Close = %d, %v", a, n, err)
			}
			if n, err := r.WriteTo(io.Discard); n != 0 || err == nil {
				t.Errorf("%s: WriteTo after Close = %d, %v", a, n, err)
			}
		}
	}
}

func TestAWriteErrorEndsWriteTo(t *testing.T) {
	noLeak(t)
	for _, a := range append(compressed, None) {
		r, err := NewReader(bytes.NewReader(compress(t, Spec{Algorithm: a}, pages(2<<20))), a)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.WriteTo(&limitedWriter{left: 600 << 10}); !errors.Is(err, errFull) {
			t.Errorf("%s: %v", a, err)
		}
		r.Close()
	}
}

// Frames whose headers ask for a lot and which hold nothing.
func TestAHostileZstdHeaderGetsNoMemory(t *testing.T) {
	const magic = "\x28\xb5\x2f\xfd"
	for name, frame := range map[string]string{
		"window of 3.75 TiB":          magic + "\x00\xff" + "\x01\x00\x00",
		"window of 256 MiB":           magic + "\x00\x90" + "\x01\x00\x00",
		"single segment of 1 TiB":     magic + "\xe0\x00\x00\x00\x00\x00\x01\x00\x00" + "\x01\x00\x00",
		"single segment of 2^64-2 B":  magic + "\xe0\xfe\xff\xff\xff\xff\xff\xff\xff" + "\x01\x00\x00",
		"dictionary that nobody has":  magic + "\x03\x00\x01\x02\x03\x04" + "\x01\x00\x00",
		"block of 2 MiB, window 1 KB": magic + "\x00\x00" + "\x03\x00\xff" + strings.Repeat("x", 1000),
	} {
		t.Run(name, func(t *testing.T) {
			var err error
			n := allocated(func() { _, err = decompress(Zstd, strings.NewReader(frame)) })
			if err == nil {
				t.Error("accepted")
			}
			if n > 16<<20 {
				t.Errorf("allocated %d MiB, then: %v", n>>20, err)
			}
		})
	}
}

// An empty member takes 23 bytes of input, an empty frame even less. LZ4's buffers come from a sync.Pool, which loses some on purpose
// under the race detector, so they are not counted here.
func TestManyEmptyStreamsCostNoMemory(t *testing.T) {
	noLeak(t)
	const streams = 5000
	for _, a := range []Algorithm{Gzip, Zstd} {
		z := bytes.Repeat(compress(t, Spec{Algorithm: a}, nil), streams)
		var data []byte
		var err error
		n := allocated(func() { data, err = decompress(a, bytes.NewReader(z)) })
		if len(data) != 0 || err != nil {
			t.Fatalf("%s: %d bytes, %v", a, len(data), err)
		}
		if n > 8<<20+streams*2048 {
			t.Errorf("%s allocated %d KiB for %d empty streams", a, n>>10, streams)
		}
	}
}

// A stream with long repeats compresses a thousandfold and more, and is read without holding it.
func TestMemoryOfAReaderDoesNotGrowWithTheOutput(t *testing.T) {
	data := make([]byte, 16<<20)
	for a, limit := range map[Algorithm]int64{Gzip: int64(readWorkers()+3) * 2 << 20, LZ4: 3 << 20, Zstd: 10 << 20} {
		z := compress(t, Spec{Algorithm: a}, data)
		n := allocated(func() {
			r, err := NewReader(bytes.NewReader(z), a)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if n, err := io.Copy(io.Discard, r); n != int64(len(data)) || err != nil {
				t.Fatalf("%s: %d, %v", a, n, err)
			}
		})
		if n > limit {
			t.Errorf("%s allocated %d KiB, more than %d KiB", a, n>>10, limit>>10)
		}
	}
}

func TestReadErrorsTellHowFarTheInputWent(t *testing.T) {
	z := compress(t, Spec{Algorithm: Gzip}, pages(1<<20))
	_, err := decompress(Gzip, bytes.NewReader(z[:1234]))
	if want := fmt.Sprintf("gzip: the compressed data ends too early, after 1234 bytes: %v", io.ErrUnexpectedEOF); err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	bad := bytes.Clone(z)
	bad[len(bad)-6] ^= 1 // in the CRC
	_, err = decompress(Gzip, bytes.NewReader(bad))
	if want := "gzip: corrupt compressed data after 1048576 decompressed bytes: checksum or length of the gzip member is wrong"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
