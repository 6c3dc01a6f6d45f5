package codec

import (
	"encoding/binary"
	"errors"
	"io"
)

const (
	// inflateRoom is what must be free of the output before symbols are decoded: two literals, the longest match, and what copying in
	// words of 8 bytes writes behind its end.
	inflateRoom = 2 + 258 + 8
	// inflateHeader is more than the bytes that the header of a block can have.
	inflateHeader = 1 << 10
	// bitSlack is how far behind the end of the input the bit buffer may be filled. There are zero bytes, so that the last symbol of a
	// stream is decoded like any other; whether it was there is seen from the position afterwards.
	bitSlack = 16
)

var (
	errInflate = errors.New("invalid deflate data")
	errPartEnd = errors.New("the part ends between two blocks")
)

// inflater decompresses deflate streams (RFC 1951) from memory to memory. Compared with packages whose input are single bytes and whose
// output is a window, it needs about half of the time.
//
// Input and bit buffer serve what surrounds the streams as well: readByte and its like.
type inflater struct {
	r    io.Reader
	err  error  // of r, which is not read after it
	in   []byte // end bytes are there, and bitSlack zeroes if eof
	pos  int    // of the next byte for the bit buffer
	end  int
	eof  bool
	bits uint64
	have uint // bits in it; above them are bits of the bytes from pos on, or nothing

	state  inflateState
	final  bool // the current block is the last one
	part   bool // the input may end between two blocks, at a byte boundary: with errPartEnd
	stored int  // bytes to come of a stored block

	lit     [litTableSize]uint32
	dis     [disTableSize]uint32
	pre     [preTableSize]uint32
	lengths [288 + 32]uint8
}

type inflateState int

const (
	atBlock inflateState = iota // between two blocks
	inStored
	inCodes
	inflated // behind the last block
)

func newInflater(r io.Reader) *inflater {
	return &inflater{r: r, in: make([]byte, readCompress+bitSlack)}
}

// more reads until n bytes from pos on are there, or the input ends.
func (f *inflater) more(n int) error {
	for f.end-f.pos < n && !f.eof {
		if f.end >= len(f.in)-bitSlack {
			// The bit buffer can give back 7 bytes.
			keep := max(0, f.pos-8)
			f.end = copy(f.in, f.in[keep:f.end])
			f.pos -= keep
		}
		m, err := f.read(f.in[f.end : len(f.in)-bitSlack])
		f.end += m
		if err == io.EOF {
			f.eof = true
			clear(f.in[f.end:][:bitSlack])
		} else if err != nil {
			return err
		}
	}
	return nil
}

func (f *inflater) read(p []byte) (n int, err error) {
	if f.err == nil {
		n, f.err = f.r.Read(p)
	}
	return n, f.err
}

// Read reads input as it is, outside of a stream.
func (f *inflater) Read(p []byte) (int, error) {
	if f.pos < f.end {
		n := copy(p, f.in[f.pos:f.end])
		f.pos += n
		return n, nil
	}
	return f.read(p)
}

// readByte reads a byte that must be there, outside of a stream.
func (f *inflater) readByte() (byte, error) {
	if f.pos >= f.end {
		if err := f.more(1); err != nil {
			return 0, err
		}
		if f.pos >= f.end {
			return 0, io.ErrUnexpectedEOF
		}
	}
	f.pos++
	return f.in[f.pos-1], nil
}

// limit is the last position at which the bit buffer may be filled.
func (f *inflater) limit() int {
	if f.eof {
		return f.end + bitSlack - 8
	}
	return f.end - 8
}

// refill makes at least 56 bits available; pos must not be above the limit.
func (f *inflater) refill() {
	f.bits |= binary.LittleEndian.Uint64(f.in[f.pos:]) << (f.have & 63)
	f.pos += int((63 - f.have) >> 3)
	f.have |= 56
}

// take takes up to 16 bits that are in the bit buffer.
func (f *inflater) take(n uint) uint {
	v := uint(f.bits) & (1<<n - 1)
	f.bits >>= n & 63
	f.have -= n
	return v
}

// align drops what is left of the current byte and gives the other ones back.
func (f *inflater) align() error {
	f.pos -= int(f.have >> 3)
	f.bits, f.have = 0, 0
	if f.pos > f.end {
		return io.ErrUnexpectedEOF
	}
	return nil
}

// reset prepares for a stream that begins at the current byte.
func (f *inflater) reset() { f.state, f.final, f.bits, f.have = atBlock, false, 0, 0 }

