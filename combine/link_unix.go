//go:build unix

package combine

import (
	"os"

	"golang.org/x/sys/unix"
)

// link gives a file another name in a directory that is open.
func link(src string, dir *os.Root, name string) error {
	d, err := dir.Open(".")
	if err != nil {
		return err
	}
	defer d.Close()
	return unix.Linkat(unix.AT_FDCWD, src, int(d.Fd()), name, 0)
}
