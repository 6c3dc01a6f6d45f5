package tarstream

import (
	"slices"
	"strings"
	"testing"
)

func TestDroppedMembersDoNotArrive(t *testing.T) {
	var whole, got recorder
	if err := parse(&whole, archive(t, sample...), 100); err != nil {
		t.Fatal(err)
	}
	drop := func(h *Header) bool { return Within(h.Name, "base/1") || h.Name == "postgresql.auto.conf" }
	if err := parse(Drop(&got, drop), archive(t, sample...), 100); err != nil {
		t.Fatal(err)
	}
	var want []string
	for i := 0; i < len(whole.events); i += 2 {
		if e := whole.events[i]; !strings.HasPrefix(e, `"base/1`) && !strings.HasPrefix(e, `"postgresql.auto.conf`) {
			want = append(want, e, whole.events[i+1])
		}
	}
	if !slices.Equal(got.events, want) || len(want) != 2*6 {
		t.Errorf("got %q, want %q", got.events, want)
	}
}

func TestRenameChangesOneMember(t *testing.T) {
	var names []string
	record := headerFunc(func(h *Header) {
		names = append(names, h.Name)
		b, err := h.AppendHeader(nil)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := ParseHeader((*[BlockSize]byte)(b)); err != nil || again.Name != h.Name {
			t.Errorf("%s is written as %v, %v", h.Name, again, err)
		}
	})
	a := archive(t, member{name: "a"}, member{name: "global/", typ: '5'}, member{name: "global/pg_control", content: "x"},
		member{name: "global/pg_control.old"}, member{name: "global/pg_control/x"})
	if err := parse(Rename(record, "global/pg_control", "global/pg_control.tmp"), a, 100); err != nil {
		t.Fatal(err)
	}
	want := []string{"a", "global", "global/pg_control.tmp", "global/pg_control.old", "global/pg_control/x"}
	if !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
}

func TestWithinIsAboutWholeParts(t *testing.T) {
	for _, c := range []struct {
		name, dir string
		want      bool
	}{
		{"a", "a", true}, {"a/b", "a", true}, {"ab", "a", false}, {"a", "a/b", false}, {"b/a", "a", false},
	} {
		if got := Within(c.name, c.dir); got != c.want {
			t.Errorf("%s within %s: %v", c.name, c.dir, got)
		}
	}
}

func TestLinkCanBeLeftOut(t *testing.T) {
	a := archive(t, member{name: "PG_VERSION"}, member{name: "pg_wal", typ: '2', link: "/wal"})
	none := func(string, string) (string, error) { return "", nil }
	x, err := NewExtractor(ExtractOptions{Dir: t.TempDir(), Link: none})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	if err := parseLenient(x, LenientOptions{}, a, 100); err != nil {
		t.Fatal(err)
	}
	if got := tree(t, x.opt.Dir); len(got) != 1 {
		t.Errorf("got %q", got)
	}
}
