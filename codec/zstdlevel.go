package codec

import "github.com/klauspost/compress/zstd"

// zstdWorth is for a chooser, in per cent. With less the output becomes larger again: the thorough encoder gains less on a whole block than on a sample.
const zstdWorth = 3

// newZstdEncoder makes an encoder for frames of up to size bytes.
//
// The zstd package has four levels, of which one is no use here: its third takes twice the time of the second for tables that become 1 % smaller
// or 3 % larger. The first often makes tables smaller than the second does, and indexes of few values 60 % larger. So the default, 3, and those up to 9
// have both.
//
// Compared with libzstd 1.5.4 on 900 MB of heaps, texts, indexes, jsonb with a GIN index and WAL, in size and in CPU seconds of one core:
//
//	libzstd                    here
//	 1  206835409    1.5 s    209532597    1.8 s
//	 3  204004058    2.4 s    204703370    2.3 s
//	 6  187715194    6.5 s    the same
//	 9  184064130   12.5 s    the same
//	12  184349403   29.5 s    183517418   36.3 s
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
