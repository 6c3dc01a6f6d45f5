//go:build !linux

package combine

import (
	"errors"
	"os"
)

// checkPlatform tells whether the method exists here.
func checkPlatform(m Method) error {
	switch m {
	case Clone:
		return errors.New("file cloning not supported on this platform")
	case CopyFileRange:
		return errors.New("copy_file_range not supported on this platform")
	}
	return nil
}

func clone(*os.File, *os.File) error     { return errors.ErrUnsupported }
func copyRange(*os.File, *os.File) error { return errors.ErrUnsupported }
