package tarstream

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
)

// manySmall are more files than all batches hold, around the sizes that matter.
func manySmall() []member {
	members := []member{{name: "a/", typ: '5'}, {name: "b/", typ: '5'}}
	sizes := []int{0, 1, 8192, smallFile - 1, smallFile, smallFile + 1}
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
	for _, later := range []bool{true, false} {
		dir := t.TempDir()
		x, err := NewExtractor(ExtractOptions{Dir: dir, Concurrent: true})
		if err != nil {
			t.Fatal(err)
		}
		add := func(name string) error {
			if err := x.Member(&Header{Name: name, Size: 1}); err != nil {
				return err
			}
			if name == "bad" {
				x.file.Close() // what is written to it fails
			}
			if err := x.Content([]byte("x")); err != nil {
				return err
			}
			return x.EndMember()
		}
		if err := errors.Join(add("good"), add("bad")); err != nil {
			t.Fatal(err)
		}
		for i := 0; later && err == nil; i++ {
			err = add(fmt.Sprint(i))
		}
		closed := x.Close()
		if later && closed != err {
			t.Errorf("Close gave %v after %v", closed, err)
		}
		var fe *FileError
		if !errors.As(closed, &fe) || fe.Action != "could not write to file" || fe.Path != dir+"/bad" || !errors.Is(closed, os.ErrClosed) {
			t.Errorf("got %v", closed)
		}
		if b, err := os.ReadFile(dir + "/good"); string(b) != "x" {
			t.Errorf("the file before holds %q, %v", b, err)
		}
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
