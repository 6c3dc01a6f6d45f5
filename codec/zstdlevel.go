package codec

import "github.com/klauspost/compress/zstd"

// zstdWorth is for a chooser, in per cent. With less the output becomes larger again: the thorough encoder gains less on a whole block than on a sample.
const zstdWorth = 5

// newZstdEncoder makes an encoder for frames of up to size bytes.
//
// The zstd package has four levels, of which one is no use here: its third takes twice the time of the second for tables that become 1 % smaller
// or 3 % larger. The first often makes tables smaller than the second does, and indexes of few values 60 % larger. So the default, 3, and those up to 9
// have both.
//
// Compared with libzstd 1.5.4 on 815 MB of heaps, texts, indexes, jsonb with a GIN index, catalogs and WAL, in size and in CPU seconds of one core:
//
//	libzstd                    here
//	 1  210156092    1.6 s    209056412    1.6 s
//	 3  211394765    2.5 s    205124247    1.8 s
//	 6  197634118    5.9 s    the same
//	 9  193988143   10.3 s    the same
//	12  192740632   29.4 s    191208171   32.3 s
func newZstdEncoder(level, size int) (blockEncoder, error) {
	switch {
	case level < 3:
		return zstdLevel(zstd.SpeedFastest, size)
	case level >= 10:
		return zstdLevel(zstd.SpeedBestCompression, size)
	}
	fast, err := zstdLevel(zstd.SpeedFastest, size)
	if err != nil {
		return nil, err
	}
	thorough, err := zstdLevel(zstd.SpeedDefault, size)
	return &chooser{fast: fast, thorough: thorough, worth: zstdWorth}, err
}

func zstdLevel(l zstd.EncoderLevel, size int) (zstdEncoder, error) {
	z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(l), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(size), zstd.WithLowerEncoderMem(true), zstd.WithZeroFrames(true))
	return zstdEncoder{z}, err
}

type zstdEncoder struct{ z *zstd.Encoder }

func (e zstdEncoder) encode(dst []byte, b *block) ([]byte, error) {
	if len(b.data()) == 0 && !b.first {
		return dst, nil
	}
	return e.z.EncodeAll(b.data(), dst), nil
}
