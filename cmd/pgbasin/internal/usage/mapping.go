package usage

import (
	"path"
	"path/filepath"
	"runtime"
	"strings"
)

// maxPath is PostgreSQL's MAXPGPATH.
const maxPath = 1024

// ParseMapping reads OLDDIR=NEWDIR, where a backslash makes an equals sign
// part of a name (tablespace_list_append in pg_basebackup.c).
func ParseMapping(s string) (from, to string, err error) {
	var dirs [2][]byte
	which := 0
	for i := 0; i < len(s); i++ {
		switch {
		case len(dirs[which]) >= maxPath:
			return "", "", Refuse("directory name too long")
		case s[i] == '\\' && i+1 < len(s) && s[i+1] == '=':
		case s[i] == '=' && (i == 0 || s[i-1] != '\\'):
			if len(dirs[1]) > 0 {
				return "", "", Refuse("multiple \"=\" signs in tablespace mapping")
			}
			which = 1
		default:
			dirs[which] = append(dirs[which], s[i])
		}
	}
	from, to = string(dirs[0]), string(dirs[1])
	switch {
	case from == "" || to == "":
		return "", "", Refuse("invalid tablespace mapping format \"%s\", must be \"OLDDIR=NEWDIR\"", s)
	case !strings.HasPrefix(from, "/") && !absoluteOnWindows(from):
		// The server's platform is not known, and need not be this one.
		return "", "", Refuse("old directory is not an absolute path in tablespace mapping: %s", from)
	case !AbsolutePath(to):
		return "", "", Refuse("new directory is not an absolute path in tablespace mapping: %s", to)
	}
	return path.Clean(from), filepath.Clean(to), nil
}

// AbsolutePath is PostgreSQL's notion of an absolute path on this platform, which
// on Windows includes those without a drive.
func AbsolutePath(name string) bool {
	if runtime.GOOS == "windows" {
		return absoluteOnWindows(name)
	}
	return filepath.IsAbs(name)
}

func absoluteOnWindows(name string) bool {
	separator := func(c byte) bool { return c == '/' || c == '\\' }
	if name == "" {
		return false
	}
	letter := name[0]|0x20 >= 'a' && name[0]|0x20 <= 'z'
	return separator(name[0]) || len(name) > 2 && letter && name[1] == ':' && separator(name[2])
}
