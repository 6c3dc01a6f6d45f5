package codec

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/flate"
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

// gzipReader reads one member after the other.
type gzipReader struct {
	*inflater
	sum  uint32 // CRC of the member's content so far
	size uint64 // and its length
}

var (
	errGzipHeader  = errors.New("invalid gzip header")
	errGzipTrailer = errors.New("checksum or length of the gzip member is wrong")
)

// gunzip fills pieces with 32 KiB of what came before, as far as distances may reach back, and what follows it.
func gunzip(src io.Reader, out *pieces) error {
	z := gzipReader{inflater: newInflater(src)}
	if err := z.header(); err != nil {
		return err
	}
	var window []byte // the end of the piece before
	for {
		p := out.get()
		if p == nil {
			return nil
		}
		if p.buf == nil {
			p.buf = make([]byte, gzipWindow+readChunk+inflateRoom)
		}
		start := copy(p.buf, window)
		n, err := z.members(p.buf, start)
		p.data = p.buf[start:n]
		window = p.buf[max(0, n-gzipWindow):n]
		out.put(p)
		if err != nil {
			return err
		}
	}
}

// members decompresses into buf from n on until little room is left. It ends with io.EOF behind the last member.
func (z *gzipReader) members(buf []byte, n int) (int, error) {
	base := 0
	if z.size < uint64(n) { // what is before is another member's
		base = n - int(z.size)
	}
	for {
		end, err := z.inflate(buf, base, n)
		z.sum = crc32.Update(z.sum, crc32.IEEETable, buf[n:end])
		z.size += uint64(end - n)
		n = end
		if err != io.EOF {
			return n, err
		}
		if err := z.trailer(); err != nil {
			return n, err
		}
		if err := z.more(1); err != nil {
			return n, err
		}
		if z.pos >= z.end {
			return n, io.EOF
		}
		if err := z.header(); err != nil {
			return n, err
		}
		base = n
	}
}

// header reads the header of a member (RFC 1952, 2.3).
func (z *gzipReader) header() error {
	const (
		withCRC     = 1 << 1
		withExtra   = 1 << 2
		withName    = 1 << 3
		withComment = 1 << 4
		reserved    = 0xe0
	)
	var h [10]byte
	sum := uint32(0)
	read := func(b []byte) (err error) {
		for i := range b {
			if b[i], err = z.readByte(); err != nil {
				return err
			}
		}
		sum = crc32.Update(sum, crc32.IEEETable, b)
		return nil
	}
	if err := read(h[:]); err != nil {
		return err
	}
	flags := h[3]
	if h[0] != 0x1f || h[1] != 0x8b || h[2] != 8 || flags&reserved != 0 {
		return errGzipHeader
	}
	if flags&withExtra != 0 {
		if err := read(h[:2]); err != nil {
			return err
		}
		for n := binary.LittleEndian.Uint16(h[:]); n > 0; n-- {
			if err := read(h[:1]); err != nil {
				return err
			}
		}
	}
	for _, text := range []byte{withName, withComment} {
		if flags&text == 0 {
			continue
		}
		for h[0] = 1; h[0] != 0; {
			if err := read(h[:1]); err != nil {
				return err
			}
		}
	}
	if flags&withCRC != 0 {
		want := uint16(sum)
		if err := read(h[:2]); err != nil {
			return err
		}
		if binary.LittleEndian.Uint16(h[:]) != want {
			return errGzipHeader
		}
	}
	z.sum, z.size = 0, 0
	z.reset()
	return nil
}

func (z *gzipReader) trailer() error {
	var t [8]byte
	for i := range t {
		var err error
		if t[i], err = z.readByte(); err != nil {
			return err
		}
	}
	if binary.LittleEndian.Uint32(t[:]) != z.sum || binary.LittleEndian.Uint32(t[4:]) != uint32(z.size) {
		return errGzipTrailer
	}
	return nil
}
