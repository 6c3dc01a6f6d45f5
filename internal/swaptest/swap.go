// Package swaptest puts a link in the place of a directory that a program is at
// work in, as somebody who means harm would, for tests.
package swaptest

import (
	"os"
	"testing"
)

// Moved ends the new name of a directory whose place was taken.
const Moved = ".moved"

// Swap puts a link to elsewhere in the place of the directory at path, which is at
// path + Moved from then on. On Linux that is one step: there is no moment at which
// the program finds nothing at path, and says that instead.
func Swap(t testing.TB, path, elsewhere string) {
	t.Helper()
	if err := os.Symlink(elsewhere, path+Moved); err != nil {
		t.Error(err)
	}
	if err := exchange(path, path+Moved); err != nil {
		t.Error(err)
	}
}
