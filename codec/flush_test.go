package codec

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"
)

func TestWhatWasFlushedCanBeReadFromAStreamThatIsCutOff(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	data := make([]byte, 3<<20)
	for i := range data {
		data[i] = byte(r.IntN(8))
	}
	for _, a := range []Algorithm{None, Gzip, LZ4, Zstd} {
		var out bytes.Buffer
		z, err := NewWriter(&out, Spec{Algorithm: a})
		if err != nil {
			t.Fatal(err)
		}
		written := 0
		for _, n := range []int{0, 1, 100, 1 << 20, 0, 1<<20 + 7, 5} {
			if _, err := z.Write(data[written : written+n]); err != nil {
				t.Fatal(err)
			}
			written += n
			if err := z.Flush(); err != nil {
				t.Fatal(err)
			}
			got := readPrefix(t, a, out.Bytes(), written)
			if !bytes.Equal(got, data[:written]) {
				t.Errorf("%s: %d of %d bytes that were flushed can be read", a, len(got), written)
			}
		}
		if _, err := z.Write(data[written:]); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		back, err := NewReader(&out, a)
		if err != nil {
			t.Fatal(err)
		}
		whole, err := io.ReadAll(back)
		if err != nil || !bytes.Equal(whole, data) {
			t.Errorf("%s: the whole stream: %d bytes, %v", a, len(whole), err)
		}
		if err := z.Flush(); err == nil && a != None {
			t.Errorf("%s: Flush after Close succeeded", a)
		}
	}
}

// readPrefix reads n bytes of a stream that lacks its end.
func readPrefix(t *testing.T, a Algorithm, b []byte, n int) []byte {
	t.Helper()
	if n == 0 {
		return nil
	}
	z, err := NewReader(bytes.NewReader(b), a)
	if err != nil {
		t.Fatalf("%s: %v", a, err)
	}
	defer z.Close()
	got := make([]byte, n)
	m, err := io.ReadFull(z, got)
	if err != nil {
		t.Errorf("%s: after %d of %d bytes: %v", a, m, n, err)
	}
	return got[:m]
}
