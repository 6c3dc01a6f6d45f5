package verify

import (
	"path"
	"strings"
)

// alwaysIgnored are the paths that pg_verifybackup leaves out: the manifest does
// not list itself, WAL is not part of it, and a restore, or the taking of the
// backup, may change or make the others.
var alwaysIgnored = []string{
	"backup_manifest", "pg_wal", "postgresql.auto.conf", "recovery.signal", "standby.signal",
}

// ignoreList is a set of paths that are left out with all that is below them.
type ignoreList map[string]struct{}

func newIgnoreList(more []string) ignoreList {
	l := ignoreList{}
	for _, p := range alwaysIgnored {
		l.add(p)
	}
	for _, p := range more {
		if p != "" {
			l.add(path.Clean(p))
		}
	}
	return l
}

func (l ignoreList) add(path string) { l[path] = struct{}{} }

// has tells whether path or a directory above it is in the list.
func (l ignoreList) has(path string) bool {
	for end := 0; end < len(path); end++ {
		i := strings.IndexByte(path[end:], '/')
		if i < 0 {
			break
		}
		end += i
		if _, ok := l[path[:end]]; ok {
			return true
		}
	}
	_, ok := l[path]
	return ok
}
