package tarstream

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestArchiveThatPassesThroughIsUnchanged(t *testing.T) {
	a := archive(t, sample...)
	for _, n := range []int{1, 100, 512, 1 << 20} {
		var b bytes.Buffer
		w := NewWriter(&b)
		if err := parse(w, a, n); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, b.Bytes()) {
			t.Errorf("pieces of %d bytes: the archive changed", n)
		}
	}
}

// writeSample writes the sample members with headers of our own.
func writeSample(t *testing.T, w *Writer) {
	t.Helper()
	for _, m := range sample {
		h := &Header{Name: strings.TrimSuffix(m.name, "/"), Linkname: m.link, Type: Type(m.typ), ModTime: someTime,
			Mode: fs.FileMode(m.mode), Size: int64(len(m.content)), UID: InjectedUID, GID: InjectedGID}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		for rest := m.content; rest != ""; {
			n := min(len(rest), 1000)
			if _, err := w.Write([]byte(rest[:n])); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestStandardLibraryAndGNUTarReadWhatIsWritten(t *testing.T) {
	var b bytes.Buffer
	writeSample(t, NewWriter(&b))

	r := tar.NewReader(bytes.NewReader(b.Bytes()))
	for _, m := range sample {
		h, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if strings.TrimSuffix(h.Name, "/") != strings.TrimSuffix(m.name, "/") || string(content) != m.content || h.Linkname != m.link {
			t.Errorf("%s: got %+v and %d bytes", m.name, h, len(content))
		}
	}
	if _, err := r.Next(); err != io.EOF {
		t.Errorf("after the last member: %v", err)
	}

	dir := t.TempDir()
	cmd := exec.Command("tar", "-x", "-f", "-", "-C", dir)
	cmd.Stdin = &b
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("tar: %v, %s", err, out)
	}
	for _, m := range sample {
		path := filepath.Join(dir, m.name)
		switch m.typ {
		case '2':
			if target, err := os.Readlink(path); err != nil || target != m.link {
				t.Errorf("%s: %q, %v", m.name, target, err)
			}
		case '5':
			if info, err := os.Stat(path); err != nil || !info.IsDir() {
				t.Errorf("%s: %v, %v", m.name, info, err)
			}
		default:
			if got, err := os.ReadFile(path); err != nil || string(got) != m.content {
				t.Errorf("%s: %d bytes, %v", m.name, len(got), err)
			}
		}
	}
}

func TestArchivesOfGNUTarAreRead(t *testing.T) {
	dir := t.TempDir()
	long := strings.Repeat("d", 90) + "/" + strings.Repeat("f", 90)
	for name, content := range map[string]string{"PG_VERSION": "18\n", "base/1/1259": strings.Repeat("x", 8192), long: "long"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command("tar", "-c", "--format=ustar", "-f", "-", "-C", dir, "PG_VERSION", "base", long).Output()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int64{}
	if err := parse(headerFunc(func(h *Header) { got[h.Name] = h.Size }), out, 1000); err != nil {
		t.Fatal(err)
	}
	if want := (map[string]int64{"PG_VERSION": 3, "base": 0, "base/1": 0, "base/1/1259": 8192, long: 4}); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}

	out, err = exec.Command("tar", "-c", "--format=gnu", "-f", "-", "-C", dir, long).Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := parse(discard{}, out, 1000); err == nil || !strings.Contains(err.Error(), "not supported") {
		t.Errorf("GNU long name: got %v", err)
	}
}

func TestMemberMustHaveTheSizeThatItsHeaderSays(t *testing.T) {
	next := &Header{Name: "next", Type: Regular}
	for name, end := range map[string]func(w *Writer) error{
		"next header": func(w *Writer) error { return w.WriteHeader(next) },
		"flush":       (*Writer).Flush,
		"close":       (*Writer).Close,
		"end member":  (*Writer).EndMember,
	} {
		w := NewWriter(io.Discard)
		if err := w.WriteHeader(&Header{Name: "base/1", Size: 10}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(make([]byte, 9)); err != nil {
			t.Fatal(err)
		}
		err := end(w)
		if err == nil || !strings.Contains(err.Error(), `"base/1" is 1 bytes shorter`) {
			t.Errorf("%s: got %v", name, err)
		}
		if again := w.Close(); again != err {
			t.Errorf("%s: error did not stay: %v", name, again)
		}
	}
	var b bytes.Buffer
	w := NewWriter(&b)
	if err := w.WriteHeader(&Header{Name: "base/1", Size: 10}); err != nil {
		t.Fatal(err)
	}
	if n, err := w.Write(make([]byte, 12)); n != 0 || err == nil || !strings.Contains(err.Error(), `"base/1" is 2 bytes longer`) {
		t.Errorf("got %d, %v", n, err)
	}
	if b.Len() != BlockSize {
		t.Errorf("%d bytes were written", b.Len())
	}
}

func TestFillCompletesAMemberWithZeroes(t *testing.T) {
	var b bytes.Buffer
	w := NewWriter(&b)
	for _, size := range []int64{3, 1000, 1 << 20} {
		if err := w.WriteHeader(&Header{Name: "pg_wal/x", Size: size}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte("wal")); err != nil {
			t.Fatal(err)
		}
		if err := w.Fill(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	var got []int
	err := parse(contentFunc(func(p []byte) error {
		if !bytes.Equal(p[:3], []byte("wal")) || firstNonZero(p[3:]) >= 0 {
			return errors.New("content differs")
		}
		got = append(got, len(p))
		return nil
	}), b.Bytes(), b.Len())
	if err != nil || fmt.Sprint(got) != "[3 1000 1048576]" {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestFlushCompletesTheBlock(t *testing.T) {
	var b bytes.Buffer
	w := NewWriter(&b)
	if err := WriteFile(w, &Header{Name: "x", Size: 1}, []byte("x")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		if b.Len() != 2*BlockSize {
			t.Errorf("%d bytes", b.Len())
		}
	}
	for range 2 {
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if b.Len() != 4*BlockSize {
		t.Errorf("%d bytes", b.Len())
	}
	if err := w.WriteHeader(&Header{Name: "y"}); err == nil {
		t.Error("a member was accepted after Close")
	}
}

// limited fails once n bytes were written.
type limited struct{ n int }

var errFull = errors.New("full")

func (l *limited) Write(p []byte) (int, error) {
	if len(p) > l.n {
		n := l.n
		l.n = 0
		return n, errFull
	}
	l.n -= len(p)
	return len(p), nil
}

func TestErrorsOfTheUnderlyingWriterComeBackAndStay(t *testing.T) {
	a := archive(t, sample[:5]...)
	for n := 0; n < len(a); n += 100 {
		w := NewWriter(&limited{n: n})
		err := parse(w, a, 300)
		if err == nil {
			err = w.Close()
		}
		if err != errFull {
			t.Errorf("after %d bytes: got %v", n, err)
		}
		if err := w.Close(); err != errFull {
			t.Errorf("after %d bytes: Close gave %v", n, err)
		}
	}
}
