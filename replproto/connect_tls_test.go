package replproto_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pgbasin/pgbasin/conninfo"
)

// authority signs certificates and revocation lists.
type authority struct {
	cert   *x509.Certificate
	key    crypto.Signer
	parent *authority // nil for a root
}

var serial int64

func newAuthority(t *testing.T, name string, parent *authority) *authority {
	t.Helper()
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	a := &authority{parent: parent}
	a.cert, a.key = issue(t, template, parent)
	return a
}

func issue(t *testing.T, template *x509.Certificate, by *authority) (*x509.Certificate, crypto.Signer) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial++
	template.SerialNumber = big.NewInt(serial)
	if template.NotBefore.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	parent, signer := template, crypto.Signer(key)
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// server makes a certificate for a server, with the chain below the root.
func (a *authority) server(t *testing.T, template x509.Certificate) tls.Certificate {
	t.Helper()
	cert, key := issue(t, &template, a)
	c := tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
	for up := a; up.parent != nil; up = up.parent {
		c.Certificate = append(c.Certificate, up.cert.Raw)
	}
	return c
}

// file writes the authority's certificate.
func (a *authority) file(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "root.crt")
	writePEM(t, path, "CERTIFICATE", a.cert.Raw)
	return path
}

// crl makes a list that names the revoked certificates and ends at a time.
func (a *authority) crl(t *testing.T, until time.Time, revoked ...*x509.Certificate) []byte {
	t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now().Add(-2 * time.Hour), NextUpdate: until}
	for _, c := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: c.SerialNumber, RevocationTime: time.Now().Add(-time.Hour)})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.cert, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
}

func writePEM(t *testing.T, path, typ string, der []byte) {
	t.Helper()
	writeFile(t, path, string(pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: der})), 0o600)
}

// secure is a server that speaks TLS, at once or when asked.
func secure(config *tls.Config, direct bool) func(net.Conn) {
	return func(nc net.Conn) {
		if !direct {
			if _, err := io.CopyN(io.Discard, nc, 8); err != nil {
				return
			}
			io.WriteString(nc, "S")
		}
		c := tls.Server(nc, config)
		if c.Handshake() == nil {
			answer(auth(0, ""), ready)(c)
		}
		c.Close()
	}
}

