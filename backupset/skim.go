package backupset

import (
	"context"
	"io"

	"github.com/pgbasin/pgbasin/tarstream"
)

// skimTar skims a tar that can be read at random, and reads any other whole.
func (s *Set) skimTar(ctx context.Context, a *Archive, v tarstream.Visitor, skip func() bool) error {
	r, err := openRandom(a, s.o.Progress)
	if err != nil {
		return err
	}
	if r == nil {
		return s.readTar(ctx, a, v)
	}
	defer r.close()
	return skim(ctx, a, r, v, skip)
}

// skim shows v the members of a tar that can be read at random. After each header
// it asks skip, and seeks over the content of the members that are to be skipped:
// v gets none of it.
func skim(ctx context.Context, a *Archive, r *random, v tarstream.Visitor, skip func() bool) error {
	w := &watch{next: v}
	p := tarstream.NewLenientParser(w, tarstream.LenientOptions{})
	return w.failure(a, skimTo(ctx, p, r, skip))
}

func skimTo(ctx context.Context, p *tarstream.Parser, r *random, skip func() bool) error {
	buf := make([]byte, walkBuffer)
	for p.Offset() < r.size {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n := max(p.UntilMember(), int64(r.ahead), tarstream.BlockSize)
		n = min(n, int64(len(buf)), r.size-p.Offset())
		if m, err := r.ReadAt(buf[:n], p.Offset()); int64(m) < n {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		for b := buf[:n]; len(b) > 0; {
			// No more than a header at once: it may be that of a member to skip.
			m := p.UntilMember()
			if m == 0 {
				m = tarstream.BlockSize
			}
			part := b[:min(m, int64(len(b)))]
			if _, err := p.Write(part); err != nil {
				return err
			}
			b = b[len(part):]
			if !skip() || p.UntilMember() > r.size-p.Offset() {
				continue // in the second case the tar is cut off, and its end tells how
			}
			skipped, err := p.Skip()
			if err != nil {
				return err
			}
			b = b[min(skipped, int64(len(b))):]
		}
	}
	return p.Close()
}
