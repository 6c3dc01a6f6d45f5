package walfiles

import (
	"os"
	"path/filepath"
	"strings"
)

// inStandbyMode tells whether the server of a data directory goes on asking for
// WAL: by standby.signal, or before 12 by standby_mode in recovery.conf.
func inStandbyMode(dir string) bool {
	if _, err := os.Lstat(filepath.Join(dir, "standby.signal")); err == nil {
		return true
	}
	content, err := os.ReadFile(filepath.Join(dir, "recovery.conf"))
	return err == nil && standbyMode(string(content))
}

// standbyMode reads recovery.conf as far as it needs. The last setting counts.
func standbyMode(conf string) (on bool) {
	for line := range strings.Lines(conf) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.FieldsFunc(strings.ToLower(line), func(r rune) bool { return strings.ContainsRune(" \t\r\n\f\v='", r) })
		if len(fields) < 2 || fields[0] != "standby_mode" {
			continue
		}
		// parse_bool takes any beginning that is not ambiguous.
		v := fields[1]
		on = v == "1" || v == "on" || strings.HasPrefix("true", v) || strings.HasPrefix("yes", v)
	}
	return on
}
