//go:build unix

package replproto

import (
	"os"
	"syscall"
)

// privateEnough: 0600 or less, or 0640 or less when root owns the key, so that
// a system-wide key can be read by members of a group.
func privateEnough(st os.FileInfo) bool {
	forbidden := os.FileMode(0o077)
	if sys, ok := st.Sys().(*syscall.Stat_t); ok && sys.Uid == 0 {
		forbidden = 0o037
	}
	return st.Mode().Perm()&forbidden == 0
}
