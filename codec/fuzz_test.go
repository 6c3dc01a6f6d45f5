package codec

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/internal/seeds"
)

func FuzzParse(f *testing.F) {
	seeds.Require(f, 20)
	for _, s := range []string{"", "0", "-1", "gzip", "client-gzip:9", "server-lz4:level=1", "zstd:level=-5,workers=4,long=on", "none:", "x:y=z,", "zstd:long,,"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, option string) {
		_, algorithm, detail, hasDetail := ParseOption(option)
		if !hasDetail && detail != "" {
			t.Fatalf("%q: detail %q without a colon", option, detail)
		}
		s, err := ParseSpec(algorithm, detail)
		if err != nil {
			if s != (Spec{}) {
				t.Fatalf("%q: %+v with the error %v", option, s, err)
			}
			return
		}
		if s.String() != algorithm {
			t.Fatalf("%q: %q was taken for %s", option, algorithm, s.Algorithm)
		}
		s.Workers = min(s.Workers, 2)
		if w, err := NewWriter(io.Discard, s); err != nil {
			t.Fatalf("%q was accepted, but not by NewWriter: %v", option, err)
		} else {
			w.Abort()
		}
	})
}

// fuzzReader looks at no more than a few MiB, which hostile inputs can decompress to quickly.
func fuzzReader(f *testing.F, a Algorithm) {
	z, _ := small(f, a)
	f.Add(z)
	f.Add(append(z[:len(z):len(z)], z...))
	f.Add(z[:len(z)/2])
	f.Add(compress(f, Spec{Algorithm: a}, nil))
	f.Add(compress(f, Spec{Algorithm: a}, make([]byte, 1<<20)))
	f.Fuzz(func(t *testing.T, input []byte) {
		r, err := NewReader(bytes.NewReader(input), a)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		n, err := io.Copy(io.Discard, io.LimitReader(r, 4<<20))
		if err != nil && !strings.HasPrefix(err.Error(), a.String()+": ") {
			t.Fatalf("the error does not name the codec: %v", err)
		}
		if len(input) == 0 && (n > 0 || !errors.Is(err, io.ErrUnexpectedEOF)) {
			t.Fatalf("an empty input gives %d bytes, %v", n, err)
		}
	})
}

func FuzzGzipReader(f *testing.F) { fuzzReader(f, Gzip) }
func FuzzLZ4Reader(f *testing.F)  { fuzzReader(f, LZ4) }
func FuzzZstdReader(f *testing.F) { fuzzReader(f, Zstd) }

// FuzzSeekable holds what is read at random against what is read as a stream.
func FuzzSeekable(f *testing.F) {
	seeds.Require(f, 16)
	f.Fuzz(func(t *testing.T, input []byte) {
		s, err := OpenSeekable(bytes.NewReader(input), int64(len(input)))
		if err != nil {
			if !errors.Is(err, ErrNotSeekable) {
				t.Fatalf("a file that can be read: %v", err)
			}
			return
		}
		if s.Size() > 4<<20 {
			return // it may hold that, but takes long
		}
		got, err := io.ReadAll(io.NewSectionReader(s, 0, s.Size()))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "zstd: ") {
				t.Fatalf("the error does not name the codec: %v", err)
			}
			return
		}
		want, err := decompress(Zstd, bytes.NewReader(input))
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d bytes at random, and as a stream %d, %v", len(got), len(want), err)
		}
		// Backwards, in pieces.
		piece := make([]byte, max(1, len(want)/3))
		for off := len(want) - 1; off >= 0; off -= len(piece) {
			n, err := s.ReadAt(piece, int64(off))
			if err != nil && err != io.EOF || !bytes.Equal(piece[:n], want[off:off+n]) || n < min(len(piece), len(want)-off) {
				t.Fatalf("%d bytes at %d: %v", n, off, err)
			}
		}
	})
}

func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte("data"), uint8(1), uint8(3))
	f.Add(make([]byte, 1000), uint8(2), uint8(0))
	f.Fuzz(func(t *testing.T, data []byte, algorithm, level uint8) {
		a := compressed[int(algorithm)%len(compressed)]
		s := Spec{Algorithm: a, Level: 1 + int(level)%9, LevelSet: true, Workers: 2, WorkersSet: true}
		got, err := decompress(a, bytes.NewReader(compress(t, s, data)))
		if err != nil {
			t.Fatal(err)
		}
		same(t, got, data)
	})
}
