package basebackup

import (
	"fmt"
	"io/fs"
	"os"
)

// prune removes what is below dir but for the files that keep names, relative to dir and
// with slashes, and the directories that lead to them, which it returns. Links are
// removed and not followed.
func prune(dir *os.Root, keep func(name string) bool) (dirs []string, err error) {
	_, err = pruneDirectory(dir, ".", keep, &dirs)
	if err != nil {
		err = fmt.Errorf("could not remove what is left in directory %q: %w", dir.Name(), err)
	}
	return dirs, err
}

func pruneDirectory(top *os.Root, name string, keep func(string) bool, dirs *[]string) (used bool, err error) {
	entries, err := fs.ReadDir(top.FS(), name)
	if err != nil {
		return false, err
	}
	for _, e := range entries {
		child := e.Name()
		if name != "." {
			child = name + "/" + child
		}
		stays := false
		if e.IsDir() {
			if stays, err = pruneDirectory(top, child, keep, dirs); err != nil {
				return false, err
			}
			if stays {
				*dirs = append(*dirs, child)
			}
		} else {
			stays = e.Type().IsRegular() && keep(child)
		}
		if !stays {
			if err := top.Remove(child); err != nil {
				return false, err
			}
		}
		used = used || stays
	}
	return used, nil
}
