package powercut

import (
	"maps"
	"slices"
)

// fate is what is known of a change.
type fate int8

const (
	pending fate = iota // it may be on disk
	durable             // it is
	doomed              // it may be, and no sync makes it certain any more
)

// change is one event and its fate.
type change struct {
	seq int
	e   *Event
	fate
}

// disk is what is known of the disk after so many events.
type disk struct {
	l     *Log
	files map[int]*file
	dirs  map[int]*directory
	spare buffers
}

type file struct {
	base    []byte // durable; never changed in place
	sum     uint64 // of base, once summed
	summed  bool
	changes []*change
}

type directory struct {
	base    map[string]int
	changes []*change
}

func newDisk(l *Log) *disk {
	d := &disk{l: l, files: map[int]*file{}, dirs: map[int]*directory{}}
	for id, n := range l.nodes {
		if n.dir {
			d.dirs[id] = &directory{base: maps.Clone(l.names[id])}
		} else {
			d.files[id] = &file{base: n.content}
		}
	}
	return d
}

// happen takes the next event.
func (d *disk) happen(seq int) {
	e := &d.l.Events[seq]
	switch e.Kind {
	case Names:
		dir := d.dirs[e.Dir]
		dir.changes = append(dir.changes, &change{seq: seq, e: e})
	case Write, Truncate, Extend:
		f := d.files[e.Node]
		f.changes = append(f.changes, &change{seq: seq, e: e})
	case Sync:
		d.sync(e, seq)
	}
}

func (d *disk) sync(e *Event, seq int) {
	if e.Node != none {
		d.syncNode(e.Node, e, seq)
		return
	}
	for id := range d.l.nodes {
		d.syncNode(id, e, seq)
	}
}

func (d *disk) syncNode(id int, e *Event, seq int) {
	if dir := d.dirs[id]; dir != nil {
		settle(dir.changes, e, seq)
		dir.fold()
	} else {
		f := d.files[id]
		settle(f.changes, e, seq)
		f.fold()
	}
}

// settle decides the fate of what a sync covers. One that fails drops all that
// was written before it returned.
func settle(changes []*change, e *Event, seq int) {
	for _, c := range changes {
		switch {
		case c.fate != pending:
		case e.Failed && c.seq < seq:
			c.fate = doomed
		case !e.Failed && c.seq < e.Since:
			c.fate = durable
		}
	}
}

// fold makes what is durable, and before everything that is not, part of the base.
func (f *file) fold() {
	n := 0
	for n < len(f.changes) && f.changes[n].fate == durable {
		n++
	}
	if n == 0 {
		return
	}
	var b builder
	b.content = f.base
	for _, c := range f.changes[:n] {
		b.apply(c.e)
	}
	f.base, f.changes, f.summed = b.content, f.changes[n:], false
}

func (d *directory) fold() {
	n := 0
	for ; n < len(d.changes) && d.changes[n].fate == durable; n++ {
		for _, e := range d.changes[n].e.Entries {
			set(d.base, e)
		}
	}
	d.changes = d.changes[n:]
}

func set(names map[string]int, e Entry) {
	if e.Node == none {
		delete(names, e.Name)
	} else {
		names[e.Name] = e.Node
	}
}

// builder makes the content of a file.
type builder struct {
	content []byte
	owned   bool
	spare   *buffers // may be nil
}

func (b *builder) own(size int64) {
	if !b.owned || int64(cap(b.content)) < size {
		grown := append(b.spare.take(max(size, int64(len(b.content)))), b.content...)
		b.content, b.owned = grown, true
	}
}

// buffers are used again from state to state: there are many large ones.
type buffers [][]byte

func (s *buffers) take(size int64) []byte {
	if s != nil {
		for i, b := range *s {
			if int64(cap(b)) >= size {
				*s = slices.Delete(*s, i, i+1)
				return b[:0]
			}
		}
	}
	return make([]byte, 0, size+size/4)
}

// resize cuts off, or fills up with zeroes.
func (b *builder) resize(size int64) {
	b.own(size)
	old := int64(len(b.content))
	b.content = b.content[:size]
	if size > old {
		clear(b.content[old:])
	}
}

func (b *builder) apply(e *Event) {
	switch e.Kind {
	case Truncate:
		b.resize(e.Size)
	case Extend:
		if e.Size > int64(len(b.content)) {
			b.resize(e.Size)
		}
	case Write:
		if end := e.Offset + int64(len(e.Data)); end > int64(len(b.content)) {
			b.resize(end)
		}
		b.write(e.Offset, e.Data)
	}
}

func (b *builder) write(at int64, p []byte) {
	b.own(int64(len(b.content)))
	copy(b.content[at:], p)
}
