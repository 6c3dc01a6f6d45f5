//go:build unix

package replproto_test

import (
	"os"
	"syscall"
)

func fileUID(path string) (int, error) {
	st, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return int(st.Sys().(*syscall.Stat_t).Uid), nil
}
