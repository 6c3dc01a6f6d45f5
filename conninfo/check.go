package conninfo

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// choices are the values of options that take one of a few words. libpq
// accepts an empty value for none of them.
var choices = []struct {
	keyword string
	values  []string
}{
	{"channel_binding", []string{"disable", "prefer", "require"}},
	{"sslmode", []string{"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}},
	{"sslnegotiation", []string{"postgres", "direct"}},
	{"sslcertmode", []string{"disable", "allow", "require"}},
	{"gssencmode", []string{"disable", "prefer", "require"}},
	{"target_session_attrs", []string{"any", "read-write", "read-only", "primary", "standby", "prefer-standby"}},
	{"load_balance_hosts", []string{"disable", "random"}},
	{"min_protocol_version", []string{"3.0", "3.2", "latest"}},
	{"max_protocol_version", []string{"3.0", "3.2", "latest"}},
}

// unsupported are options that this implementation has no use for and that
// would change how the connection is secured or authenticated: they are
// refused rather than ignored.
var unsupported = []string{
	"scram_client_key", "scram_server_key",
	"oauth_issuer", "oauth_client_id", "oauth_client_secret", "oauth_scope",
}

// Check refuses resolved settings with which no connection can be made, before
// any is tried (pqConnectOptions2 in libpq). GSSAPI and OAuth are not
// implemented: what asks for them is refused by name, and gsslib, krbsrvname
// and gssdelegation have no effect, as in a libpq built without GSSAPI.
func (s Settings) Check() error {
	hosts, err := s.split()
	if err != nil {
		return err
	}
	for _, h := range hosts {
		if _, err := integer("port", h.Port); err != nil {
			return err
		}
	}
	if _, err := ParseAuthMethods(s.Value("require_auth")); err != nil {
		return err
	}
	for _, c := range choices {
		if s.Source(c.keyword) != Unset && !slices.Contains(c.values, s.Value(c.keyword)) {
			return fmt.Errorf("invalid %s value: \"%s\"", c.keyword, s.Value(c.keyword))
		}
	}

	mode := s.Value("sslmode")
	if s.Value("sslnegotiation") == "direct" && !strings.HasPrefix(mode, "r") && !strings.HasPrefix(mode, "v") {
		return fmt.Errorf("weak sslmode \"%s\" may not be used with sslnegotiation=direct (use \"require\", \"verify-ca\", or \"verify-full\")", mode)
	}
	if s.Value("sslrootcert") == "system" && mode != "verify-full" {
		return fmt.Errorf("weak sslmode \"%s\" may not be used with sslrootcert=system (use \"verify-full\")", mode)
	}
	low, err := s.tlsVersion("ssl_min_protocol_version")
	if err != nil {
		return err
	}
	high, err := s.tlsVersion("ssl_max_protocol_version")
	if err != nil {
		return err
	}
	if high != 0 && low > high {
		return fmt.Errorf("invalid SSL protocol version range")
	}
	if s.Value("gssencmode") == "require" {
		return fmt.Errorf("gssencmode value \"%s\" invalid when GSSAPI support is not compiled in", "require")
	}
	if s.Value("max_protocol_version") == "3.0" && s.Source("min_protocol_version") != Unset && s.Value("min_protocol_version") != "3.0" {
		return fmt.Errorf("\"%s\" is greater than \"%s\"", "min_protocol_version", "max_protocol_version")
	}
	for _, k := range []string{"connect_timeout", "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout"} {
		if _, _, err := s.Int(k); err != nil {
			return err
		}
	}
	for _, k := range unsupported {
		if s.Value(k) != "" {
			return fmt.Errorf("connection option \"%s\" is not supported", k)
		}
	}
	return nil
}

// tlsVersion returns the place of a protocol version in the order of versions,
// 0 when none is set.
func (s Settings) tlsVersion(keyword string) (int, error) {
	v := s.Value(keyword)
	if v == "" {
		return 0, nil
	}
	for i, name := range []string{"TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"} {
		if strings.EqualFold(v, name) {
			return i + 1, nil
		}
	}
	return 0, fmt.Errorf("invalid \"%s\" value: \"%s\"", keyword, v)
}

// Int returns the value of an option that takes an integer; ok is false when
// it is not set.
func (s Settings) Int(keyword string) (n int, ok bool, err error) {
	if s.Source(keyword) == Unset {
		return 0, false, nil
	}
	n, err = integer(keyword, s.Value(keyword))
	return n, err == nil, err
}

// integer reads a value as libpq's pqParseIntParam does: a C int, with spaces
// around it allowed.
func integer(keyword, value string) (int, error) {
	n, err := strconv.ParseInt(strings.Trim(value, " \t\n\v\f\r"), 10, 32)
	if err != nil {
		return 0, fmt.Errorf("invalid integer value \"%s\" for connection option \"%s\"", value, keyword)
	}
	return int(n), nil
}
