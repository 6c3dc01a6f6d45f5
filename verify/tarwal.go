package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/pgbasin/pgbasin/tarstream"
	"github.com/pgbasin/pgbasin/wal"
)

// tarSource reads WAL segments from an archive. They are wanted in their order,
// and mostly stored in it, so the archive is read on from one to the next, and
// from its beginning when the segment is not behind the one before.
type tarSource struct {
	ctx     context.Context
	v       *verifier
	archive *archive
	below   string // the directory of the segments in the archive, with a slash

	pass     *tarPass
	segSize  int64
	complete bool // names are those of all segments
	names    map[string]struct{}
}

func newTarSource(ctx context.Context, v *verifier, a *archive, below string) *tarSource {
	return &tarSource{ctx: ctx, v: v, archive: a, below: below, names: map[string]struct{}{}}
}

// SegmentSize is the size of the first segment in the archive.
func (s *tarSource) SegmentSize() (int64, error) {
	if s.segSize != 0 {
		return s.segSize, nil
	}
	if _, err := s.find(func(m *tarMember) bool { s.segSize = m.size; return true }); err != nil {
		return 0, err
	}
	// The segment is wanted next, and is gone.
	if err := s.close(); err != nil {
		return 0, err
	}
	if !wal.ValidSegmentSize(s.segSize) {
		return 0, fmt.Errorf("a WAL segment in archive \"%s\" has a size of %d bytes", s.archive.name, s.segSize)
	}
	return s.segSize, nil
}

// OpenSegment implements wal.Source.
func (s *tarSource) OpenSegment(tli uint32, segno uint64) (io.ReadCloser, error) {
	size, err := s.SegmentSize()
	if err != nil {
		return nil, err
	}
	name := wal.SegmentName(tli, segno, size)
	if s.complete {
		if _, ok := s.names[name]; !ok {
			return nil, s.missing(name)
		}
	}
	wanted := func(m *tarMember) bool { return m.name == name }
	if s.pass != nil {
		m, err := s.find(wanted)
		if err == nil {
			return m.content, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	m, err := s.find(wanted)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, s.missing(name)
	}
	if err != nil {
		return nil, err
	}
	return m.content, nil
}

func (s *tarSource) missing(name string) error {
	return fmt.Errorf("WAL segment \"%s\" is not in archive \"%s\": %w", name, s.archive.name, fs.ErrNotExist)
}

// find returns the next segment that is wanted. The error wraps fs.ErrNotExist if
// there is none behind the one before; the next call then begins at the beginning.
func (s *tarSource) find(wanted func(*tarMember) bool) (*tarMember, error) {
	if s.pass == nil {
		s.pass = startPass(s.ctx, s.v, s.archive)
		clear(s.names)
	}
	for {
		m, err := s.pass.next()
		if err == io.EOF {
			s.complete = true
			if err := s.close(); err != nil {
				return nil, err
			}
			return nil, fmt.Errorf("no WAL segment in archive \"%s\": %w", s.archive.name, fs.ErrNotExist)
		}
		if err != nil {
			return nil, fmt.Errorf("could not read archive \"%s\": %w", s.archive.name, systemError(err))
		}
		name, ok := strings.CutPrefix(m.name, s.below)
		if !ok || !wal.IsSegmentName(name) {
			continue
		}
		m.name = name
		if !s.complete {
			s.names[name] = struct{}{}
		}
		if wanted(m) {
			return m, nil
		}
	}
}

// close ends the reading of the archive.
func (s *tarSource) close() error {
	if s.pass != nil {
		s.pass.end()
		s.pass = nil
	}
	return nil
}

// tarPass reads an archive once from its beginning. A goroutine of its own waits
// where the last member was taken.
type tarPass struct {
	members chan *tarMember
	cancel  context.CancelFunc
	current *tarMember
	err     error // once members is closed
}

type tarMember struct {
	name    string
	size    int64
	content *io.PipeReader
}

func startPass(ctx context.Context, v *verifier, a *archive) *tarPass {
	ctx, cancel := context.WithCancel(ctx)
	p := &tarPass{members: make(chan *tarMember), cancel: cancel}
	go func() {
		visit := &passVisitor{ctx: ctx, members: p.members}
		err := v.readMembers(ctx, a, visit, func(int64) {})
		if visit.w != nil {
			visit.w.CloseWithError(err)
		}
		p.err = err
		close(p.members)
	}()
	return p
}

// next gives the member before up and returns the next one, or io.EOF.
func (p *tarPass) next() (*tarMember, error) {
	if p.current != nil {
		p.current.content.Close()
	}
	m, ok := <-p.members
	p.current = m
	switch {
	case ok:
		return m, nil
	case p.err != nil:
		return nil, p.err
	}
	return nil, io.EOF
}

// end waits until the archive is closed.
func (p *tarPass) end() {
	p.cancel()
	if p.current != nil {
		p.current.content.Close()
	}
	for m := range p.members {
		m.content.Close()
	}
}

// passVisitor hands out members as readers.
type passVisitor struct {
	ctx     context.Context
	members chan<- *tarMember
	w       *io.PipeWriter // of the current member; nil if nobody wants it
}

// Member implements tarstream.Visitor.
func (p *passVisitor) Member(h *tarstream.Header) error {
	if h.Type != tarstream.Regular {
		return nil
	}
	r, w := io.Pipe()
	select {
	case p.members <- &tarMember{h.Name, h.Size, r}:
		p.w = w
		return nil
	case <-p.ctx.Done():
		return context.Cause(p.ctx)
	}
}

// Content implements tarstream.Visitor.
func (p *passVisitor) Content(b []byte) error {
	if p.w == nil {
		return nil
	}
	if _, err := p.w.Write(b); err != nil {
		p.w = nil // the rest is not wanted
	}
	return nil
}

// EndMember implements tarstream.Visitor.
func (p *passVisitor) EndMember() error {
	if p.w != nil {
		p.w.Close()
		p.w = nil
	}
	return nil
}
