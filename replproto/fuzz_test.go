package replproto

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/internal/seeds"
)

func FuzzMessages(f *testing.F) {
	seeds.Require(f, 6)
	f.Add([]byte{'Z', 0, 0, 0, 5, 'I'}, 1)
	f.Add([]byte{'N', 0, 0, 0, 12, 'S', 'L', 'O', 'G', 0, 'M', 0, 0}, 3)
	f.Add([]byte{'D', 0, 0, 0, 14, 0, 1, 0, 0, 0, 4, 'a', 'b', 'c', 'd'}, 0)
	f.Add([]byte{'d', 0xff, 0xff, 0xff, 0xff, 0}, 2)
	f.Fuzz(func(t *testing.T, b []byte, step int) {
		read := func(step int) ([]message, error) {
			return messages(newWire(&script{b: bytes.Clone(b), step: step}), func(i int) bool { return i%2 == 0 })
		}
		want, wantErr := read(0)
		got, err := read(max(step%64, 1))
		if len(got) != len(want) || err.Error() != wantErr.Error() {
			t.Errorf("%d messages, %v; in pieces %d, %v", len(want), wantErr, len(got), err)
		}
		for i := range got {
			parseFields(got[i].body)
			parseRow(got[i].body)
		}
	})
}

// FuzzBaseBackup gives both layouts whatever a server could send after it was
// asked for a backup.
func FuzzBaseBackup(f *testing.F) {
	seeds.Require(f, 35)
	f.Fuzz(func(t *testing.T, b []byte, newLayout bool) {
		c := &Conn{wire: newWire(&script{b: b}), version: v13, params: map[string]string{}}
		if newLayout {
			c.version = v15
		}
		bb, err := c.BaseBackup(t.Context(), BaseBackupOptions{Manifest: true})
		if err != nil {
			return
		}
		bb.OnProgress = func(int64) {}
		if bb.Start == 0 || bb.Timeline == 0 {
			t.Errorf("a backup from %v on timeline %d", bb.Start, bb.Timeline)
		}
		var came []*Tablespace
		var total int64
		manifest := false
		for {
			a, err := bb.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				return
			}
			if manifest {
				t.Errorf("%s comes after the manifest", a.Name)
			}
			manifest = a.Manifest
			if manifest != (a.Tablespace == nil) || manifest != (a.Name == ManifestName) {
				t.Errorf("%+v", a)
			}
			if !manifest {
				// Its name becomes that of a file.
				if strings.ContainsAny(a.Name, "/\\\x00") || !strings.HasPrefix(a.Name, ArchiveName(a.Tablespace.OID)) || slices.Contains(came, a.Tablespace) {
					t.Errorf("archive %q of %+v", a.Name, a.Tablespace)
				}
				came = append(came, a.Tablespace)
			}
			n, err := io.Copy(io.Discard, a)
			if total += n; total > int64(len(b)+len(came)*len(tarEnd)) {
				t.Errorf("%d bytes of archives, out of %d", total, len(b))
			}
			if err != nil {
				return
			}
		}
		if len(came) != len(bb.Tablespaces) || !manifest {
			t.Errorf("%d archives for %d tablespaces, manifest %v", len(came), len(bb.Tablespaces), manifest)
		}
		if stop, timeline, err := bb.Finish(); err == nil && (stop < bb.Start || timeline < bb.Timeline) {
			t.Errorf("a backup from %v on %d to %v on %d", bb.Start, bb.Timeline, stop, timeline)
		}
	})
}

// FuzzReplication gives a stream of WAL whatever a server could send after it was
// asked for one.
func FuzzReplication(f *testing.F) {
	seeds.Require(f, 20)
	f.Fuzz(func(t *testing.T, b []byte) {
		c := &Conn{wire: newWire(&script{b: bytes.Clone(b)}), version: v15, params: map[string]string{}}
		r, err := c.StartReplication(t.Context(), ReplicationOptions{Start: 1, Timeline: 1})
		if err != nil {
			return
		}
		total := 0
		for {
			m, err := r.Receive()
			if err != nil {
				if err != io.EOF {
					return
				}
				break
			}
			switch m := m.(type) {
			case *XLogData:
				// What comes out is what went in, header and all.
				if total += len(m.Data) + 30; total > len(b) {
					t.Errorf("%d bytes, out of %d", total, len(b))
				}
				if len(m.Data) > 0 && !bytes.Contains(b, m.Data) {
					t.Error("WAL that the server did not send")
				}
			case *Keepalive:
				if total += 23; total > len(b) {
					t.Errorf("%d bytes, out of %d", total, len(b))
				}
			default:
				t.Errorf("%T", m)
			}
			if err := r.SendStatus(Status{Write: 1}); err != nil {
				t.Error(err)
			}
		}
		if r.Buffered() {
			t.Error("there is more after the end")
		}
		if next, err := r.End(); err == nil && next != nil && next.Timeline == 0 {
			t.Errorf("the next timeline is %+v", next)
		}
	})
}
