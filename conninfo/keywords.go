package conninfo

import "strings"

// keyword describes one connection option of libpq.
type keyword struct {
	name     string
	env      string // environment variable that supplies the value, "" for none
	fallback string // compiled-in default, "" for none
	since    int    // first server version whose own libpq knows the option, as PQserverVersion counts; 0 for 9.0 and older
	secret   bool   // the value must not appear in messages
}

// keywords lists every option of libpq 18 in libpq's own order
// (PQconninfoOptions in fe-connect.c), which is also the order in which
// primary_conninfo is written. The defaults are those of a libpq built with
// TLS and GSSAPI, as distributions build it.
var keywords = []keyword{
	{name: "service", env: "PGSERVICE"},
	{name: "user", env: "PGUSER"},
	{name: "password", env: "PGPASSWORD", secret: true},
	{name: "passfile", env: "PGPASSFILE", since: 100000},
	{name: "channel_binding", env: "PGCHANNELBINDING", fallback: "prefer", since: 130000},
	{name: "connect_timeout", env: "PGCONNECT_TIMEOUT"},
	{name: "dbname", env: "PGDATABASE"},
	{name: "host", env: "PGHOST"},
	{name: "hostaddr", env: "PGHOSTADDR"},
	{name: "port", env: "PGPORT", fallback: "5432"},
	{name: "client_encoding", env: "PGCLIENTENCODING", since: 90100},
	{name: "options", env: "PGOPTIONS"},
	{name: "application_name", env: "PGAPPNAME"},
	{name: "fallback_application_name"},
	{name: "keepalives"},
	{name: "keepalives_idle"},
	{name: "keepalives_interval"},
	{name: "keepalives_count"},
	{name: "tcp_user_timeout", since: 120000},
	{name: "sslmode", env: "PGSSLMODE", fallback: "prefer"},
	{name: "sslnegotiation", env: "PGSSLNEGOTIATION", fallback: "postgres", since: 170000},
	{name: "sslcompression", env: "PGSSLCOMPRESSION", fallback: "0", since: 90200},
	{name: "sslcert", env: "PGSSLCERT"},
	{name: "sslkey", env: "PGSSLKEY"},
	{name: "sslcertmode", env: "PGSSLCERTMODE", fallback: "allow", since: 160000},
	{name: "sslpassword", since: 130000, secret: true},
	{name: "sslrootcert", env: "PGSSLROOTCERT"},
	{name: "sslcrl", env: "PGSSLCRL"},
	{name: "sslcrldir", env: "PGSSLCRLDIR", since: 140000},
	{name: "sslsni", env: "PGSSLSNI", fallback: "1", since: 140000},
	{name: "requirepeer", env: "PGREQUIREPEER", since: 90100},
	{name: "require_auth", env: "PGREQUIREAUTH", since: 160000},
	{name: "min_protocol_version", env: "PGMINPROTOCOLVERSION", since: 180000},
	{name: "max_protocol_version", env: "PGMAXPROTOCOLVERSION", since: 180000},
	{name: "ssl_min_protocol_version", env: "PGSSLMINPROTOCOLVERSION", fallback: "TLSv1.2", since: 130000},
	{name: "ssl_max_protocol_version", env: "PGSSLMAXPROTOCOLVERSION", since: 130000},
	{name: "gssencmode", env: "PGGSSENCMODE", fallback: "prefer", since: 120000},
	{name: "krbsrvname", env: "PGKRBSRVNAME", fallback: "postgres"},
	{name: "gsslib", env: "PGGSSLIB"},
	{name: "gssdelegation", env: "PGGSSDELEGATION", fallback: "0", since: 160000},
	{name: "replication"},
	{name: "target_session_attrs", env: "PGTARGETSESSIONATTRS", fallback: "any", since: 100000},
	{name: "load_balance_hosts", env: "PGLOADBALANCEHOSTS", fallback: "disable", since: 160000},
	{name: "scram_client_key", since: 180000, secret: true},
	{name: "scram_server_key", since: 180000, secret: true},
	{name: "oauth_issuer", since: 180000},
	{name: "oauth_client_id", since: 180000},
	{name: "oauth_client_secret", since: 180000, secret: true},
	{name: "oauth_scope", since: 180000},
	{name: "sslkeylogfile", since: 180000},
}

var keywordIndex = func() map[string]int {
	m := make(map[string]int, len(keywords))
	for i, k := range keywords {
		m[k.name] = i
	}
	return m
}()

// Known reports whether name is a connection option of libpq.
func Known(name string) bool {
	_, ok := keywordIndex[name]
	return ok
}

func secret(name string) bool {
	i, ok := keywordIndex[name]
	return ok && keywords[i].secret
}

// hidden stands for text that is, or may be part of, a secret.
const hidden = "***"

// shownAfter returns text for a message. Text that follows a secret value may
// be the rest of that secret, cut off at a space or "&" that should have been
// quoted; it is shown only when it is a keyword. Text before an "@" may be the
// user and password of a misspelt URI.
func shownAfter(previous, text string) string {
	switch at := strings.LastIndexByte(text, '@'); {
	case secret(previous) && !Known(text):
		return hidden
	case at >= 0:
		return hidden + text[at:]
	}
	return Hide(text)
}
