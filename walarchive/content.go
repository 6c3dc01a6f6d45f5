package walarchive

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/wal"
)

// maxSmall bounds what is read of a file that is not a segment: histories have a
// line for each timeline.
const maxSmall = 16 << 20

// errBlank is a partial segment that nothing was written to yet.
var errBlank = fmt.Errorf("nothing was written to the segment yet: %w", fs.ErrNotExist)

// raw is what a stored file decompresses to, unchecked.
type raw struct {
	f    *os.File
	info fs.FileInfo
	z    *codec.Reader // nil for a plain file
}

func (a *Archive) raw(s stored) (*raw, error) {
	f, info, err := a.open(s)
	if err != nil {
		return nil, err
	}
	r := &raw{f: f, info: info}
	if s.algorithm != codec.None {
		if r.z, err = codec.NewReader(f, s.algorithm); err != nil {
			f.Close()
			return nil, err
		}
	}
	return r, nil
}

func (r *raw) Read(p []byte) (int, error) {
	var n int
	var err error
	if r.z == nil {
		n, err = r.f.Read(p)
	} else {
		n, err = r.z.Read(p)
	}
	if err == nil || err == io.EOF {
		return n, err
	}
	var failed *fs.PathError
	if r.z == nil || errors.As(err, &failed) {
		return n, fmt.Errorf("could not read file %q: %w", r.f.Name(), reason(err))
	}
	return n, &CorruptError{Path: r.f.Name(), Reason: "it cannot be decompressed", Err: err}
}

func (r *raw) Close() error {
	var err error
	if r.z != nil {
		err = r.z.Close()
	}
	return errors.Join(err, r.f.Close())
}

// content is a stored file with its header held against its name. It is a
// reader of exactly the bytes that the server had: a whole segment which is too
// short or too long, or cannot be decompressed, ends in a *CorruptError, a
// partial one where what can be had of it ends.
type content struct {
	*raw
	stored
	header header // of segments

	head []byte // what was read of a compressed segment to see the header
	n    int64  // how far Read is
}

func (a *Archive) content(s stored) (*content, error) {
	r, err := a.raw(s)
	if err != nil {
		return nil, err
	}
	c := &content{raw: r, stored: s}
	if err := c.begin(); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// begin reads the header of a segment.
func (c *content) begin() error {
	if c.kind != segment && c.kind != partialSegment {
		return nil
	}
	head := make([]byte, headerSize)
	n, err := io.ReadFull(c.raw, head)
	switch {
	case n < len(head) && c.partial() && !ioFailed(err):
		return errBlank
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		return c.wrongSize(int64(n), 0)
	case err != nil:
		return err
	case c.partial() && blank(head):
		return errBlank
	}
	c.header = readHeader(head)
	if why := c.header.check(c.walName); why != "" {
		return c.corrupt(why)
	}
	if c.z != nil {
		c.head = head
		return nil
	}
	size := c.info.Size()
	if size > c.header.segmentSize || size < c.header.segmentSize && !c.partial() {
		return c.wrongSize(size, c.header.segmentSize)
	}
	if _, err := c.f.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("could not seek in file %q: %w", c.f.Name(), reason(err))
	}
	return nil
}

// ioFailed tells whether err is neither the end nor damage of a stream.
func ioFailed(err error) bool {
	var corrupt *CorruptError
	return err != nil && err != io.EOF && err != io.ErrUnexpectedEOF && !errors.As(err, &corrupt)
}

func (c *content) corrupt(why string) error { return &CorruptError{Path: c.f.Name(), Reason: why} }

func (c *content) wrongSize(size, want int64) error {
	e := &CorruptError{Path: c.f.Name(), Reason: fmt.Sprintf("it has %d bytes", size)}
	if want > 0 {
		e.Reason += fmt.Sprintf(", should have %d", want)
	}
	e.Short = c.z == nil && (want == 0 || size < want)
	return e
}

// limit is the largest number of bytes that the file may have.
func (c *content) limit() int64 {
	if c.kind == segment || c.kind == partialSegment {
		return c.header.segmentSize
	}
	return maxSmall
}

func (c *content) Read(p []byte) (n int, err error) {
	if len(c.head) > 0 {
		n = copy(p, c.head)
		c.head = c.head[n:]
		c.n += int64(n)
		return n, nil
	}
	n, err = c.raw.Read(p)
	c.n += int64(n)
	if over := c.n - c.limit(); over > 0 {
		return max(0, n-int(over)), c.corrupt(fmt.Sprintf("it has more than %d bytes", c.limit()))
	}
	switch {
	case err == nil || ioFailed(err):
	case c.partial():
		err = io.EOF
	case err == io.EOF && c.kind == segment && c.n < c.limit():
		err = c.wrongSize(c.n, c.limit())
	}
	return n, err
}

