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

func TestFirstMemberTellsWhereTheDataDirectoryIs(t *testing.T) {
	file := func(name string) member { return member{name: name, content: "x"} }
	dir := func(name string) member { return member{name: name + "/", typ: '5'} }
	for _, c := range []struct {
		members []member
		prefix  string
		names   string
	}{
		{[]member{file("backup_label"), dir("base"), file("unknown")}, "", "backup_label base unknown"},
		{[]member{dir("."), dir("./unknown"), file("./PG_VERSION")}, "", "unknown PG_VERSION"},
		{[]member{file("unknown"), file("PG_VERSION")}, "", "unknown PG_VERSION"},
		{[]member{dir("base"), dir("base/1"), file("PG_VERSION")}, "", "base base/1 PG_VERSION"},
		{[]member{file("postgresql.conf.bak"), file("x")}, "", "postgresql.conf.bak x"},
		{[]member{dir("PG_15_202209061"), dir("PG_15_202209061/5")}, "", "PG_15_202209061 PG_15_202209061/5"},
		{[]member{{name: "pg_wal", typ: '2', link: "/w"}, file("x")}, "", "pg_wal x"},
		{[]member{dir("data5445"), file("data5445/unknown"), dir("data5445/base")}, "data5445", "unknown base"},
		{[]member{dir("./data5445"), file("./data5445/PG_VERSION")}, "data5445", "PG_VERSION"},
		{[]member{file("data5445/PG_VERSION"), dir("data5445/base")}, "data5445", "PG_VERSION base"},
		{[]member{file("data5445/unknown"), dir("data5445/base")}, "data5445", "unknown base"},
		{[]member{dir("pg_data"), file("pg_data/PG_VERSION")}, "pg_data", "PG_VERSION"},
		{[]member{dir("postgresql.old"), file("postgresql.old/PG_VERSION")}, "postgresql.old", "PG_VERSION"},
		{[]member{dir("srv/pg/data"), file("srv/pg/data/PG_VERSION")}, "srv/pg/data", "PG_VERSION"},
		{[]member{dir("srv/data/base"), file("srv/data/PG_VERSION")}, "srv/data", "base PG_VERSION"},
		{[]member{file("srv/data/base/1/1259"), file("srv/data/PG_VERSION")}, "srv/data", "base/1/1259 PG_VERSION"},
		{[]member{{name: "d/pg_wal", typ: '2', link: "/w"}, file("d/x")}, "d", "pg_wal x"},
		{[]member{dir("d"), dir("d"), file("d/x")}, "d", "x"},
	} {
		var names []string
		s := Strip(headerFunc(func(h *Header) { names = append(names, h.Name) }))
		if err := parseLenient(s, LenientOptions{}, archive(t, c.members...), 100); err != nil {
			t.Errorf("%v: %v", c.members, err)
		}
		if got := strings.Join(names, " "); s.Prefix() != c.prefix || got != c.names {
			t.Errorf("%v: got %s below %q, want %s below %q", c.members, got, s.Prefix(), c.names, c.prefix)
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
