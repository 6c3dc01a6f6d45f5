package tarstream

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
)

func TestFullDiskIsNamedWithTheFile(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{100, serverPiece, 1 << 20} {
		dir := t.TempDir()
		x, err := NewExtractor(ExtractOptions{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if err := x.Member(&Header{Name: "base", Size: int64(2 * size)}); err != nil {
			t.Fatal(err)
		}
		x.file.Close()
		x.file = full
		for err = nil; err == nil; {
			err = x.Content(make([]byte, size))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("pieces of %d bytes: got %v", size, err)
		}
		if want := `could not write to file "` + dir + `/base": No space left on device`; err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
		x.file = nil
		if closed := x.Close(); closed != err {
			t.Errorf("Close gave %v", closed)
		}
	}
	full.Close()
}

func TestNamesMayHoldAnythingButSlashAndZero(t *testing.T) {
	names := []string{"new\nline", "\xff\xfe", `back\slash`, "C:x", " ", "-rf", "*", "a."}
	var a bytes.Buffer
	w := NewWriter(&a)
	for _, n := range names {
		if err := WriteFile(w, &Header{Name: n, Size: int64(len(n))}, []byte(n)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	dir, err := extract(t, ExtractOptions{}, a.Bytes(), 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if got, err := os.ReadFile(dir + "/" + n); err != nil || string(got) != n {
			t.Errorf("%q: %q, %v", n, got, err)
		}
	}
	_, err = extract(t, ExtractOptions{}, archive(t, member{name: "x\ny/z"}), 1000)
	if err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("error with a newline: %v", err)
	}
}