// find opens the best there is for a name: a whole file, or else, for a segment,
// a partial one. The error wraps fs.ErrNotExist when there is nothing.
func (a *Archive) find(n walName) (*content, error) {
	c, err := a.first(n)
	if n.kind == segment && errors.Is(err, fs.ErrNotExist) {
		c, err = a.fullest(walName{partialSegment, n.base})
		if errors.Is(err, fs.ErrNotExist) {
			// It may have become whole between the two looks.
			c, err = a.first(n)
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, a.missing(n)
	}
	return c, err
}

// first opens the first candidate that is there and good.
func (a *Archive) first(n walName) (*content, error) {
	if n.kind == partialSegment {
		return a.fullest(n)
	}
	var failed error = fs.ErrNotExist
	for _, s := range candidates(n) {
		c, err := a.content(s)
		if err == nil {
			return c, nil
		}
		if errors.Is(failed, fs.ErrNotExist) {
			failed = err
		}
	}
	return nil, failed
}

// fullest opens the partial segment that has most in it.
func (a *Archive) fullest(n walName) (*content, error) {
	var found []stored
	var failed error = fs.ErrNotExist
	for _, s := range candidates(n) {
		c, err := a.content(s)
		if err == nil {
			found = append(found, s)
			err = c.Close()
		}
		if err != nil && errors.Is(failed, fs.ErrNotExist) {
			failed = err
		}
	}
	switch len(found) {
	case 0:
		return nil, failed
	case 1:
		return a.content(found[0])
	}
	var best stored
	most := int64(-1)
	for _, s := range found {
		have, err := a.extent(s)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if err == nil && have > most {
			best, most = s, have
		}
	}
	return a.content(best)
}

// extent is where the zeroes begin that end a segment.
func (a *Archive) extent(s stored) (end int64, err error) {
	c, err := a.content(s)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	buf := make([]byte, copySize)
	for at := int64(0); ; {
		n, err := c.Read(buf)
		for i := n - 1; i >= 0; i-- {
			if buf[i] != 0 {
				end = at + int64(i) + 1
				break
			}
		}
		at += int64(n)
		if err == io.EOF {
			return end, nil
		}
		if err != nil {
			return 0, err
		}
	}
}

// OpenSegment opens a segment for reading, decompressed, a partial one if there is
// no whole one; it ends where what was stored ends. The error wraps
// fs.ErrNotExist when there is neither. It makes an Archive a wal.Source.
//
// Reads fail with a *CorruptError where a whole segment is damaged or has a
// wrong size. Of plain ones it is an io.Seeker, of all a wal.PartialSegment.
func (a *Archive) OpenSegment(tli uint32, segno uint64) (io.ReadCloser, error) {
	size, err := a.SegmentSize()
	if err != nil {
		return nil, err
	}
	c, err := a.find(walName{segment, wal.SegmentName(tli, segno, size)})
	if err != nil {
		return nil, err
	}
	if c.z == nil {
		return plainSegment{c}, nil
	}
	return c, nil
}

var (
	_ wal.Source         = (*Archive)(nil)
	_ wal.SegmentSizer   = (*Archive)(nil)
	_ wal.PartialSegment = (*content)(nil)
	_ io.Seeker          = plainSegment{}
)

// Partial implements wal.PartialSegment.
func (c *content) Partial() bool { return c.partial() }

// plainSegment is a segment that can be read from anywhere.
type plainSegment struct{ *content }

func (s plainSegment) Seek(offset int64, whence int) (int64, error) {
	at, err := s.f.Seek(offset, whence)
	if err != nil {
		return at, fmt.Errorf("could not seek in file %q: %w", s.f.Name(), reason(err))
	}
	s.n = at
	return at, nil
}

// ReadFile returns the content of a history file or a backup history file,
// decompressed. The error wraps fs.ErrNotExist when there is none, or is a
// *NameError for other names.
func (a *Archive) ReadFile(name string) ([]byte, error) {
	n, ok := parseName(name)
	if !ok || n.kind == segment || n.kind == partialSegment {
		return nil, &NameError{name}
	}
	c, err := a.find(n)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(c)
	return content, errors.Join(err, c.Close())
}

// ReadHistory returns the ancestors of a timeline, oldest first. Timeline 1 has
// none, and no file that says so. The error wraps fs.ErrNotExist when the archive
// does not have the history.
func (a *Archive) ReadHistory(tli uint32) ([]wal.Ancestor, error) {
	name := wal.HistoryName(tli)
	content, err := a.ReadFile(name)
	if tli == 1 && errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	ancestors, err := wal.ParseHistory(content)
	if err == nil && len(ancestors) > 0 && ancestors[len(ancestors)-1].Timeline >= tli {
		err = fmt.Errorf("timeline %d cannot come after %d", tli, ancestors[len(ancestors)-1].Timeline)
	}
	if err != nil {
		return nil, fmt.Errorf("timeline history %q in %q: %w", name, a.dir, err)
	}
	return ancestors, nil
}
