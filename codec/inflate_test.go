package codec

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"testing/iotest"

	klauspost "github.com/klauspost/compress/flate"
)

// inflateAll decompresses a deflate stream in pieces of so many bytes beside the window, as gunzip does.
func inflateAll(r io.Reader, piece int) (all []byte, err error) {
	f := newInflater(r)
	f.reset()
	buf := make([]byte, gzipWindow+piece+inflateRoom)
	start, n := 0, 0
	for err == nil {
		start = copy(buf, buf[max(0, n-gzipWindow):n])
		n, err = f.inflate(buf, 0, start)
		all = append(all, buf[start:n]...)
	}
	return all, err
}

func deflated(t testing.TB, level int, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, level)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// inflateSamples are inputs that make all kinds of blocks, matches of all lengths and distances, and codes of all lengths.
func inflateSamples() map[string][]byte {
	rnd := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 70_000)
	for i := range noise {
		noise[i] = byte(rnd.Uint32())
	}
	skewed := make([]byte, 50_000) // symbols as rare as codes of 15 bits
	for i := range skewed {
		b := byte(0)
		for rnd.IntN(2) == 0 && b < 200 {
			b++
		}
		skewed[i] = b
	}
	var matches []byte
	for distance := 1; distance < 300; distance += 1 + distance/20 {
		unit := noise[:distance]
		for n := range 5 {
			matches = append(matches, bytes.Repeat(unit, n)...)
			matches = append(matches, unit[:rnd.IntN(distance)]...)
		}
	}
	return map[string][]byte{
		"nothing": nil, "one byte": {7}, "zeroes": make([]byte, 100_000), "noise": noise, "skewed": skewed, "matches": matches,
		"pages": pages(100_000), "far": append(append(noise[:32768:32768], noise[:32768]...), noise[:1000]...),
	}
}

func TestInflateAgreesWithWhatWasCompressed(t *testing.T) {
	for name, data := range inflateSamples() {
		for _, level := range []int{-2, 0, 1, 6, 9} {
			z := deflated(t, level, data)
			for _, piece := range []int{1, 1000, 256 << 10} {
				if piece == 1 && level != 6 {
					continue
				}
				got, err := inflateAll(bytes.NewReader(z), piece)
				if err != io.EOF || !bytes.Equal(got, data) {
					t.Fatalf("%s, level %d, pieces of %d: %d bytes of %d, %v", name, level, piece, len(got), len(data), err)
				}
			}
			if level == 0 {
				continue
			}
			if got, err := inflateAll(iotest.OneByteReader(bytes.NewReader(z)), 5000); err != io.EOF || !bytes.Equal(got, data) {
				t.Fatalf("%s, level %d, byte by byte: %d bytes of %d, %v", name, level, len(got), len(data), err)
			}
		}
	}
}

// Other compressors make other blocks, with other codes.
func TestInflateReadsWhatZlibWrote(t *testing.T) {
	for name, data := range inflateSamples() {
		for _, level := range []int{1, 6, 9} {
			cmd := exec.Command("gzip", fmt.Sprintf("-%d", level))
			cmd.Stdin, cmd.Stderr = bytes.NewReader(data), os.Stderr
			z, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			got, err := decompress(Gzip, bytes.NewReader(z))
			if err != nil || !bytes.Equal(got, data) {
				t.Fatalf("%s, level %d: %d bytes of %d, %v", name, level, len(got), len(data), err)
			}
		}
	}
}

func TestBrokenDeflateDataIsRefused(t *testing.T) {
	// Bits, from the first on.
	const dynamic = "101" // the last block, with its own codes
	for what, bits := range map[string]string{
		"unknown type of block":          "111",
		"stored without complement":      "100" + "00000" + "1000000000000000" + "1111111111111111",
		"distance before the beginning":  "110" + "0000001" + "00000",
		"code that no length has":        "110" + "11000110",
		"code that no distance has":      "110" + "00110000" + "0000001" + "11110",
		"too many length codes":          dynamic + "11111" + "00000" + "0000",
		"too many distance codes":        dynamic + "00000" + "11111" + "0000",
		"too many codes for the lengths": dynamic + "00000" + "00000" + "0000" + "100" + "100" + "100" + "000",
		"too few codes for the lengths":  dynamic + "00000" + "00000" + "0000" + "010" + "000" + "000" + "000",
		"repeat of nothing":              dynamic + "00000" + "00000" + "0000" + "100" + "100" + "000" + "000" + "0" + "00",
	} {
		var z []byte
		for i, bit := range bits {
			if i%8 == 0 {
				z = append(z, 0)
			}
			z[i/8] |= byte(bit-'0') << (i % 8)
		}
		z = append(z, make([]byte, 40)...)
		_, err := inflateAll(bytes.NewReader(z), 1000)
		if _, stdErr := io.ReadAll(flate.NewReader(bytes.NewReader(z))); err != errInflate || stdErr == nil {
			t.Errorf("%s: got %v, compress/flate %v", what, err, stdErr)
		}
	}
}

func TestErrorsOfTheInputComeBackFromInflate(t *testing.T) {
	boom := errors.New("boom")
	z := deflated(t, 6, pages(1<<20))
	for n := 0; n < len(z); n += len(z) / 50 {
		if _, err := inflateAll(io.MultiReader(bytes.NewReader(z[:n]), iotest.ErrReader(boom)), 1000); err != boom {
			t.Errorf("after %d bytes: got %v", n, err)
		}
	}
}

// FuzzInflate: what compress/flate takes comes out the same, what it refuses is refused, and nothing else comes out before.
func FuzzInflate(f *testing.F) {
	for _, data := range inflateSamples() {
		for _, level := range []int{-2, 0, 1, 9} {
			f.Add(deflated(f, level, data[:min(len(data), 3000)]), uint16(1000))
		}
		var b bytes.Buffer
		w, err := klauspost.NewWriter(&b, 5)
		if err != nil {
			f.Fatal(err)
		}
		w.Write(data[:min(len(data), 2000)])
		w.Flush()
		w.Write(data[:min(len(data), 1000)])
		w.Close()
		f.Add(b.Bytes(), uint16(1))
	}
	f.Add([]byte{7}, uint16(3))
	f.Fuzz(func(t *testing.T, z []byte, piece uint16) {
		const most = 4 << 20
		want, wantErr := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(z)), most))
		if len(want) == most {
			return
		}
		got, err := inflateAll(iotest.HalfReader(bytes.NewReader(z)), int(piece)+1)
		if wantErr == nil {
			if err != io.EOF || !bytes.Equal(got, want) {
				t.Fatalf("got %d bytes, %v, want %d", len(got), err, len(want))
			}
			return
		}
		if err == io.EOF || err == nil {
			t.Fatalf("got %d bytes, want %v", len(got), wantErr)
		}
		if n := min(len(got), len(want)); !bytes.Equal(got[:n], want[:n]) {
			t.Fatal("something else came out before the error")
		}
	})
}
