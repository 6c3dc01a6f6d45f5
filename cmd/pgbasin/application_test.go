package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/internal/pgfake"
)

// A backup's WAL stream must not count for the receiver where the server has that in
// synchronous_standby_names.
func TestABackupAnnouncesItselfUnderAnotherNameThanTheReceiver(t *testing.T) {
	for _, c := range []struct{ line, environment, want string }{
		{"pgbasin backup", "", "pgbasin_backup"},
		{"pg_basebackup", "", "pg_basebackup"},
		{"pgbasin receive -n -E 0/1", "", "pgbasin"},
		{"pg_receivewal -n -E 0/1", "", "pg_receivewal"},
		{"pgbasin backup", "mine", "mine"},
		{"pgbasin backup -d application_name=other", "mine", "other"},
	} {
		s := pgfake.Serve(t, &pgfake.Cluster{Version: "18.4"})
		env := at(t, s)
		if c.environment != "" {
			env["PGAPPNAME"] = c.environment
		}
		dir := t.TempDir()
		if strings.Contains(c.line, "backup") {
			dir = filepath.Join(dir, "b")
		}
		if got := runIn(env, "", append(strings.Fields(c.line), "-D", dir)...); got.status != 0 {
			t.Errorf("%s: %+v", c.line, got)
		}
		startups := s.Startups()
		if len(startups) == 0 || strings.Contains(c.line, "backup") && len(startups) != 2 {
			t.Errorf("%s: %d connections", c.line, len(startups))
		}
		for _, parameters := range startups {
			if name := parameters["application_name"]; name != c.want {
				t.Errorf("%s: it is known as %q, want %q", c.line, name, c.want)
			}
		}
	}
}
