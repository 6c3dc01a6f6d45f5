package journal

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
)

// Reader reads a journal's records from its beginning.
type Reader struct {
	in   *bufio.Reader
	path string
	kind string // what is still to be read of the first line
	end  int64
	buf  []byte
	err  error
}

// NewReader makes a Reader of the journal that r holds, which must be of kind.
// Errors name it path.
func NewReader(r io.Reader, path, kind string) *Reader {
	return &Reader{in: bufio.NewReaderSize(r, 64<<10), path: path, kind: firstLine(kind)}
}

func firstLine(kind string) string { return "pgbasin journal: " + kind + "\n" }

// Next returns the next record, which is valid until the following call, and io.EOF
// at the end. Errors stay; that of a journal with damage is a *DamagedError.
func (r *Reader) Next() ([]byte, error) {
	if r.err != nil {
		return nil, r.err
	}
	if r.kind != "" {
		if r.err = r.first(); r.err != nil {
			return nil, r.err
		}
	}
	record, err := r.frame()
	r.err = err
	return record, err
}

// End is where the last record that Next returned ends: to append to the journal,
// it is cut there.
func (r *Reader) End() int64 { return r.end }

func (r *Reader) first() error {
	line := make([]byte, len(r.kind))
	n, err := io.ReadFull(r.in, line)
	short := err == io.EOF || err == io.ErrUnexpectedEOF
	switch {
	case err != nil && !short:
		return r.failed(err)
	case !short && string(line) == r.kind:
		r.kind, r.end = "", int64(n)
		return nil
	case short && string(line[:n]) == r.kind[:n]:
		return io.EOF
	}
	written := bytes.TrimRight(line[:n], "\x00")
	if string(written) != r.kind[:len(written)] {
		return r.damaged()
	}
	return r.tail(line[:n])
}

func (r *Reader) frame() ([]byte, error) {
	r.buf = append(r.buf[:0], make([]byte, headerSize)...)
	n, err := io.ReadFull(r.in, r.buf)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return nil, io.EOF // n bytes of a header at the most
	}
	if err != nil {
		return nil, r.failed(err)
	}
	length := binary.LittleEndian.Uint32(r.buf)
	if binary.LittleEndian.Uint32(r.buf[4:]) != crc32.Checksum(r.buf[:4], castagnoli) {
		return nil, r.tail(r.buf)
	}
	if length == 0 || length > MaxRecord+1 {
		return nil, r.damaged()
	}
	sum := binary.LittleEndian.Uint32(r.buf[8:])
	r.buf = append(r.buf[:0], make([]byte, length)...)
	m, err := io.ReadFull(r.in, r.buf)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return nil, io.EOF
	}
	if err != nil {
		return nil, r.failed(err)
	}
	if sum != crc32.Checksum(r.buf, castagnoli) || r.buf[m-1] != terminator {
		return nil, r.tail(r.buf)
	}
	r.end += int64(n + m)
	return r.buf[:m-1], nil
}

// tail is for a part of a frame that is wrong: at the end of a journal, zeroes from
// somewhere in it up to the end of the file are what a crash of the host can leave.
func (r *Reader) tail(part []byte) error {
	if part[len(part)-1] != 0 {
		return r.damaged()
	}
	for {
		c, err := r.in.ReadByte()
		switch {
		case err == io.EOF:
			return io.EOF
		case err != nil:
			return r.failed(err)
		case c != 0:
			return r.damaged()
		}
	}
}

func (r *Reader) damaged() error { return &DamagedError{Path: r.path, Offset: r.end} }

func (r *Reader) failed(err error) error {
	return fmt.Errorf("could not read journal %q: %w", r.path, err)
}
