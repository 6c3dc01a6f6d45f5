package codec

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"
)

// Reader decompresses a stream.
//
// Every Reader must be closed: it decompresses ahead in a goroutine of its own. It is not safe for concurrent use.
// Its memory is bounded whatever the input says, see the package documentation.
type Reader struct {
	name Algorithm
	src  *source
	run  func(io.Reader, *pieces) error
	out  int64  // decompressed bytes passed on
	cur  []byte // the rest of the current piece
	held *piece // the current piece
	err  error

	pieces *pieces // nil before the first Read
}

const (
	readAhead    = 3         // pieces
	readChunk    = 256 << 10 // bytes, decompressed
	readCompress = 128 << 10 // bytes, compressed
)

// NewReader returns a Reader of what r decompresses to with a; with None it passes r through. Streams may follow one another in r (members of gzip,
// frames of LZ4 and Zstandard), and there must be at least one. Nothing is read from r before the first Read; then it is read ahead.
//
// An input that ends too early is an error that wraps io.ErrUnexpectedEOF. It and other errors of the input say which codec and how
// far it got; errors of r are passed on as they are.
func NewReader(r io.Reader, a Algorithm) (*Reader, error) {
	z := &Reader{name: a, src: &source{r: r}}
	switch a {
	case None:
	case Gzip:
		z.run = gunzip
	case LZ4:
		z.run = unlz4
	case Zstd:
		z.run = unzstd
	default:
		return nil, fmt.Errorf("unknown compression algorithm %d", int(a))
	}
	return z, nil
}

func (z *Reader) Read(p []byte) (int, error) {
	if z.run == nil {
		if z.err != nil {
			return 0, z.err
		}
		return z.src.r.Read(p)
	}
	if len(p) == 0 {
		return 0, nil
	}
	for len(z.cur) == 0 {
		if err := z.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, z.cur)
	z.cur = z.cur[n:]
	z.out += int64(n)
	return n, nil
}

// WriteTo passes everything on to w without copying, in the pieces in which it is decompressed.
func (z *Reader) WriteTo(w io.Writer) (n int64, err error) {
	if z.run == nil {
		if z.err != nil {
			return 0, z.err
		}
		return io.Copy(w, z.src.r)
	}
	for {
		for len(z.cur) > 0 {
			m, err := writeAll(w, z.cur)
			z.cur = z.cur[m:]
			z.out += int64(m)
			n += int64(m)
			if err != nil {
				return n, err
			}
		}
		if err := z.next(); err == io.EOF {
			return n, nil
		} else if err != nil {
			return n, err
		}
	}
}

// Close ends the Reader at any point of the stream and releases what it holds; it does not close the underlying reader, but waits for a
// Read of it that is under way. It tells nothing about the input: only io.EOF from Read means that all of it was there and correct.
func (z *Reader) Close() error {
	if z.err != errReaderClosed {
		z.err = errReaderClosed
		if z.pieces != nil {
			z.pieces.abandon()
		}
		z.cur, z.held, z.pieces = nil, nil, nil
	}
	return nil
}

var errReaderClosed = errors.New("read from a closed decompressor")

// next makes the next piece the current one.
func (z *Reader) next() error {
	if z.err != nil {
		return z.err
	}
	if z.pieces == nil {
		z.pieces = newPieces(z.name)
		go z.pieces.run(z.src, z.run)
	}
	if z.held != nil {
		z.pieces.free <- z.held
	}
	z.held = z.pieces.next()
	z.cur = z.held.data
	if err := z.held.err; err != nil {
		z.err = z.describe(err, z.out+int64(len(z.cur)))
		if len(z.cur) == 0 {
			return z.err
		}
	}
	return nil
}

// describe makes an error of the decoder one for the caller. out is the number of decompressed bytes before it.
func (z *Reader) describe(err error, out int64) error {
	switch srcErr := z.src.failure(); {
	case srcErr != nil:
		return srcErr
	case err == io.EOF:
		return err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%s: the compressed data ends too early, after %d bytes: %w", z.name, z.src.n.Load(), io.ErrUnexpectedEOF)
	}
	return fmt.Errorf("%s: corrupt compressed data after %d decompressed bytes: %w", z.name, out, err)
}

// source counts what is read from the underlying reader and remembers its error.
type source struct {
	r   io.Reader
	n   atomic.Int64
	err atomic.Pointer[error]
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.n.Add(int64(n))
	if err != nil && err != io.EOF {
		s.err.Store(&err)
	}
	return n, err
}

func (s *source) failure() error {
	if err := s.err.Load(); err != nil {
		return *err
	}
	return nil
}
