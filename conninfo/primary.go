package conninfo

import "strings"

// PrimaryConnInfo returns the value of primary_conninfo with which a standby
// connects to the server that these resolved settings lead to, as
// pg_basebackup -R writes it (GenerateRecoveryConfig in PostgreSQL's
// fe_utils/recovery_gen.c): every option that has a value, in libpq's order,
// without those that a WAL receiver overrides, and then the database name, if
// the user gave one. It contains the password when the settings do. What came
// from a service file is written out, and the service is not named: libpq 18
// does, and then a standby without that file cannot connect.
//
// version is the standby's server version (150018), 0 for the newest. A
// standby older than libpq's options refuses those it does not know; they are
// left out when they have their default value anyway. pg_basebackup leaves
// that to the user.
func (s Settings) PrimaryConnInfo(version int) string {
	var b strings.Builder
	for _, k := range keywords {
		switch k.name {
		case "replication", "dbname", "fallback_application_name", "service", "servicefile":
			continue
		}
		v := s.values[k.name]
		// The encoding that "auto" stands for is this machine's, not the
		// standby's.
		if v.text == "" || k.name == "client_encoding" && v.text == "auto" {
			continue
		}
		if v.source == Default {
			if version > 0 && version < k.since {
				continue
			}
			// Other derived values, such as the place of certificates,
			// libpq derives when it needs them.
			if k.fallback == "" && k.name != "user" && k.name != "passfile" {
				continue
			}
		}
		appendPair(&b, k.name, v.text)
	}
	if name := s.Value("dbname"); name != "" {
		appendPair(&b, "dbname", name)
	}
	return b.String()
}
