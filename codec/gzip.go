package codec

import (
	"bufio"
	"encoding/binary"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
)

const (
	gzipWindow = 32 << 10
	// gzipBlock is a multiple of what the flate package compresses at a time, so that no block ends in a scrap.
	gzipBlock = 4 * 65535
)

// flateLevels are the levels of the flate package by the levels of zlib.
var flateLevels = [...]int{1: 1, 2: 2, 3: 2, 4: 3, 5: 5, 6: 5, 7: 7, 8: 7, 9: 8}

// gzipFormat writes one member (RFC 1952). Blocks are joined at byte boundaries by empty stored blocks, as zlib's Z_SYNC_FLUSH does.
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

// gzipReader reads one member after the other. The gzip package could do so by itself, but takes an input that ends inside the
// header of a further member for complete.
type gzipReader struct {
	br *bufio.Reader
	z  *gzip.Reader
}

func openGzip(br *bufio.Reader) (io.ReadCloser, error) {
	z := &gzipReader{br: br, z: new(gzip.Reader)}
	return z, z.member()
}

// member begins the next member, which must be there.
func (z *gzipReader) member() error {
	err := z.z.Reset(z.br)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	z.z.Multistream(false)
	return err
}

func (z *gzipReader) Read(p []byte) (int, error) {
	for {
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

func (z *gzipReader) Close() error { return z.z.Close() }
