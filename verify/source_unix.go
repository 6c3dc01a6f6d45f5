//go:build unix

package verify

import (
	"io"
	"syscall"
)

// source is a file that is read from its beginning or from an offset. It is not an
// os.File because a backup has many files that are small: what the runtime does
// for each to be able to wait for it takes longer than to read it.
type source int

func openSource(path string) (source, error) {
	for {
		fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
		if err != syscall.EINTR {
			return source(fd), err
		}
	}
}

// readAt reads at an offset until p is full or the file ends, which is io.EOF.
func (s source) readAt(p []byte, offset int64) (n int, err error) {
	for n < len(p) {
		k, err := syscall.Pread(int(s), p[n:], offset+int64(n))
		switch {
		case err == syscall.EINTR:
			continue
		case err != nil:
			return n, err
		case k == 0:
			return n, io.EOF
		}
		n += k
	}
	return n, nil
}

func (s source) close() { syscall.Close(int(s)) }
