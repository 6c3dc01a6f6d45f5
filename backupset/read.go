package backupset

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/tarstream"
)

// Read passes the members of an archive to v. Names are relative to the data directory, the tablespace's location, or the WAL
// directory; a leading directory of a hand-made tar is gone. Compressed archives are decompressed ahead by goroutines of their own.
//
// A plain backup is read in a stable order: backup_label, tablespace_map, everything else by name, pg_control last. A link of its
// WAL directory is followed, a tablespace's is passed on. Its manifest is left out, see OpenManifest.
//
// A Visitor that is a Locator, too, is told where contents are.
//
// Different archives may be read at the same time; standard input can be read once. An error of v is returned as it is. Others
// name the file, and for a damaged archive the place: *ArchiveError.
func (s *Set) Read(ctx context.Context, a *Archive, v tarstream.Visitor) error {
	if s.Form == Plain {
		return s.readPlain(ctx, a, v, false)
	}
	var locate func(int64)
	if l, ok := v.(Locator); ok && a.Compression == codec.None && s.stdin == nil {
		locate = l.ContentAt
	}
	if a.Kind == Data {
		p, err := s.findPlace(ctx)
		if err != nil {
			return err
		}
		v = &rebase{next: v, at: p, note: s.note}
	}
	return s.readLocating(ctx, a, v, locate)
}

// Locator is told, before Visitor.Member, where the member's content is in the
// file of an archive that is an uncompressed tar, in bytes.
type Locator interface {
	ContentAt(offset int64)
}

// readTar passes the members of a tar on under the names that they have there.
func (s *Set) readTar(ctx context.Context, a *Archive, v tarstream.Visitor) error {
	return s.readLocating(ctx, a, v, nil)
}

func (s *Set) readLocating(ctx context.Context, a *Archive, v tarstream.Visitor, locate func(int64)) error {
	src, err := s.open(ctx, a)
	if err != nil {
		return err
	}
	defer src.Close()
	return parse(src, a, v, locate)
}

// open opens an archive's compressed bytes.
func (s *Set) open(ctx context.Context, a *Archive) (io.ReadCloser, error) {
	if s.stdin != nil {
		if err := s.sniffStdin(); err != nil {
			return nil, err
		}
		r, err := s.stdin.rest()
		if err != nil {
			return nil, err
		}
		return io.NopCloser(&source{ctx: ctx, r: r, progress: s.o.Progress}), nil
	}
	f, err := os.Open(a.path)
	if err != nil {
		return nil, fmt.Errorf("could not open file %q: %w", a.path, err)
	}
	return struct {
		io.Reader
		io.Closer
	}{&source{ctx: ctx, r: f, progress: s.o.Progress}, f}, nil
}

// parse decompresses src and takes it apart for v. Before each member it tells
// locate, if that is not nil, where its content begins.
func parse(src io.Reader, a *Archive, v tarstream.Visitor, locate func(int64)) error {
	z, err := codec.NewReader(src, a.Compression)
	if err != nil {
		return &ArchiveError{a.path, err}
	}
	defer z.Close()
	w := &watch{next: v}
	p := tarstream.NewLenientParser(w, tarstream.LenientOptions{})
	if locate != nil {
		w.before = func() { locate(p.Offset()) }
	}
	if a.Compression == codec.None {
		_, err = io.CopyBuffer(p, struct{ io.Reader }{src}, make([]byte, walkBuffer))
	} else {
		_, err = z.WriteTo(p)
	}
	if err == nil {
		err = p.Close()
	}
	return w.failure(a, err)
}

// watch tells the errors of a visitor from those of what it visits.
type watch struct {
	next   tarstream.Visitor
	before func() // each member; may be nil
	err    error
}

func (w *watch) Member(h *tarstream.Header) error {
	if w.before != nil {
		w.before()
	}
	return w.keep(w.next.Member(h))
}

