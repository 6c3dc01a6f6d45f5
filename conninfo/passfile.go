package conninfo

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
)

// passwordFrom looks a password up in a password file. A file that cannot be
// used is not an error: libpq warns and goes on without it. host is the
// host as the user gave it, "" for the default.
//
// The reader is our own because jackc/pgpassfile trims spaces off passwords,
// drops lines with more than five fields and ignores the file's permissions.
func passwordFrom(path, host, port, dbname, user string) (password, warning string) {
	if dbname == "" || user == "" {
		return "", ""
	}
	f, err := os.Open(path)
	if err != nil {
		return "", ""
	}
	defer f.Close()
	if runtime.GOOS != "windows" {
		st, err := f.Stat()
		if err != nil {
			return "", ""
		}
		if !st.Mode().IsRegular() {
			return "", fmt.Sprintf("password file \"%s\" is not a plain file", path)
		}
		if st.Mode().Perm()&0o077 != 0 {
			return "", fmt.Sprintf("password file \"%s\" has group or world access; permissions should be u=rw (0600) or less", path)
		}
	}
	return matchPassword(f, passfileHost(host), port, dbname, user), ""
}

// passfileHost is the name under which a host stands in the password file: the
// default and the default socket directory are "localhost".
func passfileHost(host string) string {
	if host == "" {
		return "localhost"
	}
	for _, dir := range socketDirs {
		if host == dir {
			return "localhost"
		}
	}
	return host
}

// matchPassword returns the password of the first line
// hostname:port:database:username:password that fits.
func matchPassword(r io.Reader, host, port, dbname, user string) string {
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadString('\n')
		if !strings.HasPrefix(line, "#") {
			rest, ok := strings.TrimRight(line, "\r\n"), true
			for _, token := range []string{host, port, dbname, user} {
				if rest, ok = matchField(rest, token); !ok {
					break
				}
			}
			if ok {
				return unescapePassword(rest)
			}
		}
		if err != nil {
			return ""
		}
	}
}

// matchField compares the first field of line, in which ":" and "\" are
// escaped by "\", with token and returns what follows the field's colon.
func matchField(line, token string) (rest string, ok bool) {
	if rest, ok = strings.CutPrefix(line, "*:"); ok {
		return rest, true
	}
	i := 0
	for ; i < len(line); i++ {
		if line[i] == '\\' && i+1 < len(line) {
			i++
		} else if line[i] == ':' {
			return line[i+1:], token == ""
		}
		if token == "" || token[0] != line[i] {
			return "", false
		}
		token = token[1:]
	}
	return "", false
}

func unescapePassword(field string) string {
	var b strings.Builder
	for i := 0; i < len(field) && field[i] != ':'; i++ {
		if field[i] == '\\' && i+1 < len(field) {
			i++
		}
		b.WriteByte(field[i])
	}
	return b.String()
}
