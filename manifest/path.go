package manifest

import (
	"bytes"
	"runtime"
)

// maxPath is the longest path that is taken, in bytes. The server's own limit
// is 1024 (MAXPGPATH).
const maxPath = 4096

// pathProblem says why path must not be used as the name of a file below a data
// directory, or returns "".
func pathProblem(path []byte) string {
	switch {
	case len(path) == 0:
		return "empty path name"
	case len(path) > maxPath:
		return "path name is too long"
	case path[0] == '/':
		return "path name is absolute"
	case bytes.IndexByte(path, 0) >= 0:
		return "path name contains a zero byte"
	case runtime.GOOS == "windows" && bytes.ContainsAny(path, `\:`):
		// Elsewhere these are characters like any other, and the server's
		// file system may have had them.
		return "path name contains a backslash or a colon"
	}
	for rest := path; ; {
		part, after, more := bytes.Cut(rest, []byte{'/'})
		if len(part) == 0 || string(part) == "." || string(part) == ".." {
			return "path name is not canonical"
		}
		if !more {
			return ""
		}
		rest = after
	}
}
