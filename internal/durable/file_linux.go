package durable

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// SyncfsSupported tells whether SyncTree knows Syncfs here.
const SyncfsSupported = true

func syncfs(root *os.Root) error {
	f, err := root.Open(".")
	if err != nil {
		return fmt.Errorf("could not open file %q: %w", root.Name(), err)
	}
	err = unix.Syncfs(int(f.Fd()))
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("could not synchronize file system for file %q: %w", root.Name(), err)
	}
	return nil
}

// Datasync makes the contents of f durable, and of its metadata only what is
// needed to read them. On a file of unchanging size that is one device write.
func Datasync(f *os.File) error {
	for {
		if err := unix.Fdatasync(int(f.Fd())); err != unix.EINTR {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}

const hasWriteback = true

// StartWriteback asks the kernel to begin writing n bytes from offset to the
// device, all from there on if n is 0, without waiting. It is a hint: a sync
// afterwards finds less to do.
func StartWriteback(f *os.File, offset, n int64) {
	unix.SyncFileRange(int(f.Fd()), offset, n, unix.SYNC_FILE_RANGE_WRITE)
}

func allocate(f *os.File, size int64) error {
	for {
		if err := unix.Fallocate(int(f.Fd()), 0, 0, size); err != unix.EINTR {
			return err
		}
	}
}

func allocateUnsupported(err error) bool {
	return errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EINVAL)
}
