//go:build !windows

package conninfo

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// configDir follows libpq's pqGetHomeDirectory: $HOME, else the account's
// home directory.
func configDir(lookup Lookup) (home, bool) {
	dir, ok := lookup.get("HOME")
	if !ok || dir == "" {
		u, err := lookupUser(strconv.Itoa(os.Geteuid()))
		if err != nil || u.HomeDir == "" {
			return home{}, false
		}
		dir = u.HomeDir
	}
	return home{dir: dir, passfile: ".pgpass", tls: filepath.Join(dir, ".postgresql")}, true
}

const serviceFileName = ".pg_service.conf"

// osUserName is libpq's pg_fe_getauthname: the name of the effective user.
func osUserName() (string, error) {
	uid := strconv.Itoa(os.Geteuid())
	u, err := lookupUser(uid)
	if err != nil {
		return "", fmt.Errorf("local user with ID %s does not exist", uid)
	}
	return u.Username, nil
}

// serviceDirs are where distributions' builds of libpq look for the
// system-wide pg_service.conf when PGSYSCONFDIR is not set.
var serviceDirs = []string{"/etc/postgresql-common", "/etc/sysconfig/pgsql", "/usr/local/pgsql/etc"}

// socketDirs are the compiled-in default socket directories of PostgreSQL
// builds: Debian's and Red Hat's, and PostgreSQL's own.
var socketDirs = []string{"/var/run/postgresql", "/tmp"}
