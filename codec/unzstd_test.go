package codec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// zstdStream compresses as one frame that does not say how long its content is.
func zstdStream(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := zstd.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	// Flushed in between, or the package knows the length after all.
	for _, part := range [][]byte{data[:len(data)/2], data[len(data)/2:]} {
		if _, err := w.Write(part); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// zstdWhole compresses as one frame that says how long its content is.
func zstdWhole(t testing.TB, data []byte, o ...zstd.EOption) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil, append(o, zstd.WithZeroFrames(true))...)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll(data, nil)
}

// zstdRaw is a frame of blocks that are not compressed, without a checksum.
func zstdRaw(size uint32, blocks ...string) []byte {
	b := binary.LittleEndian.AppendUint32(nil, zstdMagic)
	b = append(b, 2<<6|1<<5)
	b = binary.LittleEndian.AppendUint32(b, size)
	for i, block := range blocks {
		h := uint32(len(block)) << 3
		if i == len(blocks)-1 {
			h |= 1
		}
		b = append(b, byte(h), byte(h>>8), byte(h>>16))
		b = append(b, block...)
	}
	return b
}

func zstdSkipped(n int) []byte {
	b := binary.LittleEndian.AppendUint32(nil, zstdSkip|7)
	b = binary.LittleEndian.AppendUint32(b, uint32(n))
	return append(b, make([]byte, n)...)
}

func TestZstdFramesOfAllKindsFollowOneAnother(t *testing.T) {
	noLeak(t)
	data := pages(zstdSmall + 200<<10)
	var z, want []byte
	add := func(frame, content []byte) { z, want = append(z, frame...), append(want, content...) }
	for range 2 {
		add(compress(t, Spec{Algorithm: Zstd}, data), data)
		add(zstdStream(t, data[:700_000]), data[:700_000])
		add(zstdSkipped(0), nil)
		add(zstdSkipped(300_000), nil)
		add(zstdWhole(t, data), data) // more than is decompressed as a whole
		add(zstdWhole(t, data[:zstdSmall]), data[:zstdSmall])
		add(zstdWhole(t, data[:zstdSmall+1], zstd.WithEncoderCRC(false)), data[:zstdSmall+1])
		add(zstdWhole(t, data[:200]), data[:200])
		add(zstdWhole(t, data[:300], zstd.WithSingleSegment(true)), data[:300])
		add(zstdWhole(t, nil), nil)
		add(zstdStream(t, nil), nil)
		add(zstdWhole(t, make([]byte, 500_000)), make([]byte, 500_000))
		add(zstdRaw(6, "abc", "", "def"), []byte("abcdef"))
	}
	got, err := decompress(Zstd, bytes.NewReader(z))
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, want)
}

func TestFramesOfTheZstdCommandAreRead(t *testing.T) {
	data := pages(zstdSmall + 200<<10)
	for _, args := range [][]string{{"-3"}, {"-3", "--no-check"}, {"-3", fmt.Sprint("--stream-size=", len(data))}, {"-3", "--long=27"}, {"-12"}, {"--fast=5"}, {"-3", "-B65536"}} {
		cmd := exec.Command("zstd", append(args, "-qc")...)
		cmd.Stdin, cmd.Stderr = bytes.NewReader(data), os.Stderr
		z, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		got, err := decompress(Zstd, bytes.NewReader(append(z, z...)))
		if err != nil {
			t.Fatalf("%q: %v", args, err)
		}
		same(t, got, append(data[:len(data):len(data)], data...))
	}
}

func TestZstdFramesAreHeldToWhatTheySay(t *testing.T) {
	noLeak(t)
	good := zstdRaw(3, "abc")
	for what, c := range map[string]struct {
		z    []byte
		want error // nil for any
	}{
		"longer than it says":                 {zstdRaw(3, "abc", "d"), nil},
		"shorter than it says":                {zstdRaw(4, "abc"), nil},
		"unknown type of block":               {append(zstdRaw(3)[:9], 6, 0, 0), errZstdFrame},
		"blocks of no content for ever":       {zstdRaw(3, make([]string, 2<<20)...), errZstdLarge},
		"no magic number":                     {append(good[:len(good):len(good)], "more bytes of something"...), errZstdFrame},
		"a dictionary that nobody has":        {append([]byte{0x28, 0xb5, 0x2f, 0xfd, 1<<5 | 1, 77, 3}, good[9:]...), nil},
		"wrong checksum":                      {flipLast(zstdWhole(t, []byte("abcdefgh"))), nil},
		"wrong checksum of a frame in pieces": {flipLast(zstdStream(t, pages(1<<20))), nil},
		"block that leads before the frame":   {zstdStreamBroken(t), nil},
		"reserved bit":                        {append([]byte{0x28, 0xb5, 0x2f, 0xfd, 1<<5 | 1<<3, 3}, good[9:]...), nil},
	} {
		for range 5 { // workers take turns
			_, err := decompress(Zstd, bytes.NewReader(append(good[:len(good):len(good)], c.z...)))
			if err == nil || !strings.HasPrefix(err.Error(), "zstd: ") || c.want != nil && !errors.Is(err, c.want) {
				t.Fatalf("%s: got %v", what, err)
			}
			if errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("%s is taken for a cut: %v", what, err)
			}
		}
	}
}

func flipLast(z []byte) []byte {
	z[len(z)-1] ^= 1
	return z
}

// zstdStreamBroken has a wrong byte in the middle of a compressed block.
func zstdStreamBroken(t testing.TB) []byte {
	z := zstdStream(t, pages(1<<20))
	z[len(z)/2] ^= 0x55
	return z
}

func TestCutZstdFramesOfAllKindsAreUnexpectedEOF(t *testing.T) {
	noLeak(t)
	data := pages(zstdSmall + 1)
	for what, z := range map[string][]byte{
		"whole": zstdWhole(t, data[:10_000]), "in pieces": zstdStream(t, data[:10_000]), "large": zstdWhole(t, data),
		"skipped": zstdSkipped(100), "raw": zstdRaw(3, "abc"),
	} {
		for n := 1; n < len(z); n += max(1, len(z)/300) {
			got, err := decompress(Zstd, bytes.NewReader(z[:n]))
			if !errors.Is(err, io.ErrUnexpectedEOF) || !bytes.HasPrefix(data, got) && what != "raw" {
				t.Fatalf("%s, cut after %d of %d: %d bytes, %v", what, n, len(z), len(got), err)
			}
		}
	}
}
