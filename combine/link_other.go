//go:build !unix

package combine

import (
	"os"
	"path/filepath"
)

// link gives a file another name. That a directory can be linked into by its path
// alone matters only to who shares it with others.
func link(src string, dir *os.Root, name string) error {
	return os.Link(src, filepath.Join(dir.Name(), name))
}
