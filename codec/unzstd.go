package codec

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
)

const (
	// zstdMaxWindow is the largest window that the zstd command and PostgreSQL accept unless told otherwise.
	zstdMaxWindow = 128 << 20
	// zstdSmall is the largest content of a frame that is decompressed as a whole.
	zstdSmall = zstdBlock
	// zstdSmallInput is the most that such a frame can take: blocks of no content could go on for ever.
	zstdSmallInput = 2 * zstdSmall
	// zstdSlack is what the package wants beyond the content, in bytes.
	zstdSlack = 64
	// zstdHeader is the length of the longest frame header (RFC 8878, 3.1.1.1), with the magic number.
	zstdHeader = 18
	zstdMagic  = 0xfd2fb528
	// Frames to skip have this magic number, but for the last 4 bits.
	zstdSkip = 0x184d2a50
)

var (
	errZstdFrame = errors.New("invalid zstd frame")
	errZstdLarge = errors.New("zstd frame is much larger than its content")
)

// unzstd cuts the input into frames by the lengths of their blocks. Frames that say that their content is small, as a Writer makes them, are
// decompressed by workers, several at a time; others one after the other, in pieces.
func unzstd(src io.Reader, out *pieces) error {
	u := &unzstder{br: bufio.NewReaderSize(src, readCompress), out: out}
	defer u.close()
	for {
		if _, err := u.br.Peek(1); err != nil {
			return err
		}
		if more, err := u.frame(); !more || err != nil {
			return err
		}
	}
}

type unzstder struct {
	br      *bufio.Reader
	out     *pieces
	large   *zstd.Decoder // for frames in pieces
	small   *zstd.Decoder // of the workers
	todo    chan *piece   // for them; nil before there are any
	workers sync.WaitGroup
}

func (u *unzstder) close() {
	if u.large != nil {
		u.large.Close()
	}
	if u.todo != nil {
		close(u.todo)
		u.workers.Wait()
		u.small.Close()
	}
}

// frame passes one frame on; more is false when the reader wants nothing more.
func (u *unzstder) frame() (more bool, err error) {
	b, err := u.br.Peek(zstdHeader)
	if len(b) < 5 {
		return false, unexpected(err)
	}
	if binary.LittleEndian.Uint32(b)&^0xf == zstdSkip {
		return true, u.skip()
	}
	h, err := parseZstdHeader(b)
	if err != nil {
		return false, err
	}
	f := frame{br: u.br, left: h.length, checksum: h.checksum}
	if h.known && h.content <= zstdSmall {
		return u.whole(&f, int(h.content))
	}
	return u.inPieces(&f)
}

// zstdFrameHeader is what the header of a frame says.
type zstdFrameHeader struct {
	length   int    // of the header, bytes
	content  uint64 // of the frame, bytes
	known    bool   // it tells content
	checksum int    // bytes behind the last block
}

// parseZstdHeader reads the header of a frame (RFC 8878, 3.1.1.1) that b begins with.
func parseZstdHeader(b []byte) (zstdFrameHeader, error) {
	if len(b) < 5 {
		return zstdFrameHeader{}, io.ErrUnexpectedEOF
	}
	if binary.LittleEndian.Uint32(b) != zstdMagic {
		return zstdFrameHeader{}, fmt.Errorf("%w: wrong magic number", errZstdFrame)
	}
	d := b[4]
	single, checksum := int(d>>5&1), int(d>>2&1)
	at := 5 + 1 - single + [...]int{0, 1, 2, 4}[d&3]
	n := [...]int{single, 2, 4, 8}[d>>6]
	if len(b) < at+n {
		return zstdFrameHeader{}, io.ErrUnexpectedEOF
	}
	h := zstdFrameHeader{length: at + n, known: n > 0, checksum: checksum * zstdChecksum}
	switch c := b[at:]; n {
	case 1:
		h.content = uint64(c[0])
	case 2:
		h.content = uint64(binary.LittleEndian.Uint16(c)) + 256
	case 4:
		h.content = uint64(binary.LittleEndian.Uint32(c))
	case 8:
		h.content = binary.LittleEndian.Uint64(c)
	}
	return h, nil
}

