package codec_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/klauspost/pgzip"

	"github.com/pgbasin/pgbasin/codec"
)

// Another implementation that compresses in parallel blocks reads what this one
// writes, and the other way round.
func TestPgzipAndTheGzipOfThisPackageReadEachOther(t *testing.T) {
	data := make([]byte, 5<<20+123)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range data {
		data[i] = byte(r.IntN(7)) * byte(i>>12)
	}

	var theirs bytes.Buffer
	pw := pgzip.NewWriter(&theirs)
	if _, err := pw.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := pw.Close(); err != nil {
		t.Fatal(err)
	}
	z, err := codec.NewReader(&theirs, codec.Gzip)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	if got, err := io.ReadAll(z); err != nil || !bytes.Equal(got, data) {
		t.Errorf("what pgzip wrote: %d bytes, %v", len(got), err)
	}

	var ours bytes.Buffer
	w, err := codec.NewWriter(&ours, codec.Spec{Algorithm: codec.Gzip})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	pr, err := pgzip.NewReader(&ours)
	if err != nil {
		t.Fatal(err)
	}
	defer pr.Close()
	if got, err := io.ReadAll(pr); err != nil || !bytes.Equal(got, data) {
		t.Errorf("what pgzip read: %d bytes, %v", len(got), err)
	}
}
