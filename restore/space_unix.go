//go:build linux || darwin

package restore

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// freeSpace tells how many bytes an ordinary user can still write to the file
// system of path, and which file system that is.
func freeSpace(path string) (volume string, free int64, ok bool) {
	var fs unix.Statfs_t
	var st unix.Stat_t
	if unix.Statfs(path, &fs) != nil || unix.Stat(path, &st) != nil {
		return "", 0, false
	}
	return fmt.Sprint(st.Dev), int64(fs.Bavail) * int64(fs.Bsize), true
}
