package backupset

import (
	"fmt"
	"strings"

	"github.com/pgbasin/pgbasin/tarstream"
)

// place is where a data directory lies in an archive: below prefix, or at the
// root if that is empty.
type place struct{ prefix string }

// maxDepth bounds how many directories a hand-made tar may have above the data
// directory.
const maxDepth = 32

// placeOf finds the place of the data directory by the name of one member. It
// is not found by names that could be anybody's, such as a first member "data".
func placeOf(name string, directory bool) (p place, found bool) {
	var parts [maxDepth]string
	n := 0
	for rest := name; n < len(parts); n++ {
		part, after, more := strings.Cut(rest, "/")
		parts[n], rest = part, after
		if !more {
			n++
			break
		}
	}
	first := parts[0]
	if topLevel[first] && !(n > 1 && decides(parts[:n], 1, directory)) {
		// By itself a directory "base" may as well be the data directory, and one in it the real one.
		return place{}, !directory || n > 2 || n == 2 && !decisive[parts[1]]
	}
	for i := 1; i < n; i++ {
		if !decides(parts[:n], i, directory) {
			continue
		}
		if i+1 < n && decides(parts[:n], i+1, directory) {
			i++ // data directories are named after what is in them, but hold nothing of that name so deep
		}
		return place{strings.Join(parts[:i], "/")}, true
	}
	return place{}, false
}

// decides tells whether the part i of a name is at the root of a data directory.
func decides(parts []string, i int, directory bool) bool {
	switch parts[i-1] {
	case "pg_replslot", "log", "pg_log": // have names in them that anybody chooses
		return false
	}
	last := i == len(parts)-1
	return decisive[parts[i]] && !(last && directory && (parts[i] == "base" || parts[i] == "global"))
}

// rel is the name below the place; "" for the directory of the place itself and
// those above it. ok is false for what is not there.
func (p place) rel(name string) (string, bool) {
	if name == "." {
		return "", true
	}
	if p.prefix == "" {
		return name, true
	}
	if rest, ok := strings.CutPrefix(name, p.prefix); ok && (rest == "" || rest[0] == '/') {
		return strings.TrimPrefix(rest, "/"), true
	}
	return "", strings.HasPrefix(p.prefix, name) && p.prefix[len(name)] == '/'
}

// rebase passes members on under their names below a place, and deals with the
// symbolic links of archives that are made by hand.
type rebase struct {
	next   tarstream.Visitor
	at     place
	note   func(format string, args ...any)
	header tarstream.Header
	skip   bool
}

func (r *rebase) Member(h *tarstream.Header) error {
	name, ok := r.at.rel(h.Name)
	if !ok {
		return fmt.Errorf("member %q is outside of the data directory, which is %q in the archive", h.Name, r.at.prefix)
	}
	if r.skip = name == ""; r.skip {
		if h.Type != tarstream.Directory {
			return fmt.Errorf("member %q is a %s, but there are members below it", h.Name, h.Type)
		}
		return nil
	}
	r.header = *h
	r.header.Name = name
	if h.Type == tarstream.Symlink {
		switch disposition(name, h.Linkname) {
		case linkRefused:
			return fmt.Errorf("member %q is a symbolic link: what it leads to, %q, is not in the backup", h.Name, h.Linkname)
		case linkWAL:
			// There was a --waldir. What stands in for its content is the WAL archive, or nothing.
			r.note("%q is a symbolic link to %q in the archive, and is taken as an empty directory", h.Name, h.Linkname)
			r.header = tarstream.Header{Name: name, Type: tarstream.Directory, Mode: 0o700, ModTime: h.ModTime}
		case linkSkipped:
			r.note("symbolic link %q, which leads to %q, was left out", h.Name, h.Linkname)
			r.skip = true
			return nil
		}
	}
	return r.next.Member(&r.header)
}

func (r *rebase) Content(p []byte) error {
	if r.skip {
		return nil
	}
	return r.next.Content(p)
}

func (r *rebase) EndMember() error {
	if r.skip {
		return nil
	}
	return r.next.EndMember()
}

type linkFate int

const (
	linkTablespace linkFate = iota // passed on
	linkWAL                        // the WAL directory's
	linkSkipped                    // as a server that sends a backup skips it
	linkRefused                    // data is behind it
)

// disposition says what becomes of a symbolic link of a data directory. Like a
// server that sends a backup, those are left out that cannot be part of the data.
func disposition(name, target string) linkFate {
	switch {
	case tarstream.CheckLink(name, target) == nil:
		return linkTablespace
	case isWALDirectory(name):
		return linkWAL
	case strings.Contains(name, "/"), name == "base", name == "global", name == VersionName:
		return linkRefused
	case strings.HasPrefix(name, "pg_") && name != "pg_log" && !strings.HasSuffix(name, ".conf"):
		return linkRefused
	}
	return linkSkipped
}