// inflate decompresses into buf from n on. Distances may reach back to base, and what is there must not be changed. It returns where the
// output ends: when less than inflateRoom is left, or with io.EOF at the end of the stream, after which the input stands behind it.
func (f *inflater) inflate(buf []byte, base, n int) (int, error) {
	for {
		switch f.state {
		case atBlock:
			if f.final {
				f.state = inflated
				if err := f.align(); err != nil {
					return n, err
				}
				return n, io.EOF
			}
			if f.part && f.eof && f.have == 0 && f.pos == f.end {
				return n, errPartEnd
			}
			if err := f.block(); err != nil {
				return n, err
			}
		case inStored:
			if f.stored == 0 {
				f.state = atBlock
				continue
			}
			room := len(buf) - inflateRoom - n
			if room <= 0 {
				return n, nil
			}
			if err := f.more(1); err != nil {
				return n, err
			}
			if f.pos >= f.end {
				return n, io.ErrUnexpectedEOF
			}
			m := copy(buf[n:][:min(room, f.stored)], f.in[f.pos:f.end])
			f.pos += m
			f.stored -= m
			n += m
		case inCodes:
			if n > len(buf)-inflateRoom {
				return n, nil
			}
			if f.pos > f.end-8 && !f.eof {
				if err := f.more(inflateHeader); err != nil {
					return n, err
				}
			}
			var err error
			if f.pos <= f.end-8 {
				n, err = f.codes(buf, base, n, f.end-8, len(buf)-inflateRoom)
			} else {
				n, err = f.lastCodes(buf, base, n)
			}
			if err != nil {
				return n, err
			}
		default:
			return n, io.EOF
		}
	}
}

// block reads the header of a block.
func (f *inflater) block() error {
	if err := f.more(inflateHeader); err != nil {
		return err
	}
	if f.pos > f.limit() {
		return io.ErrUnexpectedEOF
	}
	f.refill()
	f.final = f.take(1) == 1
	switch f.take(2) {
	case 0:
		if err := f.align(); err != nil {
			return err
		}
		if f.end-f.pos < 4 {
			return io.ErrUnexpectedEOF
		}
		size := binary.LittleEndian.Uint16(f.in[f.pos:])
		if size != ^binary.LittleEndian.Uint16(f.in[f.pos+2:]) {
			return errInflate
		}
		f.pos += 4
		f.stored = int(size)
		f.state = inStored
	case 1:
		l := f.lengths[:288]
		for i := range l {
			switch {
			case i < 144, i >= 280:
				l[i] = 8
			case i < 256:
				l[i] = 9
			default:
				l[i] = 7
			}
		}
		buildTable(f.lit[:], litTableBits, l, litSymbols[:])
		l = f.lengths[288:320]
		for i := range l {
			l[i] = 5
		}
		buildTable(f.dis[:], disTableBits, l, disSymbols[:])
		f.state = inCodes
	case 2:
		if err := f.dynamic(); err != nil {
			return err
		}
		f.state = inCodes
	default:
		return f.invalid()
	}
	return nil
}

// invalid is the error for data that makes no sense, or that is not there.
func (f *inflater) invalid() error {
	if f.eof && f.pos-int(f.have>>3) > f.end {
		return io.ErrUnexpectedEOF
	}
	return errInflate
}

var preOrder = [19]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// dynamic reads the codes of a block that brings its own.
func (f *inflater) dynamic() error {
	lits, diss, pres := int(f.take(5))+257, int(f.take(5))+1, int(f.take(4))+4
	if lits > 286 || diss > 30 {
		return f.invalid()
	}
	l := f.lengths[:19]
	clear(l)
	for _, symbol := range preOrder[:pres] {
		if f.have < 3 {
			if f.pos > f.limit() {
				return io.ErrUnexpectedEOF
			}
			f.refill()
		}
		l[symbol] = uint8(f.take(3))
	}
	if !buildTable(f.pre[:], preTableBits, l, preSymbols[:]) {
		return f.invalid()
	}
	l = f.lengths[:lits+diss]
	for i := 0; i < len(l); {
		if f.pos > f.limit() {
			return io.ErrUnexpectedEOF
		}
		f.refill()
		e := f.pre[f.bits&(preTableSize-1)]
		if e&isOther != 0 {
			return f.invalid()
		}
		f.take(uint(e & 0xff))
		symbol := uint8(e >> 16)
		if symbol < 16 {
			l[i] = symbol
			i++
			continue
		}
		var value uint8
		var times int
		switch symbol {
		case 16:
			if i == 0 {
				return f.invalid()
			}
			value, times = l[i-1], 3+int(f.take(2))
		case 17:
			times = 3 + int(f.take(3))
		default:
			times = 11 + int(f.take(7))
		}
		if times > len(l)-i {
			return f.invalid()
		}
		for range times {
			l[i] = value
			i++
		}
	}
	if !buildTable(f.lit[:], litTableBits, l[:lits], litSymbols[:lits]) ||
		!buildTable(f.dis[:], disTableBits, l[lits:], disSymbols[:diss]) {
		return f.invalid()
	}
	return nil
}