func (w *watch) Content(p []byte) error { return w.keep(w.next.Content(p)) }
func (w *watch) EndMember() error       { return w.keep(w.next.EndMember()) }

func (w *watch) keep(err error) error {
	if err != nil {
		w.err = err
	}
	return err
}

// failure is what an archive's reader returns for err.
func (w *watch) failure(a *Archive, err error) error {
	switch {
	case w.err != nil:
		return w.err
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case err != nil:
		return &ArchiveError{a.path, err}
	}
	return nil
}

// source counts what is read, and ends with its context.
type source struct {
	ctx      context.Context
	r        io.Reader
	progress func(int)
}

func (s *source) Read(p []byte) (int, error) {
	if s.ctx.Err() != nil {
		return 0, context.Cause(s.ctx)
	}
	n, err := s.r.Read(p)
	if n > 0 && s.progress != nil {
		s.progress(n)
	}
	return n, err
}

// replay is standard input, of which the beginning can be seen before it is
// read.
type replay struct {
	src   io.Reader
	head  []byte
	whole bool  // head is all of it
	err   error // of reading the head
	begun bool
	done  bool // it was sniffed
}

// peekSize is how much of standard input is looked at before it is read, in bytes: more than one frame of zstd has that codec wrote.
const peekSize = 9 << 18

func (r *replay) peek() ([]byte, bool, error) {
	if r.head == nil {
		r.head = make([]byte, peekSize)
		n, err := io.ReadFull(r.src, r.head)
		r.head = r.head[:n]
		switch err {
		case nil:
		case io.EOF, io.ErrUnexpectedEOF:
			r.whole = true
		default:
			r.err = fmt.Errorf("could not read standard input: %w", err)
		}
	}
	return r.head, r.whole, r.err
}

func (r *replay) rest() (io.Reader, error) {
	if r.begun {
		return nil, errors.New("standard input can be read only once")
	}
	r.begun = true
	return io.MultiReader(bytes.NewReader(r.head), r.src), nil
}

// sniffStdin finds out what standard input is.
func (s *Set) sniffStdin() error {
	if s.stdin.done {
		return nil
	}
	head, whole, err := s.stdin.peek()
	if err != nil {
		return err
	}
	algorithm, found, err := sniffBytes(head, !whole)
	switch {
	case err != nil:
		return &ArchiveError{s.Path, err}
	case found != "":
		return &NotBackupError{s.Path, found}
	}
	s.Archives[0].Compression = algorithm
	s.stdin.done = true
	return nil
}

// errEnough ends the reading of an archive that told what was wanted.
var errEnough = errors.New("enough was read")

// findPlace finds where the data directory is in its archive.
func (s *Set) findPlace(ctx context.Context) (place, error) {
	if s.place != nil {
		return *s.place, nil
	}
	f := &placeFinder{}
	var err error
	if s.stdin != nil {
		err = s.scanStdin(f)
	} else {
		err = s.readTar(ctx, s.Data(), f)
	}
	if err != nil && err != errEnough {
		return place{}, err
	}
	s.place = &f.at
	return f.at, nil
}

// placeFinder reads members until one tells where the data directory is.
type placeFinder struct{ at place }

func (f *placeFinder) Member(h *tarstream.Header) error {
	p, ok := placeOf(h.Name, h.Type == tarstream.Directory)
	if !ok {
		return nil
	}
	f.at = p
	return errEnough
}

func (f *placeFinder) Content([]byte) error { return nil }
func (f *placeFinder) EndMember() error     { return nil }

// scanStdin passes on what the beginning of standard input holds. That it ends
// too early is an error only if it is all there is.
func (s *Set) scanStdin(v tarstream.Visitor) error {
	if err := s.sniffStdin(); err != nil {
		return err
	}
	err := parse(bytes.NewReader(s.stdin.head), s.Data(), v, nil)
	if !s.stdin.whole && errors.Is(err, io.ErrUnexpectedEOF) {
		return errEnough
	}
	return err
}
