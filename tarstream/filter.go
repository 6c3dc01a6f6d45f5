package tarstream

// Drop passes an archive on to next without the members that drop tells. It is
// asked about each member: those below a directory that is dropped come, too.
// Within helps with names.
func Drop(next Visitor, drop func(h *Header) bool) Visitor {
	return &dropper{next: next, drop: drop}
}

type dropper struct {
	next    Visitor
	drop    func(h *Header) bool
	dropped bool // the current member
}

func (d *dropper) Member(h *Header) error {
	if d.dropped = d.drop(h); d.dropped {
		return nil
	}
	return d.next.Member(h)
}

func (d *dropper) Content(p []byte) error {
	if d.dropped {
		return nil
	}
	return d.next.Content(p)
}

func (d *dropper) EndMember() error {
	if d.dropped {
		return nil
	}
	return d.next.EndMember()
}

// Rename passes an archive on to next with the member called from called to.
// Members below it keep their names.
func Rename(next Visitor, from, to string) Visitor {
	return &renamer{Visitor: next, from: from, to: to}
}

type renamer struct {
	Visitor
	from, to string
	header   Header
}

func (r *renamer) Member(h *Header) error {
	if h.Name == r.from {
		r.header = *h
		r.header.Name = r.to
		h = &r.header
	}
	return r.Visitor.Member(h)
}
