package tarstream

import (
	"archive/tar"
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"
)

// recorder notes what a Visitor is told, in a form to compare: contents are
// joined, so that how the input was split does not show.
type recorder struct {
	events  []string
	content []byte
	inside  bool
}

func (r *recorder) Member(h *Header) error {
	if r.inside {
		return fmt.Errorf("member inside a member")
	}
	r.inside = true
	r.events = append(r.events, describe(h))
	r.content = r.content[:0]
	return nil
}

func (r *recorder) Content(p []byte) error {
	if !r.inside || len(p) == 0 {
		return fmt.Errorf("content of %d bytes, inside a member: %v", len(p), r.inside)
	}
	r.content = append(r.content, p...)
	return nil
}

func (r *recorder) EndMember() error {
	if !r.inside {
		return fmt.Errorf("end outside a member")
	}
	r.inside = false
	r.events = append(r.events, fmt.Sprintf("%x", r.content))
	return nil
}

func describe(h *Header) string {
	return fmt.Sprintf("%q %q %c %o %d %d %d %d", h.Name, h.Linkname, h.Type, h.Mode, h.UID, h.GID, h.Size, h.ModTime.Unix())
}

// member is one member of an archive made for a test.
type member struct {
	name    string
	typ     byte
	link    string
	content string
	mode    int64
}

var sample = []member{
	{name: "backup_label", content: "START WAL LOCATION: 0/2000028\n", mode: 0o600},
	{name: "base/", typ: '5', mode: 0o700},
	{name: "base/1/", typ: '5', mode: 0o700},
	{name: "base/1/1259", content: string(bytes.Repeat([]byte("abcdefgh"), 1024)), mode: 0o600},
	{name: "base/1/empty", mode: 0o640},
	{name: "base/1/PG_VERSION", content: "18\n", mode: 0o600},
	{name: "pg_tblspc/", typ: '5', mode: 0o700},
	{name: "pg_tblspc/16384", typ: '2', link: "/srv/ts1", mode: 0o777},
	{name: "postgresql.auto.conf", content: "# Do not edit\n", mode: 0o600},
	{name: "global/", typ: '5', mode: 0o700},
	{name: "global/pg_control", content: string(make([]byte, 8192)), mode: 0o600},
}

// seed is the sample with less content: a fuzzer gets further with small inputs.
func seed() []member {
	members := slices.Clone(sample)
	for i := range members {
		members[i].content = members[i].content[:min(len(members[i].content), 30)]
	}
	return members
}

var someTime = time.Unix(1_700_000_000, 0)

// archive makes an archive with the standard library.
func archive(t testing.TB, members ...member) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range members {
		typ := m.typ
		if typ == 0 {
			typ = '0'
		}
		h := &tar.Header{Name: m.name, Typeflag: typ, Linkname: m.link, Size: int64(len(m.content)),
			Mode: m.mode, ModTime: someTime, Uid: 26, Gid: 27, Format: tar.FormatUSTAR}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(m.content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// parse feeds an archive to a visitor in pieces of n bytes.
func parse(v Visitor, data []byte, n int) error {
	p := NewParser(v)
	for len(data) > 0 {
		m := min(n, len(data))
		if _, err := p.Write(data[:m]); err != nil {
			return err
		}
		data = data[m:]
	}
	return p.Close()
}
