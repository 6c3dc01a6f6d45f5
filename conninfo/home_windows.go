package conninfo

import (
	"fmt"
	"os/user"
	"path/filepath"
	"strings"
)

// configDir follows libpq's pqGetHomeDirectory: %APPDATA%\postgresql.
func configDir(lookup Lookup) (home, bool) {
	appdata, ok := lookup.get("APPDATA")
	if !ok || appdata == "" {
		return home{}, false
	}
	dir := filepath.Join(appdata, "postgresql")
	return home{dir: dir, passfile: "pgpass.conf", tls: dir}, true
}

const serviceFileName = ".pg_service.conf"

// osUserName is libpq's pg_fe_getauthname: the account's name without domain.
func osUserName() (string, error) {
	u, err := user.Current()
	if err != nil {
		return "", fmt.Errorf("user name lookup failure: %w", err)
	}
	return u.Username[strings.LastIndexByte(u.Username, '\\')+1:], nil
}

var serviceDirs []string

// socketDirs is empty: libpq on Windows connects to localhost by default.
var socketDirs []string
