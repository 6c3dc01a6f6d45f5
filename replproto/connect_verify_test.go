package replproto

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"testing"
)

func TestHostNameInCertificate(t *testing.T) {
	ip := func(s string) []net.IP { return []net.IP{net.ParseIP(s)} }
	for _, c := range []struct {
		name string
		cert x509.Certificate
		host string
		want string // error, "" for a match
	}{
		{"alternative name", x509.Certificate{DNSNames: []string{"a.example", "DB.Example"}}, "db.example", ""},
		{"common name alone", x509.Certificate{Subject: pkix.Name{CommonName: "db.example"}}, "db.example", ""},
		{"common name beside another", x509.Certificate{Subject: pkix.Name{CommonName: "db.example"}, DNSNames: []string{"a"}}, "db.example", `server certificate for "a" does not match host name "db.example"`},
		{"common name beside an address", x509.Certificate{Subject: pkix.Name{CommonName: "db.example"}, IPAddresses: ip("10.0.0.1")}, "db.example", ""},
		{"address", x509.Certificate{IPAddresses: ip("10.0.0.1")}, "10.0.0.1", ""},
		{"IPv6 address", x509.Certificate{IPAddresses: ip("2001:db8::1")}, "2001:0DB8:0::1", ""},
		{"another address", x509.Certificate{IPAddresses: ip("10.0.0.1")}, "10.0.0.2", `server certificate for "10.0.0.1" does not match host name "10.0.0.2"`},
		{"address as common name", x509.Certificate{Subject: pkix.Name{CommonName: "10.0.0.1"}}, "10.0.0.1", ""},
		{"address as common name beside a name", x509.Certificate{Subject: pkix.Name{CommonName: "10.0.0.1"}, DNSNames: []string{"a"}}, "10.0.0.1", ""},
		{"wildcard", x509.Certificate{DNSNames: []string{"*.example.com"}}, "db.Example.com", ""},
		{"wildcard for one label only", x509.Certificate{DNSNames: []string{"*.example.com"}}, "a.db.example.com", `server certificate for "*.example.com" does not match host name "a.db.example.com"`},
		{"wildcard for no label", x509.Certificate{DNSNames: []string{"*.example.com"}}, "example.com", `server certificate for "*.example.com" does not match host name "example.com"`},
		{"wildcard inside", x509.Certificate{DNSNames: []string{"a*.example.com"}}, "ab.example.com", `server certificate for "a*.example.com" does not match host name "ab.example.com"`},
		{"NUL in the name", x509.Certificate{DNSNames: []string{"db\x00.example"}}, "db", "server certificate for \"db\x00.example\" does not match host name \"db\""},
		{"several", x509.Certificate{DNSNames: []string{"a", "b", "c"}}, "d", `server certificate for "a" (and 2 other names) does not match host name "d"`},
		{"none", x509.Certificate{}, "d", "could not get server's host name from server certificate"},
		{"no host", x509.Certificate{DNSNames: []string{"a"}}, "", "host name must be specified for a verified SSL connection"},
	} {
		got := ""
		if err := matchHost(&c.cert, c.host); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
