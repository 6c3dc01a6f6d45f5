package basebackup

import (
	"fmt"
	"os"
	"path/filepath"
)

// prune removes what is below dir but for the files that keep names, relative to dir and
// with slashes, and the directories that lead to them, which it returns. Links are
// removed and not followed.
func prune(dir string, keep func(name string) bool) (dirs []string, err error) {
	_, err = pruneDirectory(dir, "", keep, &dirs)
	if err != nil {
		err = fmt.Errorf("could not remove what is left in directory %q: %w", dir, err)
	}
	return dirs, err
}

func pruneDirectory(top, name string, keep func(string) bool, dirs *[]string) (used bool, err error) {
	entries, err := os.ReadDir(filepath.Join(top, name))
	if err != nil {
		return false, err
	}
	for _, e := range entries {
		child := e.Name()
		if name != "" {
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
			if err := os.Remove(filepath.Join(top, child)); err != nil {
				return false, err
			}
		}
		used = used || stays
	}
	return used, nil
}
