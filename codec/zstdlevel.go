package codec

import (
	"github.com/klauspost/compress/zstd"
)

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
	return &zstdChooser{fast: fast, thorough: thorough}, err
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

// zstdChooser takes for each block the faster of two encoders, unless a sample says that the other one is worth its time.
type zstdChooser struct {
	fast, thorough zstdEncoder
	trial          []byte
}

const (
	zstdSample = 64 << 10 // bytes
	// zstdWorth is by how many per cent the sample must become smaller. Less makes the output larger again: the thorough encoder gains less on a
	// whole block than on a sample.
	zstdWorth = 3
)

func (e *zstdChooser) encode(dst []byte, b *block) ([]byte, error) {
	if e.prefersFast(b.data()) {
		return e.fast.encode(dst, b)
	}
	return e.thorough.encode(dst, b)
}

// prefersFast tries both on the middle of the data. It depends on the data alone.
func (e *zstdChooser) prefersFast(data []byte) bool {
	if len(data) < 4*zstdSample {
		return false // too little to be worth a trial
	}
	sample := data[(len(data)-zstdSample)/2:][:zstdSample]
	e.trial = e.fast.z.EncodeAll(sample, e.trial[:0])
	fast := len(e.trial)
	e.trial = e.thorough.z.EncodeAll(sample, e.trial[:0])
	return len(e.trial)*100 > fast*(100-zstdWorth)
}
