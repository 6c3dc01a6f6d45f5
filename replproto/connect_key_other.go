//go:build !unix

package replproto

import "os"

// privateEnough cannot be told from file modes here; libpq does not check
// either.
func privateEnough(os.FileInfo) bool { return true }