// lastCodes decodes one to three symbols close to the end of the input, and drops them if not all of their bits are there.
func (f *inflater) lastCodes(buf []byte, base, n int) (int, error) {
	if f.pos > f.limit() {
		return n, io.ErrUnexpectedEOF
	}
	end, err := f.codes(buf, base, n, f.limit(), n)
	if f.pos-int(f.have>>3) > f.end {
		return n, io.ErrUnexpectedEOF
	}
	return end, err
}

// codes decodes symbols until the block ends, or the input is read beyond limit, or the output beyond room. Before each there are at least
// 56 bits, of which a literal takes up to 15 and a match up to 48.
func (f *inflater) codes(buf []byte, base, n, limit, room int) (int, error) {
	var (
		in        = f.in
		pos       = f.pos
		acc, have = f.bits, f.have
		lit, dis  = &f.lit, &f.dis
		err       error
	)
	for n <= room && pos <= limit {
		acc |= binary.LittleEndian.Uint64(in[pos:]) << (have & 63)
		pos += int((63 - have) >> 3)
		have |= 56

		e := lit[acc&(1<<litTableBits-1)]
		if e&isLiteral != 0 {
			acc >>= e & 63
			have -= uint(e & 0xff)
			buf[n] = byte(e >> 16)
			n++
			e = lit[acc&(1<<litTableBits-1)]
			if e&isLiteral != 0 {
				acc >>= e & 63
				have -= uint(e & 0xff)
				buf[n] = byte(e >> 16)
				n++
				e = lit[acc&(1<<litTableBits-1)]
				if e&isLiteral != 0 {
					acc >>= e & 63
					have -= uint(e & 0xff)
					buf[n] = byte(e >> 16)
					n++
					continue
				}
			}
			if pos > limit {
				continue
			}
			acc |= binary.LittleEndian.Uint64(in[pos:]) << (have & 63)
			pos += int((63 - have) >> 3)
			have |= 56
		}
		if e&isOther != 0 {
			if e&(isEndBlock|isInvalid) == 0 {
				acc >>= e & 63
				have -= uint(e & 0xff)
				e = lit[(uint64(e>>16)+acc&(1<<(e>>8&0xf)-1))%litTableSize]
			}
			switch {
			case e&isLiteral != 0:
				acc >>= e & 63
				have -= uint(e & 0xff)
				buf[n] = byte(e >> 16)
				n++
				continue
			case e&isEndBlock != 0:
				acc >>= e & 63
				have -= uint(e & 0xff)
				f.state = atBlock
			case e&isInvalid != 0:
				err = errInflate
			}
			if e&isOther != 0 {
				break
			}
		}
		length := int(e>>16) + int(acc&(1<<(e&63)-1)>>(e>>8&0xf))
		acc >>= e & 63
		have -= uint(e & 0xff)

		e = dis[acc&(1<<disTableBits-1)]
		if e&isOther != 0 {
			if e&isInvalid == 0 {
				acc >>= e & 63
				have -= uint(e & 0xff)
				e = dis[(uint64(e>>16)+acc&(1<<(e>>8&0xf)-1))%disTableSize]
			}
			if e&isInvalid != 0 {
				err = errInflate
				break
			}
		}
		distance := int(e>>16) + int(acc&(1<<(e&63)-1)>>(e>>8&0xf))
		acc >>= e & 63
		have -= uint(e & 0xff)
		if distance > n-base {
			err = errInflate
			break
		}
		copyMatch(buf, n, distance, length)
		n += length
	}
	f.pos, f.bits, f.have = pos, acc, have
	if err != nil {
		err = f.invalid()
	}
	return n, err
}

// copyMatch repeats length bytes that lie distance before n. It may write 8 bytes more.
func copyMatch(buf []byte, n, distance, length int) {
	switch {
	case distance >= length && length > 16:
		copy(buf[n:n+length], buf[n-distance:])
	case distance >= 8:
		from := n - distance
		for end := n + length; n < end; n += 8 {
			binary.LittleEndian.PutUint64(buf[n:], binary.LittleEndian.Uint64(buf[from:]))
			from += 8
		}
	default:
		// What is copied grows with each step: always whole repetitions.
		from, end := n-distance, n+length
		for n < end {
			n += copy(buf[n:end], buf[from:n])
		}
	}
}
