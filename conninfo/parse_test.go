package conninfo

import (
	"encoding/json"
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/internal/seeds"
)

// testdata/parse.json was recorded from PQconninfoParse of libpq 18.4.
func TestParseAgreesWithLibpq(t *testing.T) {
	data, err := os.ReadFile("testdata/parse.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		In     string
		Error  string
		Values map[string]string
	}
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) < 90 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		s, err := Parse(c.In)
		if c.Error != "" {
			if err == nil {
				t.Errorf("Parse(%q) = %v, libpq says %s", c.In, s, c.Error)
			} else if err.Error() != c.Error {
				t.Errorf("Parse(%q): %s, libpq says %s", c.In, err, c.Error)
			}
			continue
		}
		if err != nil {
			t.Errorf("Parse(%q): %v, libpq accepts it", c.In, err)
			continue
		}
		got := make(map[string]string)
		for k, v := range s.values {
			got[k] = v.text
			if s.Source(k) != Explicit {
				t.Errorf("Parse(%q): source of %s is %d", c.In, k, s.Source(k))
			}
		}
		if !maps.Equal(got, c.Values) {
			t.Errorf("Parse(%q) = %v, libpq gives %v", c.In, got, c.Values)
		}
	}
}

func TestEveryKeywordOfLibpq18IsKnown(t *testing.T) {
	const all = "service user password passfile channel_binding connect_timeout dbname host hostaddr port client_encoding " +
		"options application_name fallback_application_name keepalives keepalives_idle keepalives_interval keepalives_count " +
		"tcp_user_timeout sslmode sslnegotiation sslcompression sslcert sslkey sslcertmode sslpassword sslrootcert sslcrl " +
		"sslcrldir sslsni requirepeer require_auth min_protocol_version max_protocol_version ssl_min_protocol_version " +
		"ssl_max_protocol_version gssencmode krbsrvname gsslib gssdelegation replication target_session_attrs " +
		"load_balance_hosts scram_client_key scram_server_key oauth_issuer oauth_client_id oauth_client_secret oauth_scope " +
		"sslkeylogfile"
	names := strings.Fields(all)
	if len(names) != len(keywords) {
		t.Errorf("%d keywords, want %d", len(keywords), len(names))
	}
	for i, name := range names {
		if keywords[i].name != name {
			t.Fatalf("keyword %d is %s, want %s", i, keywords[i].name, name)
		}
	}
}

func TestErrorsShowNoSecrets(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"password=s3cr et1", `missing "=" after "***" in connection info string`},
		{"password=s3cr et1=x", `invalid connection option "***"`},
		{"password=correct s3cret", `missing "=" after "***" in connection info string`},
		{"password=s3cret host", `missing "=" after "host" in connection info string`},
		{"pasword=s3cret1", `invalid connection option "pasword"`},
		{"postgresql://u:s3cr@et1@h/db", `invalid host in URI: "/", "?" and "@" in a user name or password must be percent-encoded`},
		{"password=s3cret hots=x", `invalid connection option "***"`},
		{"postgresql://u:s3cr%zzet1@h", `invalid percent-encoded token: "***"`},
		{"postgresql://u:s3cr et1@h", `unexpected spaces found in "***", use percent-encoded spaces (%20) instead`},
		{"postgresql://h?password=s3cr%zzet1", `invalid percent-encoded token: "***"`},
		{"postgresql://h?password=s3cr&et1", `missing key/value separator "=" in URI query parameter: "***"`},
		{"postgresql://u:s3cret1@[::1", `end of string reached when looking for matching "]" in IPv6 host address in URI: "postgresql://u:***@[::1"`},
		{"postgresql://u@[]?password=s3cret1", `IPv6 host address may not be empty in URI: "postgresql://u@[]?***"`},
		{"postgresql://u:s3cr/et1@h/db", `invalid port in URI: "/", "?" and "@" in a user name or password must be percent-encoded`},
		{"postgres:/u:s3cret1@host", `missing "=" after "***@host" in connection info string`},
	} {
		_, err := Parse(c.in)
		if err == nil || err.Error() != c.want {
			t.Errorf("Parse(%q): %v, want %s", c.in, err, c.want)
		}
	}
}

func TestNULIsRefused(t *testing.T) {
	if _, err := Parse("user=a\x00b"); err == nil {
		t.Error("Parse accepts a NUL byte")
	}
	var s Settings
	if err := s.Set("user", "a\x00b"); err == nil {
		t.Error("Set accepts a NUL byte")
	}
}

func TestSetOverridesButNotWithNothing(t *testing.T) {
	s, err := Parse("host=a user=b")
	if err != nil {
		t.Fatal(err)
	}
	other := s
	if err := s.Set("host", "c"); err != nil {
		t.Fatal(err)
	}
	if err := s.Set("user", ""); err != nil {
		t.Fatal(err)
	}
	if err := s.Set("hots", "x"); err == nil || err.Error() != `invalid connection option "hots"` {
		t.Errorf("Set of an unknown keyword: %v", err)
	}
	if s.Value("host") != "c" || s.Value("user") != "b" {
		t.Errorf("got %v", s)
	}
	if other.Value("host") != "a" {
		t.Error("Set changed a copy")
	}
}

func TestStringHidesSecrets(t *testing.T) {
	s, err := Parse("user=u password='p w' sslpassword=k")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := s.String(), "user=u password='***' sslpassword='***'"; got != want {
		t.Errorf("String() = %s, want %s", got, want)
	}
	if got, want := s.Encode(), "user=u password='p w' sslpassword=k"; got != want {
		t.Errorf("Encode() = %s, want %s", got, want)
	}
}

func FuzzParse(f *testing.F) {
	seeds.Require(f, 23)
	data, err := os.ReadFile("testdata/parse.json")
	if err != nil {
		f.Fatal(err)
	}
	var cases []struct{ In string }
	if err := json.Unmarshal(data, &cases); err != nil {
		f.Fatal(err)
	}
	for _, c := range cases {
		f.Add(c.In)
	}
	f.Add("password='\xff\xfe' options=\\'")
	f.Fuzz(func(t *testing.T, in string) {
		s, err := Parse(in)
		if err != nil {
			return
		}
		again, err := Parse(s.Encode())
		if err != nil {
			t.Fatalf("%q is written as %q, which does not parse: %v", in, s.Encode(), err)
		}
		if !maps.Equal(s.values, again.values) {
			t.Fatalf("%q is written as %q, which parses differently: %v, %v", in, s.Encode(), s.values, again.values)
		}
		if _, err := Parse(s.PrimaryConnInfo(0)); err != nil {
			t.Fatalf("primary_conninfo of %q does not parse: %v", in, err)
		}
		if err := s.Check(); err == nil {
			if _, err := s.split(); err != nil {
				t.Fatalf("%q is accepted and then refused: %v", in, err)
			}
		}
	})
}
