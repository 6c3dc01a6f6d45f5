package tarstream

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// manySmall are more files than all batches hold, around the sizes that matter.
func manySmall() []member {
	members := []member{{name: "a/", typ: '5'}, {name: "b/", typ: '5'}}
	sizes := []int{0, 1, 8192, smallSize - 1, smallSize, smallSize + 1}
	for i := range 2 * smallBatches * smallBatch {
		n := sizes[i%len(sizes)]
		if i%7 > 0 {
			n = min(n, 100)
		}
		content := strings.Repeat(string(rune('a'+i%26)), n)
		members = append(members, member{name: fmt.Sprintf("%c/%d", 'a'+i/50%2, i), content: content})
	}
	return members
}

func TestSmallFilesAreWrittenConcurrentlyAsTheyAreElse(t *testing.T) {
	a := archive(t, manySmall()...)
	for _, sync := range []bool{false, true} {
		// extract does it both ways and compares.
		if _, err := extract(t, ExtractOptions{Sync: sync}, a, 10_000); err != nil {
			t.Error(err)
		}
	}
}

func TestWhatFailsOfASmallFileIsToldByALaterCall(t *testing.T) {
	const until = "until a call fails"
	for _, then := range []string{until, "a large file", "a directory", "the end"} {
		for _, fails := range []string{"create", "write to"} {
			dir := t.TempDir()
			x, err := NewExtractor(ExtractOptions{Dir: dir, Concurrent: true})
			if err != nil {
				t.Fatal(err)
			}
			want := os.ErrClosed
			if fails == "create" {
				want = fs.ErrExist
				if err := os.Mkdir(filepath.Join(dir, "bad"), 0o700); err != nil {
					t.Fatal(err)
				}
			} else {
				create := x.small.create
				x.small.create = func(name string) (*os.File, error) {
					f, err := create(name)
					if name == "bad" {
						f.Close()
					}
					return f, err
				}
			}
			add := func(name string) error { return WriteFile(x, &Header{Name: name, Size: 1}, []byte("x")) }
			if err := errors.Join(add("good"), add("bad")); err != nil {
				t.Fatal(err)
			}
			switch then {
			case until:
				for i := 0; err == nil; i++ {
					err = add(fmt.Sprint(i))
				}
			case "a large file":
				err = x.Member(&Header{Name: "large", Size: 1 << 20})
			case "a directory":
				err = x.Member(&Header{Name: "directory", Type: Directory})
			}
			closed := x.Close()
			if err != nil && closed != err {
				t.Errorf("%s, then %s: Close gave %v after %v", fails, then, closed, err)
			}
			var fe *FileError
			if !errors.As(closed, &fe) || fe.Action != "could not "+fails+" file" || fe.Path != dir+"/bad" || !errors.Is(closed, want) {
				t.Errorf("%s, then %s: got %v", fails, then, closed)
			}
			if b, err := os.ReadFile(dir + "/good"); string(b) != "x" {
				t.Errorf("%s, then %s: the file before holds %q, %v", fails, then, b, err)
			}
		}
	}
}

func TestSmallFilesAreCreatedBeforeWhatComesAfterThem(t *testing.T) {
	for range 100 {
		dir := t.TempDir()
		x, err := NewExtractor(ExtractOptions{Dir: dir, Concurrent: true})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 2 * smallBatch {
			if err := WriteFile(x, &Header{Name: fmt.Sprint(i)}, nil); err != nil {
				t.Fatal(err)
			}
		}
		err = x.Member(&Header{Name: fmt.Sprint(2*smallBatch - 1), Type: Directory})
		if !errors.Is(err, fs.ErrExist) {
			t.Fatalf("a directory of the name of a file before: got %v", err)
		}
		x.Close()
	}
}

func TestWhatWasWholeBeforeAnArchiveWasCutIsWritten(t *testing.T) {
	dir := t.TempDir()
	x, err := NewExtractor(ExtractOptions{Dir: dir, Concurrent: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(x, &Header{Name: "whole", Size: 5}, []byte("whole")); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(x.Member(&Header{Name: "cut", Size: 5}), x.Content([]byte("cu"))); err != nil {
		t.Fatal(err)
	}
	if err := x.Close(); !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), dir+"/cut") {
		t.Errorf("got %v", err)
	}
	if b, err := os.ReadFile(dir + "/whole"); string(b) != "whole" {
		t.Errorf("the file before holds %q, %v", b, err)
	}
}
