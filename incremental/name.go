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
