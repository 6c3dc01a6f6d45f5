package codec

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// postings are what an index of few values consists of: the places of the rows that have the same value.
func postings(n int) []byte {
	const values, rowsPerPage = 1000, 81
	b := make([]byte, 0, n)
	for value := 0; ; value++ {
		for row := value; row < 4_000_000; row += values {
			if len(b)+6 > n {
				return b
			}
			page := uint32(row / rowsPerPage)
			b = binary.LittleEndian.AppendUint16(b, uint16(page>>16))
			b = binary.LittleEndian.AppendUint16(b, uint16(page))
			b = binary.LittleEndian.AppendUint16(b, uint16(row%rowsPerPage)+1)
		}
	}
}

// text is of words that are made up.
func text(n int) []byte {
	rnd := rand.New(rand.NewPCG(6, 4))
	words := make([]string, 100)
	for i := range words {
		word := make([]byte, 2+rnd.IntN(8))
		for j := range word {
			word[j] = 'a' + byte(min(rnd.IntN(26), rnd.IntN(26)))
		}
		words[i] = string(word)
	}
	b := make([]byte, 0, n+10)
	for len(b) < n {
		b = append(append(b, words[min(rnd.IntN(len(words)), rnd.IntN(len(words)))]...), ' ')
	}
	return b[:n]
}

func TestDefaultLevelsTakeTheEncoderThatSuitsTheData(t *testing.T) {
	zstd, err := newZstdEncoder(Zstd.DefaultLevel(), zstdBlock)
	if err != nil {
		t.Fatal(err)
	}
	gzip, err := newGzipEncoder(gzipDefault)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name     string
		encoder  blockEncoder
		data     []byte
		thorough bool
	}{
		{"zstd, heap", zstd, pages(zstdBlock), false},
		{"zstd, index of few values", zstd, postings(zstdBlock), true},
		{"zstd, random bytes", zstd, noise(zstdBlock), false},
		{"zstd, less than is worth a trial", zstd, pages(4*sampleSize - 1), true},
		{"gzip, heap", gzip, pages(gzipBlock), false},
		{"gzip, index of few values", gzip, postings(gzipBlock), false},
		{"gzip, text", gzip, text(gzipBlock), true},
		{"gzip, less than is worth a trial", gzip, pages(4*sampleSize - 1), true},
	} {
		chooser := test.encoder.(*chooser)
		encode := func(e blockEncoder) []byte {
			out, err := e.encode([]byte("before"), &block{buf: test.data, first: true})
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
		want, other := encode(chooser.fast), encode(chooser.thorough)
		if test.thorough {
			want, other = other, want
		}
		got := encode(chooser)
		if !bytes.Equal(got, want) {
			t.Errorf("%s: not what the encoder makes that suits it: %d bytes, want %d, with the other %d", test.name, len(got), len(want), len(other))
		}
		if len(got)*100 > len(other)*105 {
			t.Errorf("%s: %d bytes, with the other encoder %d", test.name, len(got), len(other))
		}
	}
}
