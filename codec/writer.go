package codec

import (
	"fmt"
	"io"
	"runtime"

	"github.com/klauspost/compress/zstd"
	"github.com/klauspost/pgzip"
	"github.com/pierrec/lz4/v4"
)

// NewWriter returns a writer that compresses to w as s says.
//
// Close writes what is left and the trailer, and waits for the workers; it does not close w. It must be called after an error, too.
func NewWriter(w io.Writer, s Spec) (io.WriteCloser, error) {
	workers := runtime.GOMAXPROCS(0)
	if s.WorkersSet {
		workers = max(s.Workers, 1)
	}
	switch s.Algorithm {
	case None:
		return nopCloser{w}, nil
	case Gzip:
		z, err := pgzip.NewWriterLevel(w, s.level())
		if err == nil {
			err = z.SetConcurrency(1<<20, workers)
		}
		return z, err
	case LZ4:
		z := lz4.NewWriter(w)
		return z, z.Apply(lz4.ConcurrencyOption(workers))
	case Zstd:
		return zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(s.level())), zstd.WithEncoderConcurrency(workers))
	}
	return nil, fmt.Errorf("unknown compression algorithm %d", int(s.Algorithm))
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }
