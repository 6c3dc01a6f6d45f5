package walarchive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/internal/durable"
)

// tempPrefix begins the names of files that are being pushed. Nobody takes them
// for WAL: those names begin with a digit.
const tempPrefix = ".pgbasin-push."

// PushOptions say what to put into an archive.
type PushOptions struct {
	// From is the path of the file. Its last element is the name, which must be
	// one for which IsName is true.
	From string
	// Compression is for segments, also partial ones; the small files stay as
	// they are. Without Workers one processor does it.
	Compression codec.Spec
}

// PushResult says where a file is.
type PushResult struct {
	Path string // in the archive
	// AlreadyThere is set when nothing was written because the archive had the
	// same content, however compressed.
	AlreadyThere bool
}

// Push puts a file into the archive, durably, under its name or not at all. A
// file that the archive has already with the same content is fine, one with other
// content a *ConflictError, which leaves both as they are; two pushes at the same
// time see each other.
//
// A segment must have a size that servers use and a page header that fits its
// name, or else is a *CorruptError, before anything is written. A ".partial" one
// also counts as being there when the archive's has all of it and more. It may
// stay when the whole segment comes, and differ from another one that is
// compressed in another way: Fetch takes the one with most in it.
func (a *Archive) Push(ctx context.Context, o PushOptions) (PushResult, error) {
	n, ok := parseName(filepath.Base(o.From))
	if !ok {
		return PushResult{}, &NameError{filepath.Base(o.From)}
	}
	from, err := openSource(o.From, n)
	if err != nil {
		return PushResult{}, err
	}
	defer from.Close()
	p := &pushing{a: a, name: n, from: from, spec: o.Compression}
	if n.kind != segment && n.kind != partialSegment {
		p.spec = codec.Spec{}
	}
	if !p.spec.WorkersSet {
		p.spec.Workers, p.spec.WorkersSet = 1, true
	}
	return p.run(ctx)
}

// openSource opens a file that is to be archived, and checks that it is what its
// name says.
func openSource(path string, n walName) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("could not stat file %q: %w", path, reason(err))
	}
	if !info.Mode().IsRegular() {
		return nil, &CorruptError{Path: path, Reason: "it is not a regular file"}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("could not open file %q: %w", path, reason(err))
	}
	c := &content{raw: &raw{f: f, info: info}, stored: stored{walName: n}}
	if err := c.begin(); err != nil {
		if errors.Is(err, errBlank) {
			err = &CorruptError{Path: path, Reason: "nothing was written to it"}
		}
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// pushing is one file on its way.
type pushing struct {
	a    *Archive
	name walName
	from *os.File
	spec codec.Spec
}

// attempts is how often a push starts over because of what others do.
const attempts = 10

func (p *pushing) run(ctx context.Context) (PushResult, error) {
	for range attempts {
		there, err := p.there(ctx, "")
		if err != nil {
			return PushResult{}, err
		}
		if there == "" {
			r, err := p.put(ctx)
			if errors.Is(err, fs.ErrExist) {
				continue
			}
			return r, err
		}
		stays, err := settled(ctx, there)
		if err != nil {
			return PushResult{}, err
		}
		if stays {
			return p.keep(there)
		}
	}
	return PushResult{}, fmt.Errorf("file %q comes and goes", filepath.Join(p.a.dir, p.name.String()))
}

// put stores the file. The error wraps fs.ErrExist if another push was quicker.
func (p *pushing) put(ctx context.Context) (PushResult, error) {
	dir, err := durable.OpenRoot(p.a.dir)
	if err != nil {
		return PushResult{}, &UnreachableError{p.a.dir, reason(err)}
	}
	defer dir.Close()
	name := storedAs(p.name, p.spec.Algorithm)
	target := filepath.Join(p.a.dir, name)
	t, err := newTemp(dir, tempPrefix, modeFor(dir))
	if err != nil {
		return PushResult{}, err
	}
	defer t.discard()
	if err := p.write(ctx, t); err != nil {
		return PushResult{}, err
	}
	if err := t.place(name); err != nil {
		return PushResult{}, err
	}
	// Another push may have stored it with another compression in the
	// meantime. The one that is later sees both.
	if _, err := p.there(ctx, target); err != nil {
		return PushResult{}, err
	}
	return PushResult{Path: target}, nil
}

// keep is the result when nothing has to be written. What another push has put
// there may not be durable yet.
func (p *pushing) keep(there string) (PushResult, error) {
	if err := durable.SyncFile(there); err != nil {
		return PushResult{}, err
	}
	if err := durable.SyncDir(p.a.dir); err != nil {
		return PushResult{}, err
	}
	return PushResult{Path: there, AlreadyThere: true}, nil
}

// write copies the file, and makes it durable.
func (p *pushing) write(ctx context.Context, t *temp) error {
	info, err := p.from.Stat()
	if err != nil {
		return fmt.Errorf("could not stat file %q: %w", p.from.Name(), reason(err))
	}
	n, err := p.copy(ctx, t)
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		return fmt.Errorf("could not copy file %q to %q: %w", p.from.Name(), t.path, reason(err))
	}
	if n != info.Size() {
		return fmt.Errorf("file %q had %d bytes, but %d came out of it", p.from.Name(), info.Size(), n)
	}
	if err := t.Sync(); err != nil {
		return fmt.Errorf("could not fsync file %q: %w", t.path, reason(err))
	}
	return nil
}

