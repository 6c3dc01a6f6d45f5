package conninfo

import (
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// env makes a Lookup of NAME=value pairs.
func env(pairs ...string) Lookup {
	m := make(map[string]string)
	for _, p := range pairs {
		k, v, _ := strings.Cut(p, "=")
		m[k] = v
	}
	return func(name string) (string, bool) {
		v, ok := m[name]
		return v, ok
	}
}

func resolve(t *testing.T, dsn string, lookup Lookup) Settings {
	t.Helper()
	given, err := Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Resolve(given, lookup)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func write(t *testing.T, path, text string, mode os.FileMode) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPrecedenceIsExplicitServiceEnvironmentDefault(t *testing.T) {
	dir := t.TempDir()
	file := write(t, filepath.Join(dir, "svc"), "[other]\nhost=no\n[s]\n# comment\n  host=fromservice  \nport=1\ndbname=d\n[s]\nuser=second\n", 0o600)
	lookup := env("HOME="+dir, "PGSERVICEFILE="+file, "PGSERVICE=s", "PGHOST=fromenv", "PGUSER=envuser", "PGPORT=2", "PGCONNECT_TIMEOUT=")
	s := resolve(t, "port=3 application_name=''", lookup)
	for _, c := range []struct {
		keyword, value string
		source         Source
	}{
		{"port", "3", Explicit},
		{"host", "fromservice", Service},
		{"dbname", "d", Service},
		{"user", "envuser", Environment},
		{"service", "s", Environment},
		{"connect_timeout", "", Environment},
		{"sslmode", "prefer", Default},
		{"application_name", "", Unset},
		{"passfile", filepath.Join(dir, ".pgpass"), Default},
		{"sslrootcert", filepath.Join(dir, ".postgresql", "root.crt"), Default},
	} {
		if runtime.GOOS == "windows" && c.source == Default && c.keyword != "sslmode" {
			continue
		}
		if s.Value(c.keyword) != c.value || s.Source(c.keyword) != c.source {
			t.Errorf("%s = %q from %d, want %q from %d", c.keyword, s.Value(c.keyword), s.Source(c.keyword), c.value, c.source)
		}
	}
}

func TestNothingIsReadFromTheProcess(t *testing.T) {
	t.Setenv("PGHOST", "elsewhere")
	t.Setenv("PGSERVICE", "none")
	t.Setenv("PGUSER", "nobody-at-all")
	s := resolve(t, "", nil)
	if s.Value("host") != "" || s.Value("user") == "nobody-at-all" {
		t.Errorf("got %v", s)
	}
}

func TestServiceFiles(t *testing.T) {
	dir := t.TempDir()
	sys := filepath.Join(dir, "sys")
	if err := os.Mkdir(sys, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, ".pg_service.conf"), "[home]\nhost=h1\n", 0o600)
	write(t, filepath.Join(sys, "pg_service.conf"), "[home]\nhost=no\n[sys]\nhost=h2\n", 0o600)
	for _, c := range []struct {
		name, service, file, host, err string
	}{
		{name: "the user's file", service: "home", host: "h1"},
		{name: "the system's file", service: "sys", host: "h2"},
		{name: "missing service", service: "nope", err: `definition of service "nope" not found`},
		{name: "missing file", service: "x", file: "-", err: `service file "` + filepath.Join(dir, "file") + `" not found`},
		{name: "PGSERVICEFILE, then the system's", service: "sys", file: "[a]\nhost=b\n", host: "h2"},
		{name: "no newline at the end", service: "a", file: "[a]\nhost=b", host: "b"},
		{name: "value with spaces and =", service: "a", file: "[a]\nhost=b\noptions=-c a=b\n", host: "b"},
		{name: "nested", service: "a", file: "[a]\nservice=b\n", err: `nested service specifications not supported in service file "FILE", line 2`},
		{name: "no =", service: "a", file: "[a]\n\nhost\n", err: `syntax error in service file "FILE", line 3`},
		{name: "unknown keyword", service: "a", file: "[a]\nhots=b\n", err: `syntax error in service file "FILE", line 2`},
		{name: "space before =", service: "a", file: "[a]\nhost =b\n", err: `syntax error in service file "FILE", line 2`},
		{name: "errors elsewhere do not matter", service: "a", file: "[b]\nhots\n[a]\nhost=c\n[b]\nx\n", host: "c"},
		{name: "long line", service: "a", file: "[a]\noptions=" + strings.Repeat("x", 1015) + "\n", err: `line 2 too long in service file "FILE"`},
		{name: "longest line", service: "a", file: "[a]\nhost=" + strings.Repeat("x", 1016) + "\n", host: strings.Repeat("x", 1016)},
	} {
		t.Run(c.name, func(t *testing.T) {
			pairs := []string{"HOME=" + dir, "APPDATA=" + dir, "PGSYSCONFDIR=" + sys}
			file := filepath.Join(dir, "file")
			os.Remove(file)
			if c.file != "" {
				pairs = append(pairs, "PGSERVICEFILE="+file)
				if c.file != "-" {
					write(t, file, c.file, 0o600)
				}
			}
			given, err := Parse("service=" + c.service)
			if err != nil {
				t.Fatal(err)
			}
			s, err := Resolve(given, env(pairs...))
			if c.err != "" {
				if want := strings.ReplaceAll(c.err, "FILE", file); err == nil || err.Error() != want {
					t.Errorf("got error %v, want %s", err, want)
				}
				return
			}
			if err != nil || s.Value("host") != c.host {
				t.Errorf("host = %q, %v; want %q", s.Value("host"), err, c.host)
			}
		})
	}
}

func TestOldRequireSSLVariable(t *testing.T) {
	for _, c := range []struct {
		lookup Lookup
		want   string
	}{
		{env("PGREQUIRESSL=1"), "require"},
		{env("PGREQUIRESSL=0"), "prefer"},
		{env("PGREQUIRESSL=1", "PGSSLMODE=disable"), "disable"},
	} {
		if got := resolve(t, "", c.lookup).Value("sslmode"); got != c.want {
			t.Errorf("sslmode = %s, want %s", got, c.want)
		}
	}
}

func TestSystemRootsStrengthenTheDefaultMode(t *testing.T) {
	if got := resolve(t, "sslrootcert=system", nil).Value("sslmode"); got != "verify-full" {
		t.Errorf("sslmode = %s", got)
	}
	if err := resolve(t, "sslrootcert=system sslmode=require", nil).Check(); err == nil {
		t.Error("a weak explicit mode is accepted")
	}
}

func TestUserDefaultsToTheAccount(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Log("on Windows the account name has another source")
		return
	}
	old := lookupUser
	t.Cleanup(func() { lookupUser = old })
	lookupUser = func(string) (*user.User, error) { return &user.User{Username: "alice", HomeDir: "/home/alice"}, nil }
	s := resolve(t, "", nil)
	if s.Value("user") != "alice" || s.Value("passfile") != "/home/alice/.pgpass" {
		t.Errorf("got %v", s)
	}
	lookupUser = func(uid string) (*user.User, error) { return nil, user.UnknownUserIdError(7) }
	if _, err := Resolve(Settings{}, nil); err == nil || !strings.Contains(err.Error(), "local user with ID") {
		t.Errorf("got %v", err)
	}
	if _, err := Resolve(s, nil); err != nil {
		t.Errorf("no account is needed when the user is given: %v", err)
	}
}

