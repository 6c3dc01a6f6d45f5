//go:build unix

package words

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"testing"
)

func TestSystemErrorsAreWordedAsTheCLibraryDoes(t *testing.T) {
	path := &fs.PathError{Op: "mkdir", Path: "/x", Err: syscall.EACCES}
	link := &os.LinkError{Op: "rename", Old: "a", New: "b", Err: syscall.EEXIST}
	for _, c := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("could not create directory %q: %w", "/x", path), `could not create directory "/x": Permission denied`},
		{fmt.Errorf("could not rename: %w", fmt.Errorf("really: %w", link)), "could not rename: really: File exists"},
		{fmt.Errorf("could not write: %w", syscall.ENOSPC), "could not write: No space left on device"},
		{fmt.Errorf("could not sync: %w", os.NewSyscallError("fsync", syscall.EIO)), "could not sync: Input/output error"},
		{errors.Join(fmt.Errorf("one: %w", path), fmt.Errorf("two: %w", syscall.EPIPE)), "one: Permission denied\ntwo: Broken pipe"},
		{path, "mkdir /x: Permission denied"},
		{syscall.EACCES, "Permission denied"},
		{errors.New("nothing of the system's"), "nothing of the system's"},
	} {
		if got := Of(c.err); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