func (p *pushing) copy(ctx context.Context, t *temp) (int64, error) {
	if p.spec.Algorithm == codec.None {
		return copyFile(ctx, t.File, p.from)
	}
	z, err := codec.NewWriter(t.File, p.spec)
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(z, &section{ctx, p.from, 0})
	if err != nil {
		z.Abort()
		return n, err
	}
	return n, z.Close()
}

// section reads a file from its beginning, whatever its position is.
type section struct {
	ctx context.Context
	f   *os.File
	at  int64
}

func (s *section) Read(p []byte) (int, error) {
	if s.ctx.Err() != nil {
		return 0, context.Cause(s.ctx)
	}
	n, err := s.f.ReadAt(p, s.at)
	s.at += int64(n)
	if n > 0 && err == io.EOF {
		err = nil
	}
	return n, err
}

// there looks for the file in the archive, whatever its compression: all that
// there are must have the same content. The path is that of one of them, "" if
// there are none; except is left out.
func (p *pushing) there(ctx context.Context, except string) (path string, err error) {
	for _, s := range candidates(p.name) {
		candidate := filepath.Join(p.a.dir, s.name)
		if candidate == except {
			continue
		}
		if s.partial() && s.name != storedAs(p.name, p.spec.Algorithm) {
			continue // several, with more and less in them, may be there
		}
		err := p.compare(ctx, s)
		switch {
		case err == nil:
			path = candidate
		case errors.Is(err, fs.ErrNotExist):
		default:
			return "", err
		}
	}
	return path, nil
}

// compare holds a stored file against the new one.
func (p *pushing) compare(ctx context.Context, s stored) error {
	r, err := p.a.raw(s)
	if err != nil {
		return p.conflict(s, err)
	}
	defer r.Close()
	at, same, err := p.equal(ctx, r)
	if err != nil {
		return p.conflict(s, err)
	}
	if !same {
		return &ConflictError{
			Path: p.from.Name(), Existing: filepath.Join(p.a.dir, s.name),
			Reason: fmt.Sprintf("they differ at byte %d", at),
		}
	}
	return nil
}

// conflict makes a *ConflictError of damage.
func (p *pushing) conflict(s stored, err error) error {
	var corrupt *CorruptError
	if !errors.As(err, &corrupt) {
		return err
	}
	why := corrupt.Reason
	if corrupt.Err != nil {
		why += ": " + corrupt.Err.Error()
	}
	return &ConflictError{Path: p.from.Name(), Existing: filepath.Join(p.a.dir, s.name), Reason: why}
}

// equal compares with the new file and returns where they differ first. In a
// partial segment they may do so where only zeroes follow in the new one.
func (p *pushing) equal(ctx context.Context, existing io.Reader) (at int64, same bool, err error) {
	fresh := &section{ctx, p.from, 0}
	a, b := make([]byte, copySize), make([]byte, copySize)
	for {
		n, err := io.ReadFull(fresh, a)
		if n == 0 && err != io.EOF {
			return 0, false, sourceFailed(ctx, p.from, err)
		}
		m, err := io.ReadFull(existing, b)
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return 0, false, err
		}
		alike := commonPrefix(a[:n], b[:m])
		at += int64(alike)
		if alike < n || alike < m {
			return at, p.name.kind == partialSegment && p.endsAt(at), nil
		}
		if n == 0 {
			return at, true, nil
		}
	}
}

func commonPrefix(a, b []byte) int {
	n := min(len(a), len(b))
	if bytes.Equal(a[:n], b[:n]) {
		return n
	}
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// endsAt tells whether the new file has only zeroes from an offset on.
func (p *pushing) endsAt(at int64) bool {
	rest := &section{context.Background(), p.from, at}
	buf := make([]byte, copySize)
	for {
		n, err := rest.Read(buf)
		if !blank(buf[:n]) {
			return false
		}
		if err != nil {
			return err == io.EOF
		}
	}
}

func sourceFailed(ctx context.Context, f *os.File, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err == nil {
		err = syscall.EIO
	}
	return fmt.Errorf("could not read file %q: %w", f.Name(), reason(err))
}
