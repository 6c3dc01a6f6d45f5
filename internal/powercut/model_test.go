package powercut

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
)

// script makes a recording of an empty directory.
type script struct{ l *Log }

func newScript(t *testing.T) *script {
	t.Helper()
	l, err := newLog(t.TempDir(), func(int, fs.FileInfo) {})
	if err != nil {
		t.Fatal(err)
	}
	return &script{l}
}

func (s *script) add(e Event) { s.l.Events = append(s.l.Events, e) }

func (s *script) create(name string) int {
	id := s.l.add(node{})
	s.add(Event{Kind: Names, Entries: []Entry{{name, id}}})
	return id
}

func (s *script) write(id int, at int64, text string) {
	s.add(Event{Kind: Write, Node: id, Offset: at, Data: []byte(text)})
}

func (s *script) sync(id int, failed bool) {
	s.add(Event{Kind: Sync, Node: id, Since: len(s.l.Events), Failed: failed})
}

// ends are the different states after the last event, sorted.
func (s *script) ends(t *testing.T, p Plan) []string {
	t.Helper()
	p.At = func(n int) bool { return n == len(s.l.Events) }
	var all []string
	if _, err := s.l.Replay(p, func(st *State) error {
		var b strings.Builder
		for _, name := range st.List("") {
			content, err := st.ReadFile(name)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, "%s=%s ", name, strings.ReplaceAll(string(content), "\x00", "0"))
		}
		all = append(all, strings.TrimSpace(b.String()))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func TestStatesOfSmallRecordings(t *testing.T) {
	for name, c := range map[string]struct {
		make func(s *script)
		want []string
	}{
		"nothing is synced": {
			func(s *script) { s.write(s.create("a"), 0, "x") },
			[]string{"", "a=", "a=0", "a=x"},
		},
		"the content is synced and the name is not": {
			func(s *script) { a := s.create("a"); s.write(a, 0, "x"); s.sync(a, false) },
			[]string{"", "a=x"},
		},
		"the name is synced and the content is not": {
			func(s *script) { s.write(s.create("a"), 0, "x"); s.sync(0, false) },
			[]string{"a=", "a=0", "a=x"},
		},
		"both are synced, and changed again": {
			func(s *script) {
				a := s.create("a")
				s.write(a, 0, "x")
				s.sync(a, false)
				s.sync(0, false)
				s.write(a, 0, "y")
			},
			[]string{"a=x", "a=y"},
		},
		"a failed sync, and one that succeeds": {
			func(s *script) {
				a := s.create("a")
				s.sync(0, false)
				s.write(a, 0, "x")
				s.sync(a, true)
				s.sync(a, false)
			},
			[]string{"a=", "a=0", "a=x"},
		},
		"written again after a failed sync": {
			func(s *script) {
				a := s.create("a")
				s.sync(0, false)
				s.write(a, 0, "x")
				s.sync(a, true)
				s.write(a, 0, "x")
				s.sync(a, false)
			},
			[]string{"a=x"},
		},
		"names in any order": {
			func(s *script) { s.create("a"); s.create("b") },
			[]string{"", "a=", "a= b=", "b="},
		},
		"a rename is atomic, and comes after what it renames": {
			func(s *script) {
				a := s.create("a")
				s.add(Event{Kind: Names, Entries: []Entry{{"b", a}, {"a", none}}})
			},
			[]string{"", "a=", "b="},
		},
		"a sync covers what was before it began": {
			func(s *script) {
				a := s.create("a")
				s.sync(0, false)
				since := len(s.l.Events)
				s.write(a, 0, "x")
				s.add(Event{Kind: Sync, Node: a, Since: since})
			},
			[]string{"a=", "a=0", "a=x"},
		},
		"blocks by themselves": {
			func(s *script) {
				a := s.create("a")
				s.add(Event{Kind: Extend, Node: a, Size: block + 1})
				s.sync(none, false)
				s.write(a, block-1, "xy")
			},
			[]string{
				"a=" + strings.Repeat("0", block-1) + "00", "a=" + strings.Repeat("0", block-1) + "0y",
				"a=" + strings.Repeat("0", block-1) + "x0", "a=" + strings.Repeat("0", block-1) + "xy",
			},
		},
		"cut off": {
			func(s *script) {
				a := s.create("a")
				s.write(a, 0, "xyz")
				s.sync(none, false)
				s.add(Event{Kind: Truncate, Node: a, Size: 1})
			},
			[]string{"a=x", "a=xyz"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript(t)
			c.make(s)
			if got := s.ends(t, Plan{Random: 200, Seed: 1}); !slices.Equal(got, c.want) {
				t.Errorf("states are %q, want %q", got, c.want)
			}
		})
	}
}
