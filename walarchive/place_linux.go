package walarchive

import (
	"errors"

	"golang.org/x/sys/unix"
)

// renameNew renames unless the new name exists. Some file systems, such as NFS,
// cannot.
func renameNew(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if err == unix.EINVAL || err == unix.ENOSYS || err == unix.EPERM {
		return errors.ErrUnsupported
	}
	return err
}
