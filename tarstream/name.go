package tarstream

import "strings"

// TablespaceDir is the only directory that may hold symbolic links.
const TablespaceDir = "pg_tblspc"

// CheckName accepts a member's name only if it is a plain relative path, as
// PostgreSQL sends them: no empty, "." or ".." components, no slash at either
// end, no zero bytes, and on Windows nothing that means a drive, a stream or a
// device there. The error is a *NameError.
func CheckName(name string) error {
	start := 0
	for i := 0; i <= len(name); i++ {
		if i < len(name) && name[i] != '/' {
			if name[i] == 0 {
				return &NameError{Name: name}
			}
			continue
		}
		switch name[start:i] {
		case "", ".", "..":
			return &NameError{Name: name}
		}
		start = i + 1
	}
	if !localName(name) {
		return &NameError{Name: name}
	}
	return nil
}

// maxComponent is the longest part of a name between slashes, in bytes, that
// file systems take (NAME_MAX).
const maxComponent = 255

// checkLength refuses a name that no file system takes, so that it is refused
// alike everywhere.
func checkLength(name string) error {
	for start, i := 0, 0; i <= len(name); i++ {
		if i < len(name) && name[i] != '/' {
			continue
		}
		if i-start > maxComponent {
			return &NameError{name, "a part of the name is longer than 255 bytes"}
		}
		start = i + 1
	}
	return nil
}

// Within tells whether the member called name is dir or lies below it.
func Within(name, dir string) bool {
	return strings.HasPrefix(name, dir) && (len(name) == len(dir) || name[len(dir)] == '/')
}

// CheckLink accepts a symbolic link only if it is a tablespace's,
// pg_tblspc/<oid>, and its target an absolute path or one that CheckName
// accepts. An absolute path may be of another operating system. The error is a
// *LinkError.
func CheckLink(name, target string) error {
	dir, oid, _ := strings.Cut(name, "/")
	if dir != TablespaceDir || !isOID(oid) {
		return &LinkError{name, target, "only tablespaces can be symbolic links"}
	}
	return checkTarget(name, target)
}

// checkHandMadeLink accepts what CheckLink does, and the WAL directory, which
// initdb --waldir and administrators make a link. Servers send a directory in
// its place (basebackup.c, sendDir).
func checkHandMadeLink(name, target string) error {
	if name == "pg_wal" || name == "pg_xlog" {
		return checkTarget(name, target)
	}
	return CheckLink(name, target)
}

func checkTarget(name, target string) error {
	if strings.IndexByte(target, 0) >= 0 || !isAbsolute(target) && CheckName(target) != nil {
		return &LinkError{name, target, "link target has unsafe path name"}
	}
	return nil
}

// isOID tells whether s has the form of an object identifier, which is 32 bits
// long.
func isOID(s string) bool {
	if len(s) == 0 || len(s) > 10 {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// isAbsolute knows Unix and Windows paths, wherever it runs: the server's
// system need not be this one.
func isAbsolute(path string) bool {
	if strings.HasPrefix(path, "/") || strings.HasPrefix(path, `\`) {
		return true
	}
	if len(path) < 3 || path[1] != ':' || path[2] != '/' && path[2] != '\\' {
		return false
	}
	c := path[0] | 0x20
	return c >= 'a' && c <= 'z'
}
