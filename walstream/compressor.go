package walstream

import (
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/pgbasin/pgbasin/codec"
)

// compressor is a stream that can be flushed: what was written before can then
// be decompressed, also when nothing follows. Package codec's writers compress
// in large blocks on all processors and cannot do that.
type compressor interface {
	io.WriteCloser
	Flush() error
	Reset(w io.Writer)
}

// newCompressor makes one that is used for one segment after the other, on one
// processor.
func newCompressor(s codec.Spec) (compressor, error) {
	level := s.Algorithm.DefaultLevel()
	if s.LevelSet {
		level = s.Level
	}
	switch s.Algorithm {
	case codec.Gzip:
		return gzip.NewWriterLevel(nil, level)
	case codec.LZ4:
		z := lz4.NewWriter(nil)
		return z, z.Apply(lz4.BlockSizeOption(lz4.Block256Kb), lz4.CompressionLevelOption(lz4Level(level)))
	case codec.Zstd:
		return zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(level)))
	}
	return nil, fmt.Errorf("WAL segments cannot be compressed with %s", s.Algorithm)
}

// lz4Level translates a level of the LZ4 library, where all below 3 are the fast
// method.
func lz4Level(level int) lz4.CompressionLevel {
	if level < 3 {
		return lz4.Fast
	}
	return 1 << (8 + min(level-2, 9))
}