// The messages were recorded from libpq 18.4, except for those about what is
// not supported here.
func TestCheck(t *testing.T) {
	for _, c := range []struct{ dsn, want string }{
		{"", ""},
		{"host=a,b hostaddr=127.0.0.1", `could not match 2 host names to 1 hostaddr values`},
		{"host=a,b port=1,2,3", `could not match 3 port numbers to 2 hosts`},
		{"hostaddr=1.1.1.1,2.2.2.2 host=a", `could not match 1 host names to 2 hostaddr values`},
		{"port=1,2", `could not match 2 port numbers to 1 hosts`},
		{"host=a port=abc", `invalid integer value "abc" for connection option "port"`},
		{"host=a port=' 1 '", ""},
		{"host=a,b port=,1", ""},
		{"require_auth=md5,md5", `require_auth method "md5" is specified more than once`},
		{"require_auth=!md5,password", `require_auth method "password" cannot be mixed with negative methods`},
		{"require_auth=md5,!password", `negative require_auth method "!password" cannot be mixed with non-negative methods`},
		{"require_auth=!foo", `invalid require_auth value: "foo"`},
		{"require_auth=md5,", `invalid require_auth value: ""`},
		{"require_auth=scram-sha-256,none", ""},
		{"channel_binding=x", `invalid channel_binding value: "x"`},
		{"sslmode=x", `invalid sslmode value: "x"`},
		{"sslnegotiation=x", `invalid sslnegotiation value: "x"`},
		{"sslnegotiation=direct", `weak sslmode "prefer" may not be used with sslnegotiation=direct (use "require", "verify-ca", or "verify-full")`},
		{"sslnegotiation=direct sslmode=require", ""},
		{"sslrootcert=system sslmode=require", `weak sslmode "require" may not be used with sslrootcert=system (use "verify-full")`},
		{"ssl_min_protocol_version=x", `invalid "ssl_min_protocol_version" value: "x"`},
		{"ssl_max_protocol_version=TLSv1.1", `invalid SSL protocol version range`},
		{"ssl_min_protocol_version=tlsv1.3 ssl_max_protocol_version=TLSv1.3", ""},
		{"sslcertmode=x", `invalid sslcertmode value: "x"`},
		{"gssencmode=x", `invalid gssencmode value: "x"`},
		{"gssencmode=require", `gssencmode value "require" invalid when GSSAPI support is not compiled in`},
		{"gssencmode=disable gsslib=gssapi krbsrvname=pg gssdelegation=1", ""},
		{"target_session_attrs=x", `invalid target_session_attrs value: "x"`},
		{"load_balance_hosts=x", `invalid load_balance_hosts value: "x"`},
		{"min_protocol_version=2", `invalid min_protocol_version value: "2"`},
		{"min_protocol_version=3.2 max_protocol_version=3.0", `"min_protocol_version" is greater than "max_protocol_version"`},
		{"min_protocol_version=3.2", ""},
		{"connect_timeout=x", `invalid integer value "x" for connection option "connect_timeout"`},
		{"connect_timeout=99999999999", `invalid integer value "99999999999" for connection option "connect_timeout"`},
		{"connect_timeout=+3", ""},
		{"keepalives_idle=1x", `invalid integer value "1x" for connection option "keepalives_idle"`},
		{"scram_client_key=abc", `connection option "scram_client_key" is not supported`},
		{"oauth_issuer=x", `connection option "oauth_issuer" is not supported`},
	} {
		err := resolve(t, c.dsn, nil).Check()
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("Check(%q): %s, want %s", c.dsn, got, c.want)
		}
	}
	// An empty variable is a value, unlike an empty value in a connection string.
	if err := resolve(t, "", env("PGSSLMODE=")).Check(); err == nil || err.Error() != `invalid sslmode value: ""` {
		t.Errorf("empty PGSSLMODE: %v", err)
	}
}

func TestAuthMethods(t *testing.T) {
	for _, c := range []struct {
		value           string
		allows, forbids string
		required        bool
	}{
		{"", "md5 password none gss", "", false},
		{"scram-sha-256", "scram-sha-256", "md5 none", true},
		{"scram-sha-256,none", "scram-sha-256 none", "md5", false},
		{"!password,!md5", "scram-sha-256 none", "password md5", false},
		{"!none", "md5", "none", true},
	} {
		a, err := ParseAuthMethods(c.value)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range strings.Fields(c.allows) {
			if !a.Allows(m) {
				t.Errorf("%q does not allow %s", c.value, m)
			}
		}
		for _, m := range strings.Fields(c.forbids) {
			if a.Allows(m) {
				t.Errorf("%q allows %s", c.value, m)
			}
		}
		if a.Required() != c.required {
			t.Errorf("%q: Required() = %v", c.value, a.Required())
		}
	}
}
