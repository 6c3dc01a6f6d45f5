package codec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sort"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// ErrNotSeekable says that a file has no seek table, or none that can be used: it is to be read from its beginning.
var ErrNotSeekable = errors.New("there is no seek table that can be used")

const (
	// seekMaxContent and seekMaxInput bound the frames that are read at random. A Writer's have up to 8 MiB of content.
	seekMaxContent = 16 << 20
	seekMaxInput   = 2 * seekMaxContent
	// seekMaxEmpty bounds the frames without content, which are all looked at.
	seekMaxEmpty = 1000
	// seekGroup is how many entries of a table are looked at together.
	seekGroup = 1024
)

// Seekable gives random access to what a file of zstd frames decompresses to, by the seek table at its end, which a Writer's output has if Boundary
// was called. Only those frames are read and decompressed that hold what is asked for.
//
// The table has to add up to the file's size, and each frame that is read to what the table says of it; the frame's checksum is checked. That frames which
// are not read are as long as the table says is taken for true. It holds one frame, compressed and not: 4 MiB for what a Writer makes,
// 48 MiB for what others may; of the table it keeps 16 bytes for 1024 frames and reads the rest again.
//
// It needs no closing. Several goroutines may use it, one is served at a time.
type Seekable struct {
	r      io.ReaderAt
	table  int64 // where the entries begin in the file
	frames int64
	entry  int64 // size of an entry
	size   int64 // of the content
	groups []seekPoint

	mu    sync.Mutex
	z     *zstd.Decoder // nil before the first frame
	list  []byte        // entries of one group
	in    []byte        // memory for compressed frames
	out   []byte        // memory for content
	at    int64         // of data in the content
	data  []byte        // content of one frame
	group int           // that list is of; -1 = none
}

// seekPoint is where a frame begins.
type seekPoint struct{ file, content int64 }

// OpenSeekable reads the seek table of a file of size bytes. The error wraps ErrNotSeekable if there is none, or if it does not fit the file: NewReader
// reads the file then. Errors of r are passed on as they are.
func OpenSeekable(r io.ReaderAt, size int64) (*Seekable, error) {
	s := &Seekable{r: r, group: -1}
	frame, err := s.readFooter(size)
	if err != nil {
		return nil, err
	}
	if err := s.readTable(frame); err != nil {
		return nil, err
	}
	return s, nil
}

func notSeekable(format string, args ...any) error {
	return fmt.Errorf("zstd: %w: %s", ErrNotSeekable, fmt.Sprintf(format, args...))
}

// readFooter finds the frame that holds the table, and returns where it begins.
func (s *Seekable) readFooter(size int64) (int64, error) {
	if size < seekHeaderSize+seekFooterSize {
		return 0, notSeekable("the file is too short for one")
	}
	le := binary.LittleEndian
	var b [seekFooterSize]byte
	if err := readFullAt(s.r, b[:], size-seekFooterSize); err != nil {
		return 0, err
	}
	if le.Uint32(b[5:]) != seekFooterMagic {
		return 0, notSeekable("the file does not end in one")
	}
	s.frames, s.entry = int64(le.Uint32(b[:])), seekEntrySize
	switch {
	case b[4]&seekReserved != 0:
		return 0, notSeekable("it is of an unknown kind")
	case s.frames > seekMaxFrames:
		return 0, notSeekable("it says that it has %d frames", s.frames)
	case b[4]&seekSummed != 0:
		s.entry += 4
	}
	length := s.frames*s.entry + seekFooterSize
	at := size - length - seekHeaderSize
	if at < 0 {
		return 0, notSeekable("it says that it is longer than the file")
	}
	if err := readFullAt(s.r, b[:seekHeaderSize], at); err != nil {
		return 0, err
	}
	if le.Uint32(b[:]) != seekMagic || int64(le.Uint32(b[4:])) != length {
		return 0, notSeekable("it does not begin where it should")
	}
	s.table = at + seekHeaderSize
	return at, nil
}

// readTable adds the entries up: the frames must reach from the beginning of the file to the table.
func (s *Seekable) readTable(end int64) error {
	var p seekPoint
	empty := 0
	for i := int64(0); i < s.frames; i += seekGroup {
		s.groups = append(s.groups, p)
		if err := s.readGroup(len(s.groups) - 1); err != nil {
			return err
		}
		for b := s.list; len(b) > 0; b = b[s.entry:] {
			compressed, content := seekEntry(b)
			switch {
			case compressed == 0 || content > 0 && compressed > seekMaxInput || content > seekMaxContent:
				return notSeekable("a frame of %d bytes has %d bytes in it", compressed, content)
			case compressed > end-p.file:
				return notSeekable("the frames do not add up to the file")
			case content == 0:
				if empty++; empty > seekMaxEmpty {
					return notSeekable("too many frames have nothing in them")
				}
				if err := s.checkEmpty(p, compressed); err != nil {
					return err
				}
			}
			p.file += compressed
			p.content += content
		}
	}
	if p.file != end { // there is something that no entry is for
		return notSeekable("the frames do not add up to the file")
	}
	s.size = p.content
	return nil
}

