package tarstream

import (
	"path/filepath"
	"strings"
)

// localName refuses what Windows takes for something else than the name of a
// file below the directory: backslashes, drives, alternate data streams,
// devices, and endings that it drops.
func localName(name string) bool {
	if strings.ContainsAny(name, `\:`) || !filepath.IsLocal(filepath.FromSlash(name)) {
		return false
	}
	for part := range strings.SplitSeq(name, "/") {
		if c := part[len(part)-1]; c == '.' || c == ' ' {
			return false
		}
	}
	return true
}