func TestRevocationLists(t *testing.T) {
	root := newAuthority(t, "root", nil)
	middle := newAuthority(t, "middle", root)
	cert := middle.server(t, x509.Certificate{DNSNames: []string{"db.example"}})
	soon, past := time.Now().Add(time.Hour), time.Now().Add(-time.Minute)
	other := newAuthority(t, "middle", nil) // same name, other key
	const prefix = "SSL error: certificate verify failed: "

	for _, c := range []struct {
		name  string
		lists [][]byte
		want  string
	}{
		{name: "nothing revoked", lists: [][]byte{root.crl(t, soon), middle.crl(t, soon)}},
		{name: "others revoked", lists: [][]byte{root.crl(t, soon, cert.Leaf), middle.crl(t, soon, middle.cert)}},
		{name: "revoked", lists: [][]byte{root.crl(t, soon), middle.crl(t, soon, cert.Leaf)}, want: prefix + `certificate of "": certificate revoked`},
		{name: "authority revoked", lists: [][]byte{root.crl(t, soon, middle.cert), middle.crl(t, soon)}, want: prefix + `certificate of "CN=middle": certificate revoked`},
		{name: "no list of the middle", lists: [][]byte{root.crl(t, soon)}, want: prefix + `certificate of "": unable to get certificate CRL`},
		{name: "no list of the root", lists: [][]byte{middle.crl(t, soon)}, want: prefix + `certificate of "CN=middle": unable to get certificate CRL`},
		{name: "expired", lists: [][]byte{root.crl(t, soon), middle.crl(t, past)}, want: prefix + `certificate of "": CRL has expired`},
		{name: "expired and current", lists: [][]byte{root.crl(t, soon), middle.crl(t, past), middle.crl(t, soon)}},
		{name: "revoked by an expired list", lists: [][]byte{root.crl(t, soon), middle.crl(t, past, cert.Leaf), middle.crl(t, soon)}, want: prefix + `certificate of "": certificate revoked`},
		{name: "forged", lists: [][]byte{root.crl(t, soon), other.crl(t, soon)}, want: prefix + `certificate of "": unable to get certificate CRL`},
	} {
		t.Run(c.name, func(t *testing.T) {
			port := serve(t, secure(&tls.Config{Certificates: []tls.Certificate{cert}}, false))
			dsn := "host=db.example hostaddr=127.0.0.1 user=u sslmode=verify-full port=" + port + " sslrootcert=" + root.file(t)

			file := filepath.Join(t.TempDir(), "crl")
			var all strings.Builder
			dir := t.TempDir()
			for i, list := range c.lists {
				all.Write(list)
				writeFile(t, filepath.Join(dir, fmt.Sprintf("0123abcd.r%d", i)), string(list), 0o600)
			}
			writeFile(t, file, all.String(), 0o600)
			writeFile(t, filepath.Join(dir, "README"), "not a list", 0o600)

			for _, where := range []string{" sslcrl=" + file, " sslcrldir=" + dir, " sslcrl=/nowhere sslcrldir=" + dir} {
				if c.want == "" {
					succeedOnFake(t, dsn+where)
				} else {
					wantError(t, fail(t, config(t, dsn+where)), "connection to server at \"127.0.0.1\", port "+port+" failed: "+c.want)
				}
			}
		})
	}

	t.Run("files", func(t *testing.T) {
		port := serve(t, secure(&tls.Config{Certificates: []tls.Certificate{cert}}, false))
		dsn := "host=db.example hostaddr=127.0.0.1 user=u sslmode=verify-full port=" + port + " sslrootcert=" + root.file(t)
		where := "connection to server at \"127.0.0.1\", port " + port + " failed: "
		succeedOnFake(t, dsn+" sslcrl=/no/such/list sslcrldir=/no/such/dir")
		bad := filepath.Join(t.TempDir(), "bad")
		writeFile(t, bad, "nonsense", 0o600)
		wantError(t, fail(t, config(t, dsn+" sslcrl="+bad)), where+`could not read certificate revocation list "`+bad+`": no revocation list found`)
		wantError(t, fail(t, config(t, dsn+" sslcrldir="+t.TempDir())), where+"SSL error: certificate verify failed: certificate of \"\": unable to get certificate CRL")
		// Without verification there is nothing to revoke.
		succeedOnFake(t, "host=127.0.0.1 user=u sslmode=require port="+port+" sslcrl="+bad)
	})
}

func TestCertificateWithOnlyACommonNameVerifies(t *testing.T) {
	root := newAuthority(t, "root", nil)
	cert := root.server(t, x509.Certificate{Subject: pkix.Name{CommonName: "db.example"}})
	port := serve(t, secure(&tls.Config{Certificates: []tls.Certificate{cert}}, false))
	succeedOnFake(t, "host=db.example hostaddr=127.0.0.1 user=u sslmode=verify-full port="+port+" sslrootcert="+root.file(t))
}

func TestExpiredCertificateIsRefused(t *testing.T) {
	root := newAuthority(t, "root", nil)
	cert := root.server(t, x509.Certificate{DNSNames: []string{"db.example"}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour)})
	port := serve(t, secure(&tls.Config{Certificates: []tls.Certificate{cert}}, false))
	err := fail(t, config(t, "host=db.example hostaddr=127.0.0.1 user=u sslmode=verify-ca port="+port+" sslrootcert="+root.file(t)))
	if !strings.Contains(err.Error(), "SSL error: certificate verify failed: x509: certificate has expired") {
		t.Errorf("got %v", err)
	}
}

func TestServerNameIsSentUnlessSwitchedOff(t *testing.T) {
	root := newAuthority(t, "root", nil)
	cert := root.server(t, x509.Certificate{DNSNames: []string{"db.example"}})
	names := make(chan string, 4)
	port := serve(t, secure(&tls.Config{
		Certificates: []tls.Certificate{cert},
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			names <- hello.ServerName + " " + strings.Join(hello.SupportedProtos, ",")
			return nil, nil
		},
	}, false))
	for _, c := range []struct{ dsn, want string }{
		{"host=db.example", "db.example postgresql"},
		{"host=db.example sslsni=0", " postgresql"},
		{"host=10.1.2.3", " postgresql"},
	} {
		succeedOnFake(t, c.dsn+" hostaddr=127.0.0.1 user=u sslmode=require port="+port)
		if got := <-names; got != c.want {
			t.Errorf("%s sends %q", c.dsn, got)
		}
	}
}

