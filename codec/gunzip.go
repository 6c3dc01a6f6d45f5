package codec

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
)

// gzipWindow is how far distances reach back.
const gzipWindow = 32 << 10

// gzipReader reads one member after the other.
type gzipReader struct {
	*inflater
	sum  uint32 // CRC of the member's content so far
	size uint64 // and its length

	section int  // the largest content of the sections that the rest of the member is in, by what it says; 0 if it is in none
	plain   bool // sections are read like all else
}

var (
	errGzipHeader  = errors.New("invalid gzip header")
	errGzipTrailer = errors.New("checksum or length of the gzip member is wrong")
)

// gunzip has workers decompress what is in sections. Otherwise it fills pieces with 32 KiB of what came before, as far as distances may
// reach back, and what follows it.
func gunzip(src io.Reader, out *pieces) error {
	z := &gzipReader{inflater: newInflater(src), plain: readWorkers() == 1}
	if err := z.header(); err != nil {
		return err
	}
	s := sectionReader{z: z, out: out}
	defer s.close()
	var window []byte // what was last passed on: in the piece before, or the sections'
	for {
		if z.section > 0 {
			more, err := s.read()
			if err == io.EOF {
				err = z.next()
			}
			if !more || err != nil {
				return err
			}
			window = s.window
			continue
		}
		p := out.get()
		if p == nil {
			return nil
		}
		const size = gzipWindow + readChunk + inflateRoom
		if cap(p.buf) < size {
			p.buf = make([]byte, size)
		}
		buf := p.buf[:size]
		start := copy(buf, window)
		n, err := z.members(buf, start)
		p.data = buf[start:n]
		window = buf[max(0, n-gzipWindow):n]
		out.put(p)
		if err != nil {
			return err
		}
	}
}

// members decompresses into buf from n on until little room is left, or a member in sections comes. It ends with io.EOF behind the last
// member.
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
		if err := z.next(); err != nil || z.section > 0 {
			return n, err
		}
		base = n
	}
}

// next goes from the end of a member to the content of the next one. If there is none, that is io.EOF.
func (z *gzipReader) next() error {
	if err := z.trailer(); err != nil {
		return err
	}
	if err := z.more(1); err != nil {
		return err
	}
	if z.pos >= z.end {
		return io.EOF
	}
	return z.header()
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
	z.section = 0
	if flags&withExtra != 0 {
		if err := read(h[:2]); err != nil {
			return err
		}
		n := int(binary.LittleEndian.Uint16(h[:]))
		if n == sectionMarkSize {
			if err := read(h[:n]); err != nil {
				return err
			}
			if !z.plain {
				z.section = markedContent(h[:n])
			}
			n = 0
		}
		for ; n > 0; n-- {
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
