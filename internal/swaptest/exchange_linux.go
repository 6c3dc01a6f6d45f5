package swaptest

import "golang.org/x/sys/unix"

// exchange makes each of two paths lead to what the other one led to, at once: in
// between, the program under test would find nothing.
func exchange(a, b string) error {
	return unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
}
