package powercut

import (
	"fmt"
	"hash/maphash"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// block is what reaches the disk or does not, in bytes.
const block = 4096

// State is what a power cut may leave. It is valid until the check that it was
// given to returns.
type State struct {
	// At is how many events happened before the cut.
	At int
	// Choice says in words what of the rest got to the disk.
	Choice string

	d     *disk
	pick  picker
	dirs  map[int]map[string]int // entries, as far as they were needed
	files map[int][]byte         // contents, likewise
	owned [][]byte               // those that are not a base
}

// picker chooses what of the changes that are not durable is on disk.
type picker struct {
	names, data mode
	seed        uint64
}

type mode int8

const (
	no mode = iota
	yes
	some
)

// hash spreads its arguments over 64 bits (splitmix64's last step).
func (p picker) hash(a, b int) uint64 {
	x := p.seed ^ uint64(a)*0x9e3779b97f4a7c15 ^ uint64(b)*0xd1b54a32d192ed03
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

func (p picker) bit(m mode, a, b int) bool { return m == yes || m == some && p.hash(a, b)&1 == 1 }

// String names the state, so that it can be found again.
func (s *State) String() string {
	last := "the beginning"
	if s.At > 0 {
		last = s.d.l.Events[s.At-1].What
	}
	return fmt.Sprintf("power cut after event %d of %d (%s), %s", s.At, len(s.d.l.Events), last, s.Choice)
}

// names are the entries of a directory.
func (s *State) names(id int) map[string]int {
	if names := s.dirs[id]; names != nil {
		return names
	}
	d := s.d.dirs[id]
	names := d.base
	if len(d.changes) > 0 {
		names = maps.Clone(names)
		// Changes of one name keep their order: none without those before.
		missing := map[string]bool{}
		for _, c := range d.changes {
			apply := c.fate == durable || s.pick.bit(s.pick.names, c.seq, -1)
			for _, e := range c.e.Entries {
				apply = apply && (c.fate == durable || !missing[e.Name])
			}
			for _, e := range c.e.Entries {
				missing[e.Name] = !apply
				if apply {
					set(names, e)
				}
			}
		}
	}
	s.dirs[id] = names
	return names
}

// content is that of a file. It must not be changed.
func (s *State) content(id int) []byte {
	f := s.d.files[id]
	if len(f.changes) == 0 {
		return f.base
	}
	if b, ok := s.files[id]; ok {
		return b
	}
	b := builder{content: f.base, spare: &s.d.spare}
	m := s.pick.data
	until := -1 // the last event of which all got to the disk
	if m == some {
		switch s.pick.hash(id, -2) % 4 {
		case 0:
			m = no
		case 1:
			m = yes
		case 2:
			m = no
			if n := len(f.changes); n > 0 {
				until = f.changes[s.pick.hash(id, -3)%uint64(n)].seq
			}
		}
	}
	for _, c := range f.changes {
		switch {
		case c.fate == durable, m == yes, c.seq <= until:
			b.apply(c.e)
		case m == no:
		case c.e.Kind != Write:
			if s.pick.bit(some, c.seq, -4) {
				b.apply(c.e)
			}
		default:
			s.blocks(&b, c)
		}
	}
	s.files[id] = b.content
	if b.owned {
		s.owned = append(s.owned, b.content)
	}
	return b.content
}

// release gives the state's buffers back.
func (s *State) release() { s.d.spare = append(s.d.spare, s.owned...) }

// blocks applies some blocks of a write, and perhaps the file's new size.
func (s *State) blocks(b *builder, c *change) {
	at, p := c.e.Offset, c.e.Data
	if end := at + int64(len(p)); end > int64(len(b.content)) && s.pick.bit(some, c.seq, -4) {
		b.resize(end)
	}
	for len(p) > 0 {
		n := min(int64(len(p)), block-at%block)
		if at < int64(len(b.content)) && s.pick.bit(some, c.seq, int(at/block)) {
			b.write(at, p[:min(n, int64(len(b.content))-at)])
		}
		at, p = at+n, p[n:]
	}
}

// find follows a path with slashes below the root, and links that lead below
// the root.
func (s *State) find(path string) (int, bool) { return s.walk(path, 0) }

func (s *State) walk(path string, links int) (int, bool) {
	id := 0
	parts := strings.Split(path, "/")
	for i, part := range parts {
		if part == "" || part == "." {
			continue
		}
		if !s.d.l.nodes[id].dir {
			return 0, false
		}
		next, ok := s.names(id)[part]
		if !ok {
			return 0, false
		}
		id = next
		if target := s.d.l.nodes[id].target; target != "" && i < len(parts)-1 {
			below, ok := strings.CutPrefix(target, s.d.l.Root)
			if !ok || links == 8 {
				return 0, false
			}
			if id, ok = s.walk(below, links+1); !ok {
				return 0, false
			}
		}
	}
	return id, true
}

// Exists tells whether there is something at a path with slashes below the root.
func (s *State) Exists(path string) bool {
	_, ok := s.find(path)
	return ok
}

// ReadFile returns the content of a file, which must not be changed.
func (s *State) ReadFile(path string) ([]byte, error) {
	id, ok := s.find(path)
	if !ok || s.d.files[id] == nil {
		return nil, &fs.PathError{Op: "read", Path: path, Err: fs.ErrNotExist}
	}
	return s.content(id), nil
}

// List returns the names in a directory, sorted, none if there is no directory.
func (s *State) List(path string) []string {
	id, ok := s.find(path)
	if !ok || s.d.dirs[id] == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(s.names(id)))
}

// Sum is a digest of everything at and below a path, which stands for it as long
// as this process runs.
func (s *State) Sum(path string) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	if id, ok := s.find(path); ok {
		s.visit(id, ".", func(name string, id int) error {
			n := s.d.l.nodes[id]
			fmt.Fprintf(&h, "%q %v %q", name, n.dir, n.target)
			if !n.dir {
				maphash.WriteComparable(&h, s.sum(id))
			}
			return nil
		})
	}
	return h.Sum64()
}

var seed = maphash.MakeSeed()

func (s *State) sum(id int) uint64 {
	f := s.d.files[id]
	if len(f.changes) > 0 {
		return maphash.Bytes(seed, s.content(id))
	}
	if !f.summed {
		f.sum, f.summed = maphash.Bytes(seed, f.base), true
	}
	return f.sum
}

// Store makes the state's files in an empty directory. Links to a place below
// the root lead below dir then.
func (s *State) Store(dir string) error {
	return s.visit(0, ".", func(name string, id int) error {
		path := filepath.Join(dir, name)
		n := s.d.l.nodes[id]
		switch {
		case name == ".":
			return nil
		case n.dir:
			return os.Mkdir(path, 0o700)
		case n.target != "":
			target := n.target
			if below, ok := strings.CutPrefix(target, s.d.l.Root); ok {
				target = dir + below
			}
			return os.Symlink(target, path)
		}
		return os.WriteFile(path, s.content(id), 0o600)
	})
}

// visit calls f for a node and everything below it, in order.
func (s *State) visit(id int, name string, f func(name string, id int) error) error {
	if err := f(name, id); err != nil {
		return err
	}
	if !s.d.l.nodes[id].dir {
		return nil
	}
	names := s.names(id)
	for _, base := range slices.Sorted(maps.Keys(names)) {
		if err := s.visit(names[base], name+"/"+base, f); err != nil {
			return err
		}
	}
	return nil
}