// checkEmpty sees that a frame is one to skip, or has no content: nobody looks at it later.
func (s *Seekable) checkEmpty(p seekPoint, compressed int64) error {
	var h [seekHeaderSize]byte
	if compressed >= seekHeaderSize {
		if err := readFullAt(s.r, h[:], p.file); err != nil {
			return err
		}
	}
	le := binary.LittleEndian
	if le.Uint32(h[:])&^0xf == zstdSkip && int64(le.Uint32(h[4:])) == compressed-seekHeaderSize {
		return nil
	}
	err := s.decompress(p, compressed, 0)
	if errors.Is(err, errSeekFrame) {
		return notSeekable("%v", err)
	}
	return err
}

// readGroup reads the entries of a group.
func (s *Seekable) readGroup(group int) error {
	if s.group == group {
		return nil
	}
	s.group = -1
	first := int64(group) * seekGroup
	n := min(s.frames-first, seekGroup) * s.entry
	if s.list == nil {
		s.list = make([]byte, n) // that of the first group: no other is longer
	}
	s.list = s.list[:n]
	if err := readFullAt(s.r, s.list, s.table+first*s.entry); err != nil {
		return err
	}
	s.group = group
	return nil
}

func seekEntry(b []byte) (compressed, content int64) {
	return int64(binary.LittleEndian.Uint32(b)), int64(binary.LittleEndian.Uint32(b[4:]))
}

// Size is the size of the content in bytes, as the table says.
func (s *Seekable) Size() int64 { return s.size }

// ReadAt implements io.ReaderAt for the content. Errors of the underlying reader are passed on as they are.
func (s *Seekable) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, errors.New("zstd: read before the beginning")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for n < len(p) {
		at := off + int64(n)
		if at >= s.size {
			return n, io.EOF
		}
		if at < s.at || at >= s.at+int64(len(s.data)) {
			if err := s.load(at); err != nil {
				return n, err
			}
		}
		n += copy(p[n:], s.data[at-s.at:])
	}
	return n, nil
}

// load decompresses the frame that holds the byte at off.
func (s *Seekable) load(off int64) error {
	s.data = nil
	group := sort.Search(len(s.groups), func(i int) bool { return s.groups[i].content > off }) - 1
	if err := s.readGroup(group); err != nil {
		return err
	}
	p := s.groups[group]
	for b := s.list; len(b) > 0; b = b[s.entry:] {
		compressed, content := seekEntry(b)
		if off < p.content+content {
			return s.decompress(p, compressed, content)
		}
		p.file += compressed
		p.content += content
	}
	return corruptFrame(p.file, "the seek table has changed")
}

// decompress reads one frame and holds it against its entry.
func (s *Seekable) decompress(p seekPoint, compressed, content int64) error {
	if compressed > seekMaxInput || content > seekMaxContent { // an empty frame, or a table that has changed since it was checked
		return corruptFrame(p.file, "the seek table has another size for it")
	}
	if int64(cap(s.in)) < compressed {
		s.in = make([]byte, compressed)
	}
	s.in = s.in[:compressed]
	if err := readFullAt(s.r, s.in, p.file); err != nil {
		return err
	}
	h, err := parseZstdHeader(s.in)
	if err != nil {
		return corruptFrame(p.file, err.Error())
	}
	if h.known && h.content != uint64(content) {
		return corruptFrame(p.file, fmt.Sprintf("it says that it has %d bytes in it, and the seek table that it has %d", h.content, content))
	}
	if s.z == nil {
		s.z, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(zstdMaxWindow), zstd.WithDecoderMaxMemory(seekMaxContent))
		if err != nil {
			return err
		}
	}
	if n := int(content) + zstdSlack; cap(s.out) < n {
		s.out = make([]byte, n)
	}
	data, err := s.z.DecodeAll(s.in, s.out[:0])
	if err == nil && int64(len(data)) != content {
		err = fmt.Errorf("it has %d bytes in it, and the seek table says %d", len(data), content)
	}
	if err != nil {
		return corruptFrame(p.file, err.Error())
	}
	s.at, s.data = p.content, data
	return nil
}

var errSeekFrame = errors.New("corrupt compressed data in the frame")

func corruptFrame(at int64, why string) error {
	return fmt.Errorf("zstd: %w at byte %d: %s", errSeekFrame, at, why)
}

// readFullAt reads what must be there.
func readFullAt(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || err == io.EOF {
		return fmt.Errorf("zstd: the compressed data ends too early, after %d bytes: %w", off+int64(n), io.ErrUnexpectedEOF)
	}
	return err
}
