package tarstream

import (
	"bytes"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
)

// inject passes an archive through an Injector and gives the result's members.
func inject(t *testing.T, in Injection, a []byte) (*recorder, []byte) {
	t.Helper()
	var b bytes.Buffer
	w := NewWriter(&b)
	i := NewInjector(w, in)
	if err := parse(i, a, 300); err != nil {
		t.Fatal(err)
	}
	if err := i.Finish(); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	var r recorder
	if err := parse(&r, b.Bytes(), 300); err != nil {
		t.Fatal(err)
	}
	return &r, b.Bytes()
}

func TestInjectedMembersAreWhereTheyBelong(t *testing.T) {
	auto := File{Name: "postgresql.auto.conf", Content: []byte("primary_conninfo = ''\n"), ModTime: someTime}
	signal := File{Name: "standby.signal", Mode: 0o640, ModTime: someTime}
	head := []member{{name: "backup_label", content: "label", mode: 0o600}}
	oldAuto := member{name: auto.Name, content: "# old\n", mode: 0o640}
	oldSignal := member{name: signal.Name, content: "old", mode: 0o600}
	control := member{name: "global/pg_control", content: "control", mode: 0o600}
	newSignal := member{name: signal.Name, mode: 0o640}
	for name, c := range map[string]struct {
		in     Injection
		before []member
		after  []member // injected ones are owned by InjectedUID
		own    int      // how many of them, at the end
	}{
		"append to a member": {
			Injection{Append: []File{auto}, Add: []File{signal}},
			append(head, oldAuto, control),
			append(head, member{name: auto.Name, content: "# old\n" + string(auto.Content), mode: 0o640}, control, newSignal), 1,
		},
		"append where there is none": {
			Injection{Append: []File{auto}, Add: []File{signal}},
			append(head, control),
			append(head, control, member{name: auto.Name, content: string(auto.Content), mode: 0o600}, newSignal), 2,
		},
		"replace": {
			Injection{Add: []File{signal}},
			append(head, oldSignal, control),
			append(head, control, newSignal), 1,
		},
		"append nothing": {
			Injection{Append: []File{{Name: auto.Name}}},
			append(head, oldAuto), append(head, oldAuto), 0,
		},
		"drop with what is below": {
			Injection{Drop: []string{"pg_replslot", "global/pg"}},
			append(head, member{name: "pg_replslot/", typ: '5', mode: 0o700}, member{name: "pg_replslot/s/", typ: '5', mode: 0o700},
				member{name: "pg_replslot/s/state", content: "state", mode: 0o600}, member{name: "pg_replslot2", content: "x", mode: 0o600}, control),
			append(head, member{name: "pg_replslot2", content: "x", mode: 0o600}, control), 0,
		},
		"nothing": {Injection{}, sample, sample, 0},
	} {
		got, raw := inject(t, c.in, archive(t, c.before...))
		want := archive(t, c.after...)
		var r recorder
		if err := parse(&r, want, 300); err != nil {
			t.Fatal(err)
		}
		for i := range c.own {
			e := &r.events[len(r.events)-2-2*i]
			*e = strings.Replace(*e, " 26 27 ", " 2048 1024 ", 1)
		}
		if !slices.Equal(got.events, r.events) {
			t.Errorf("%s:\n got %q\nwant %q", name, got.events, r.events)
		}
		if n := 2 * BlockSize; !bytes.Equal(raw[:n], want[:n]) {
			t.Errorf("%s: untouched member was not passed on as it came", name)
		}
	}
}

func TestMembersCanFollowTheInjectedOnes(t *testing.T) {
	var b bytes.Buffer
	w := NewWriter(&b)
	in := NewInjector(w, Injection{Add: []File{{Name: "recovery.conf", Content: []byte("standby_mode = 'on'\n")}}})
	if err := parse(in, archive(t, sample...), 1000); err != nil {
		t.Fatal(err)
	}
	if err := in.Finish(); err != nil {
		t.Fatal(err)
	}
	if err := w.WriteHeader(&Header{Name: "pg_wal/000000010000000000000001", Mode: 0o600, Size: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if _, err := w.Write(bytes.Repeat([]byte{1}, 8192)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Fill(); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	var names []string
	if err := parse(headerFunc(func(h *Header) { names = append(names, h.Name) }), b.Bytes(), 1000); err != nil {
		t.Fatal(err)
	}
	if tail := names[len(names)-2:]; !slices.Equal(tail, []string{"recovery.conf", "pg_wal/000000010000000000000001"}) {
		t.Errorf("got %q", tail)
	}
}

func TestAppendingRefusesWhatItWouldSpoil(t *testing.T) {
	in := Injection{Append: []File{{Name: "conf", Content: []byte("x")}}}
	for name, a := range map[string][]byte{
		"twice":     archive(t, member{name: "conf"}, member{name: "conf"}),
		"directory": archive(t, member{name: "conf/", typ: '5'}),
	} {
		i := NewInjector(NewWriter(io.Discard), in)
		if err := parse(i, a, 300); err == nil || !strings.Contains(err.Error(), `"conf"`) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	i := NewInjector(NewWriter(io.Discard), in)
	if err := i.Member(&Header{Name: "conf", Type: Regular, Size: math.MaxInt64}); err == nil {
		t.Error("size overflowed")
	}
}

func TestInjectorTakesNothingAfterFinish(t *testing.T) {
	i := NewInjector(discard{}, Injection{})
	if err := i.Finish(); err != nil {
		t.Fatal(err)
	}
	if err := i.Member(&Header{Name: "x"}); !errors.Is(err, errFinished) {
		t.Errorf("got %v", err)
	}
	if err := i.Finish(); !errors.Is(err, errFinished) {
		t.Errorf("got %v", err)
	}
}

func TestInjectorPassesOnErrors(t *testing.T) {
	boom := errors.New("boom")
	fail := contentFunc(func([]byte) error { return boom })
	file := File{Name: "conf", Content: []byte("x")}
	i := NewInjector(fail, Injection{Append: []File{file}})
	if err := parse(i, archive(t, member{name: "conf"}), 300); err != boom {
		t.Errorf("append: got %v", err)
	}
	for name, in := range map[string]Injection{"append at the end": {Append: []File{file}}, "add": {Add: []File{file}}} {
		if err := NewInjector(fail, in).Finish(); err != boom {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