func TestDirectTLSNeedsTheProtocolName(t *testing.T) {
	root := newAuthority(t, "root", nil)
	cert := root.server(t, x509.Certificate{DNSNames: []string{"db.example"}})
	const dsn = "host=127.0.0.1 user=u sslmode=require sslnegotiation=direct port="

	port := serve(t, secure(&tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"postgresql"}}, true))
	succeedOnFake(t, dsn+port)

	port = serve(t, secure(&tls.Config{Certificates: []tls.Certificate{cert}}, true))
	wantError(t, fail(t, config(t, dsn+port)), "connection to server at \"127.0.0.1\", port "+port+
		" failed: direct SSL connection was established without ALPN protocol negotiation extension")
}

func TestClientCertificateFiles(t *testing.T) {
	root := newAuthority(t, "root", nil)
	cert := root.server(t, x509.Certificate{DNSNames: []string{"db.example"}})
	port := serve(t, secure(&tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAnyClientCert}, false))
	where := "connection to server at \"127.0.0.1\", port " + port + " failed: "

	key, err := os.ReadFile("testdata/keys/pkcs8-aes256-sha256.pem")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	keyFile, certFile := filepath.Join(dir, "key"), filepath.Join(dir, "cert")
	writeFile(t, keyFile, string(key), 0o600)
	clientCert(t, root, certFile)
	dsn := "host=127.0.0.1 user=u sslmode=require port=" + port + " sslcert=" + certFile + " sslkey=" + keyFile

	succeedOnFake(t, dsn+" sslpassword=secret")
	succeedOnFake(t, dsn+" sslpassword=secret sslcertmode=require")
	err = fail(t, config(t, dsn+" sslpassword=wrongword"))
	if !strings.HasPrefix(err.Error(), where+`could not load private key file "`+keyFile+`": `) || strings.Contains(err.Error(), "wrongword") {
		t.Errorf("got %v", err)
	}
	wantError(t, fail(t, config(t, dsn)), where+`could not load private key file "`+keyFile+`": the key is encrypted and sslpassword is not set`)
	wantError(t, fail(t, config(t, dsn+"x sslpassword=secret")), where+`certificate present, but not private key file "`+keyFile+`x"`)

	rsa, err := os.ReadFile("testdata/keys/rsa-traditional.pem")
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, keyFile, string(rsa), 0o600)
	wantError(t, fail(t, config(t, dsn)), where+`certificate does not match private key file "`+keyFile+`"`)
	writeFile(t, certFile, "nonsense", 0o600)
	wantError(t, fail(t, config(t, dsn)), where+`could not read certificate file "`+certFile+`": no certificate found`)

	// In TLS 1.3 the server's refusal comes after the handshake.
	err = fail(t, config(t, "host=127.0.0.1 user=u sslmode=require port="+port))
	wantError(t, err, where+"SSL error: tls: certificate required")
}

// clientCert writes a certificate for the key in testdata/keys.
func clientCert(t *testing.T, root *authority, path string) {
	t.Helper()
	data, err := os.ReadFile("testdata/keys/pkcs8.pem")
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(99), Subject: pkix.Name{CommonName: "u"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, root.cert, key.(crypto.Signer).Public(), root.key)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, path, "CERTIFICATE", der)
}

func TestKeyLogFile(t *testing.T) {
	root := newAuthority(t, "root", nil)
	cert := root.server(t, x509.Certificate{DNSNames: []string{"db.example"}})
	port := serve(t, secure(&tls.Config{Certificates: []tls.Certificate{cert}}, false))
	log := filepath.Join(t.TempDir(), "my keys")
	for range 2 {
		succeedOnFake(t, "host=127.0.0.1 user=u sslmode=require port="+port+" sslkeylogfile="+conninfo.Quote(log))
	}
	data, err := os.ReadFile(log)
	if err != nil || strings.Count(string(data), "CLIENT_TRAFFIC_SECRET_0 ") != 2 {
		t.Errorf("%q, %v", data, err)
	}
}
