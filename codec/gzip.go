package codec

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/klauspost/compress/flate"
)

// gzipBlock is a multiple of what the flate package compresses at a time, so that no block ends in a scrap.
//
// Blocks refer to nothing before them, so that they can be decompressed side by side. What that costs depends on their size, here in percent of
// what blocks of 1 MiB that refer to the 32 KiB before them become, for data directories of 612 and 480 MB:
//
//	            1 MiB       1.5 MiB        2 MiB        4 MiB
//	level 1   0.36  0.25   0.25  0.17   0.18  0.12   0.08  0.06
//	level 6   0.30  0.19   0.21  0.12   0.15  0.09   0.07  0.05
//
// Larger ones take memory, in the Writer and in the Reader.
const gzipBlock = 24 * 65535

// flateLevels are the levels of the flate package by the levels of zlib: the fastest that keep a PostgreSQL data directory within 3 % of
// zlib's size, and each of its parts (heap, index, catalog, WAL) within 5 %, where there is one. For zlib's default, 6, that depends on the data: each block
// gets level 4 unless a sample says that level 6 makes it smaller by gzipWorth.
//
// Measured on a base backup of 339 MB (orders, events as jsonb, metrics, pgbench, WAL as a part of its own), with zlib 1.2.13. CPU
// seconds are those of one core for all of the compression; the last column is the part that comes out largest against zlib. What sections
// cost (gzipBlock) is not in these figures.
//
//	zlib      size     CPU     flate      size     CPU   ratio   largest part
//	   1  80206226    3.2 s        2  77737277    1.6 s   0.969   1.08 (index)
//	   2  78068133    3.4 s        3  76398792    1.9 s   0.979   1.05 (index)
//	   3  77071907    3.6 s        4  76003702    2.2 s   0.986   1.02 (heap)
//	   4  75414460    4.8 s        5  74816155    2.6 s   0.992   1.02 (index)
//	   5  74360720    5.8 s        5  74816155    2.6 s   1.006   1.03 (catalog)
//	   6  73638749    8.7 s        6  74387340    3.3 s   1.010   1.04 (WAL)
//	   7  72894655   11.3 s        7  73432886    5.1 s   1.007   1.03 (catalog)
//	   8  72707635   27.2 s        8  72404094    7.0 s   0.996   1.02 (WAL)
//	   9  72683332   37.6 s        8  72404094    7.0 s   0.996   1.02 (catalog)
//
// Level 9 takes 41 s and gains nothing over 8. With the choice between 4 and 6, the database of the benchmark (2.2 GB) takes 10.0 s of CPU instead of 12.0 s and
// becomes 0.5 % larger, 0.99 of zlib's size; of another one, heaps, indexes, WAL and catalogs become 0.4, 0.5, 0.1 and 0.8 % larger than with level 6 alone.
var flateLevels = [...]int{1: 2, 2: 3, 3: 4, 4: 5, 5: 5, 6: 6, 7: 7, 8: 8, 9: 8}

const (
	gzipDefault   = 6
	gzipFastLevel = 4 // of the flate package
	// gzipWorth is for a chooser, in per cent.
	gzipWorth = 1
)

// gzipFormat writes one member (RFC 1952) in sections (sections.go), one for each block of input. They end at byte boundaries with an empty
// stored block, as zlib's Z_SYNC_FLUSH makes it.
// The pgzip package's writer does the same as fast with twice the memory, but keeps a goroutine after a write error and cannot be given up.
func gzipFormat(s Spec) format {
	level := s.level()
	if level == Gzip.DefaultLevel() {
		level = gzipDefault
	}
	return format{
		blockSize: gzipBlock,
		encoder:   func() (blockEncoder, error) { return newGzipEncoder(level) },
		header:    sectionedHeader(gzipBlock),
		sum:       crc32.NewIEEE(),
		trailer: func(sum checksum, size int64) []byte {
			t := binary.LittleEndian.AppendUint32(nil, sum.Sum32())
			return binary.LittleEndian.AppendUint32(t, uint32(size))
		},
	}
}

// newGzipEncoder makes an encoder for one of zlib's levels.
func newGzipEncoder(level int) (blockEncoder, error) {
	thorough, err := flateLevel(flateLevels[level])
	if err != nil || level != gzipDefault {
		return thorough, err
	}
	fast, err := flateLevel(gzipFastLevel)
	return &chooser{fast: fast, thorough: thorough, worth: gzipWorth}, err
}

func flateLevel(l int) (*gzipEncoder, error) {
	z, err := flate.NewWriter(nil, l)
	return &gzipEncoder{z: z}, err
}

type gzipEncoder struct {
	z   *flate.Writer
	out appender
}

func (e *gzipEncoder) encode(dst []byte, b *block) ([]byte, error) {
	start := len(dst)
	e.out = append(dst, sectionRecord...)
	e.z.Reset(&e.out)
	_, err := e.z.Write(b.data())
	if err == nil && b.last {
		err = e.z.Close()
	} else if err == nil {
		err = e.z.Flush()
	}
	dst, e.out = e.out, nil
	putSectionLength(dst[start:], len(dst)-start)
	return dst, err
}
