package incremental

import "strings"

// Prefix stands in front of the last part of the name of a relation file.
const Prefix = "INCREMENTAL."

// Target tells whether a file of an incremental backup is an incremental one,
// and the name of the file that it is for. name is relative to the data
// directory, below pg_tblspc/<oid>/ for a tablespace. Incremental files are where
// relation files are, which is where nobody else puts files: below base/ and
// pg_tblspc/, and in global/. Elsewhere a name that begins so is just a name
// (pg_combinebackup.c).
func Target(name string) (target string, ok bool) {
	dir, base, found := cutLast(name)
	if !found || !strings.HasPrefix(base, Prefix) || len(base) == len(Prefix) {
		return "", false
	}
	if dir != "global" && !strings.HasPrefix(dir, "base/") && !strings.HasPrefix(dir, "pg_tblspc/") {
		return "", false
	}
	return dir + "/" + base[len(Prefix):], true
}

// VisibilityMap tells whether path is that of a relation's visibility map, or of an
// incremental file for one. What changed in visibility maps cannot be told from
// WAL summaries: when a row of a page is changed that is marked as all visible, the mark
// is cleared by what is logged for the page, and 17 and 18 do not take that for a change of
// the map (walsummarizer.c looks at the blocks that a record names). A map that is put
// together of blocks may keep the mark, and index-only scans then return rows that are
// deleted. Without any mark a map is right, and the next VACUUM makes it good.
func VisibilityMap(path string) bool {
	name := strings.TrimPrefix(path[strings.LastIndexByte(path, '/')+1:], Prefix)
	name, _, _ = strings.Cut(name, ".")
	return strings.HasSuffix(name, "_vm")
}

// Name is the name of the incremental file for target.
func Name(target string) string {
	dir, base, found := cutLast(target)
	if !found {
		return Prefix + target
	}
	return dir + "/" + Prefix + base
}

func cutLast(name string) (dir, base string, found bool) {
	i := strings.LastIndexByte(name, '/')
	if i < 0 {
		return "", name, false
	}
	return name[:i], name[i+1:], true
}
