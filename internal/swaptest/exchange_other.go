//go:build !linux

package swaptest

import (
	"errors"
	"os"
)

// exchange makes each of two paths lead to what the other one led to.
func exchange(a, b string) error {
	third := a + ".exchange"
	return errors.Join(os.Rename(b, third), os.Rename(a, b), os.Rename(third, a))
}
