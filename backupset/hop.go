package backupset

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/pgbasin/pgbasin/tarstream"
)

// hop shows v the members of an uncompressed tar, and the contents of those alone
// that wanted names: it seeks over the others.
//
// The format is read by the standard library, which can skip; that it may see an
// archive differently does no harm, for what is found this way is checked again
// when the archive is read.
func hop(ctx context.Context, a *Archive, v *scan) error {
	f, err := os.Open(a.path)
	if err != nil {
		return fmt.Errorf("could not open file %q: %w", a.path, err)
	}
	defer f.Close()
	r := &hopper{f: f, buf: make([]byte, 0, hopBuffer)}
	t := tar.NewReader(r)
	v.hopping = true
	last := "" // the member whose content is skipped on the way to the next
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		h, err := t.Next()
		if err == io.EOF {
			if r.eof {
				return &ArchiveError{a.path, &tarstream.FormatError{Offset: r.pos, Err: fmt.Errorf("archive has no end-of-archive blocks: %w", io.ErrUnexpectedEOF)}}
			}
			return nil
		}
		if err != nil {
			return r.fail(a, last, err)
		}
		last = h.Name
		m, ok := hopMember(h)
		if !ok {
			continue // reading refuses it
		}
		if err := v.Member(&m); err != nil {
			return err
		}
		if v.manifest && v.offset == 0 {
			v.offset = r.pos
		}
		if v.keep != "" {
			if err := keepContent(t, v); err != nil {
				return r.fail(a, m.Name, err)
			}
		}
		if err := v.EndMember(); err != nil {
			return err
		}
	}
}

func keepContent(r io.Reader, v *scan) error {
	b, err := io.ReadAll(io.LimitReader(r, maxSmall))
	if err == nil {
		err = v.Content(b)
	}
	return err
}

// hopMember is a header as tarstream has it.
func hopMember(h *tar.Header) (tarstream.Header, bool) {
	name := cleanMemberName(h.Name)
	m := tarstream.Header{Name: name, Size: h.Size, Linkname: h.Linkname, ModTime: h.ModTime, Mode: h.FileInfo().Mode().Perm()}
	switch h.Typeflag {
	case tar.TypeReg:
		m.Type = tarstream.Regular
	case tar.TypeDir:
		m.Type, m.Size = tarstream.Directory, 0
	case tar.TypeSymlink:
		m.Type, m.Size = tarstream.Symlink, 0
	default:
		return m, false
	}
	return m, name == "." || tarstream.CheckName(name) == nil
}

// hopper is a file of which little is read here and there.
type hopper struct {
	f   *os.File
	buf []byte // what was read, from at on
	at  int64
	pos int64
	eof bool // the end of the file was met
}

const hopBuffer = 16 << 10

func (h *hopper) Read(p []byte) (int, error) {
	off := h.pos - h.at
	if off < 0 || off >= int64(len(h.buf)) {
		n, err := h.f.ReadAt(h.buf[:cap(h.buf)], h.pos)
		h.buf, h.at, off = h.buf[:n], h.pos, 0
		if n == 0 {
			if err == io.EOF {
				h.eof = true
			}
			return 0, err
		}
	}
	n := copy(p, h.buf[off:])
	h.pos += int64(n)
	return n, nil
}

// Seek moves the position. It is called with io.SeekCurrent only.
func (h *hopper) Seek(offset int64, whence int) (int64, error) {
	if whence != io.SeekCurrent || h.pos+offset < 0 {
		return 0, errors.New("the position cannot be set")
	}
	h.pos += offset
	return h.pos, nil
}

func (h *hopper) fail(a *Archive, name string, err error) error {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return &ArchiveError{a.path, &tarstream.FormatError{Offset: h.pos, Name: name, Err: err}}
}
