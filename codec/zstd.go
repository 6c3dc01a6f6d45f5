package codec

import (
	"bufio"
	"io"

	"github.com/klauspost/compress/zstd"
)

const (
	zstdBlock    = 1 << 20
	zstdChecksum = 4
)

// zstdFormat writes a sequence of frames, each with a checksum of its content (RFC 8878, section 3).
func zstdFormat(s Spec) format {
	level := s.level()
	if level == 0 { // as in libzstd
		level = Zstd.DefaultLevel()
	}
	return format{
		blockSize: zstdBlock,
		hold:      zstdChecksum,
		encoder: func() (blockEncoder, error) {
			z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(level)), zstd.WithEncoderConcurrency(1),
				zstd.WithWindowSize(zstdBlock), zstd.WithLowerEncoderMem(true), zstd.WithZeroFrames(true))
			return zstdEncoder{z}, err
		},
	}
}

type zstdEncoder struct{ z *zstd.Encoder }

func (e zstdEncoder) encode(dst []byte, b *block) ([]byte, error) {
	if len(b.data()) == 0 && !b.first {
		return dst, nil
	}
	return e.z.EncodeAll(b.data(), dst), nil
}

// zstdMaxWindow is the largest window that the zstd command and PostgreSQL accept unless told otherwise.
const zstdMaxWindow = 128 << 20

func openZstd(br *bufio.Reader) (io.ReadCloser, error) {
	z, err := zstd.NewReader(br, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(zstdMaxWindow))
	if err != nil {
		return nil, err
	}
	return z.IOReadCloser(), nil
}
