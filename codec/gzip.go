package codec

import (
	"bufio"
	"encoding/binary"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/pgzip"
)

const (
	gzipWindow = 32 << 10
	// gzipBlock is a multiple of what the flate package compresses at a time, so that no block ends in a scrap.
	gzipBlock = 16 * 65535
)

// flateLevels are the levels of the flate package by the levels of zlib: the fastest that keep a PostgreSQL data directory within 3 % of
// zlib's size, and each of its parts (heap, index, catalog, WAL) within 5 %, where there is one.
//
// Measured on a base backup of 339 MB (orders, events as jsonb, metrics, pgbench, WAL as a part of its own), with zlib 1.2.13. CPU
// seconds are those of one core for all of the compression; the last column is the part that comes out largest against zlib.
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
// Level 5 would do for zlib's 6 on tables (1.016, 2.6 s), but not on WAL (1.07). Level 9 takes 41 s and gains nothing over 8.
var flateLevels = [...]int{1: 2, 2: 3, 3: 4, 4: 5, 5: 5, 6: 6, 7: 7, 8: 8, 9: 8}

// gzipFormat writes one member (RFC 1952). Blocks are joined at byte boundaries by empty stored blocks, as zlib's Z_SYNC_FLUSH does.
// The pgzip package's writer does the same as fast with twice the memory, but keeps a goroutine after a write error and cannot be given up.
func gzipFormat(s Spec) format {
	level := s.level()
	if level == Gzip.DefaultLevel() {
		level = 6
	}
	const unknownOS = 255
	return format{
		blockSize: gzipBlock,
		window:    gzipWindow,
		encoder: func() (blockEncoder, error) {
			z, err := flate.NewWriter(nil, flateLevels[level])
			return &gzipEncoder{z: z}, err
		},
		header: []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, unknownOS},
		sum:    crc32.NewIEEE(),
		trailer: func(sum checksum, size int64) []byte {
			t := binary.LittleEndian.AppendUint32(nil, sum.Sum32())
			return binary.LittleEndian.AppendUint32(t, uint32(size))
		},
	}
}

type gzipEncoder struct {
	z   *flate.Writer
	out appender
}

func (e *gzipEncoder) encode(dst []byte, b *block) ([]byte, error) {
	e.out = dst
	e.z.ResetDict(&e.out, b.window())
	_, err := e.z.Write(b.data())
	if err == nil && b.last {
		err = e.z.Close()
	} else if err == nil {
		err = e.z.Flush()
	}
	dst, e.out = e.out, nil
	return dst, err
}

// gzipReader reads one member after the other, each decompressed ahead of the reader by pgzip. That package could do so by itself, but
// takes an input that ends inside the header of a further member for complete.
type gzipReader struct {
	br *bufio.Reader
	z  *pgzip.Reader
}

// What pgzip decompresses ahead, in blocks of so many bytes.
const (
	gzipAhead      = 256 << 10
	gzipAheadCount = 4
)

func openGzip(br *bufio.Reader) (io.ReadCloser, error) {
	z := &gzipReader{br: br}
	return z, z.member()
}

// member begins the next member, which must be there. The buffers of the one before are used again: an input may be nothing but the
// beginnings of members.
func (z *gzipReader) member() (err error) {
	if z.z == nil {
		z.z, err = pgzip.NewReaderN(z.br, gzipAhead, gzipAheadCount)
	} else {
		err = z.z.Reset(z.br)
	}
	if err != nil {
		z.z = nil
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	z.z.Multistream(false)
	return nil
}

func (z *gzipReader) Read(p []byte) (int, error) {
	for {
		if z.z == nil {
			return 0, io.ErrUnexpectedEOF // a further member did not begin well
		}
		n, err := z.z.Read(p)
		if n > 0 || err != io.EOF {
			if err == io.EOF {
				err = nil // comes again
			}
			return n, err
		}
		if _, err := z.br.Peek(1); err != nil {
			return 0, err
		}
		if err := z.member(); err != nil {
			return 0, err
		}
	}
}

func (z *gzipReader) Close() error {
	if z.z == nil {
		return nil
	}
	err := z.z.Close()
	z.z = nil
	return err
}
