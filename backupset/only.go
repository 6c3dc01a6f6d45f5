package backupset

import (
	"context"

	"github.com/pgbasin/pgbasin/tarstream"
)

// ReadOnly is Read for some of the members: those that are called names, and all
// below them; "." is everything. Of the others it reads as little as it can:
// nothing of a data directory, the headers of a tar that is not compressed, or
// that is with zstd and a seek table, as pgbasin writes it. Other tars are read
// whole.
//
// A directory above a chosen member comes only if it is chosen itself.
func (s *Set) ReadOnly(ctx context.Context, a *Archive, names []string, v tarstream.Visitor) error {
	if s.Form == Plain {
		return s.walk(ctx, a, v, walker{only: names, note: s.note})
	}
	c := &chosen{next: v, names: names}
	v = c
	if a.Kind == Data {
		p, err := s.findPlace(ctx)
		if err != nil {
			return err
		}
		v = &rebase{next: v, at: p, note: s.note}
	}
	return s.skimTar(ctx, a, v, func() bool { return c.skip })
}

// selection are names of members.
type selection []string

// has tells whether a member is chosen.
func (s selection) has(name string) bool {
	for _, chosen := range s {
		if chosen == "." || tarstream.Within(name, chosen) {
			return true
		}
	}
	return false
}

// leads tells whether a member is chosen, or is a directory above one that may be.
func (s selection) leads(name string) bool {
	for _, chosen := range s {
		if tarstream.Within(chosen, name) {
			return true
		}
	}
	return s.has(name)
}

// chosen passes on those members that have the names.
type chosen struct {
	next  tarstream.Visitor
	names selection
	skip  bool // the current member
}

func (c *chosen) Member(h *tarstream.Header) error {
	if c.skip = !c.names.has(h.Name); c.skip {
		return nil
	}
	return c.next.Member(h)
}

func (c *chosen) Content(p []byte) error {
	if c.skip {
		return nil
	}
	return c.next.Content(p)
}

func (c *chosen) EndMember() error {
	if c.skip {
		return nil
	}
	return c.next.EndMember()
}