func (u *unzstder) skip() error {
	var h [8]byte
	if _, err := io.ReadFull(u.br, h[:]); err != nil {
		return unexpected(err)
	}
	n := int64(binary.LittleEndian.Uint32(h[4:]))
	if _, err := io.CopyN(io.Discard, u.br, n); err != nil {
		return unexpected(err)
	}
	return nil
}

// whole has a worker decompress a frame.
func (u *unzstder) whole(f *frame, content int) (more bool, err error) {
	p := u.out.get()
	if p == nil {
		return false, nil
	}
	p.in = p.in[:0]
	for {
		if len(p.in) == cap(p.in) {
			if cap(p.in) >= zstdSmallInput {
				return false, errZstdLarge
			}
			p.in = append(make([]byte, 0, inputSize(cap(p.in), content)), p.in...)
		}
		n, err := f.Read(p.in[len(p.in):cap(p.in)])
		p.in = p.in[:len(p.in)+n]
		if err == io.EOF {
			break
		}
		if err != nil {
			return false, err
		}
	}
	if n := max(content, readChunk) + zstdSlack; cap(p.buf) < n {
		p.buf = make([]byte, n)
	}
	if u.todo == nil {
		u.small, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(readWorkers()), zstd.WithDecoderMaxWindow(zstdMaxWindow), zstd.WithDecoderMaxMemory(zstdSmall))
		if err != nil {
			return false, err
		}
		u.todo = make(chan *piece, cap(u.out.free))
		for range readWorkers() {
			u.workers.Go(func() {
				for p := range u.todo {
					p.data, p.err = u.small.DecodeAll(p.in, p.buf[:0])
					p.done <- struct{}{}
				}
			})
		}
	}
	u.out.promise(p)
	u.todo <- p // there are no more pieces than it holds
	return true, nil
}

// inputSize is how much memory the compressed form of a frame gets when it does not fit into have: twice as much, but not much more than the content
// before that turns out to be too little.
func inputSize(have, content int) int {
	n := max(64<<10, 2*have)
	if incompressible := content + 4<<10; have < incompressible {
		n = min(n, incompressible)
	}
	return min(n, zstdSmallInput)
}

// inPieces decompresses a frame of any size.
func (u *unzstder) inPieces(f *frame) (more bool, err error) {
	if u.large == nil {
		u.large, err = zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(zstdMaxWindow))
	} else {
		err = u.large.Reset(f)
	}
	if err != nil {
		return false, err
	}
	if err := u.out.fill(u.large); err != io.EOF {
		return false, err
	}
	return true, nil
}

// frame reads the bytes of one frame.
type frame struct {
	br       *bufio.Reader
	left     int // bytes to come of the header, of a block, or of the checksum
	checksum int // bytes behind the last block
	last     bool
}

func (f *frame) Read(b []byte) (int, error) {
	if f.left == 0 {
		switch {
		case !f.last:
			h, err := f.br.Peek(3)
			if err != nil {
				return 0, unexpected(err)
			}
			n := int(h[0]) | int(h[1])<<8 | int(h[2])<<16
			f.last = n&1 != 0
			switch n >> 1 & 3 {
			case 1: // one byte, repeated
				f.left = 3 + 1
			case 3:
				return 0, fmt.Errorf("%w: unknown type of block", errZstdFrame)
			default:
				f.left = 3 + n>>3
			}
		case f.checksum > 0:
			f.left, f.checksum = f.checksum, 0
		default:
			return 0, io.EOF
		}
	}
	n, err := f.br.Read(b[:min(len(b), f.left)])
	f.left -= n
	return n, unexpected(err)
}

// unexpected is for where more must follow.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
