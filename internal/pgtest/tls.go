package pgtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// TLSConfig says how a server uses TLS.
type TLSConfig struct {
	// User is the name in the client certificate; "" is "postgres".
	User string
	// RequireCert lets User in over TCP only with TLS and its certificate (method cert), for databases and for replication.
	// Other combinations, such as clientcert=verify-full with a password, are lines of Config.HBA.
	RequireCert bool
}

func (c *TLSConfig) user() string {
	if c.User == "" {
		return "postgres"
	}
	return c.User
}

// hba are the lines for pg_hba.conf that RequireCert asks for.
func (c *TLSConfig) hba() []string {
	if !c.RequireCert {
		return nil
	}
	u := `"` + c.user() + `"`
	return []string{
		"hostssl all " + u + " 127.0.0.1/32 cert",
		"hostssl replication " + u + " 127.0.0.1/32 cert",
		"host all " + u + " all reject",
		"host replication " + u + " all reject",
	}
}

// Certificates are the paths of PEM files made for one server. They last a day and go with the server.
type Certificates struct {
	Root       string // the certificate that the others are signed with, for sslrootcert
	OtherRoot  string // one that signed nothing, for what must fail
	ServerCert string // for the names localhost and 127.0.0.1
	ServerKey  string
	ClientCert string // for sslcert
	ClientKey  string // for sslkey; only the user of this process can read it
}

// settings turn ssl on.
func (c *Certificates) settings() map[string]string {
	return map[string]string{"ssl": "on", "ssl_cert_file": c.ServerCert, "ssl_key_file": c.ServerKey, "ssl_ca_file": c.Root}
}

// newCertificates makes the files in a new directory.
func newCertificates(dir, user string, o owner) (*Certificates, error) {
	if err := o.mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	c := &Certificates{
		Root: filepath.Join(dir, "root.crt"), OtherRoot: filepath.Join(dir, "other-root.crt"),
		ServerCert: filepath.Join(dir, "server.crt"), ServerKey: filepath.Join(dir, "server.key"),
		ClientCert: filepath.Join(dir, "client.crt"), ClientKey: filepath.Join(dir, "client.key"),
	}
	authority := &x509.Certificate{
		Subject: pkix.Name{CommonName: "pgtest root"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	root, rootKey, err := issue(authority, nil, nil, c.Root, "")
	if err != nil {
		return nil, err
	}
	if _, _, err := issue(authority, nil, nil, c.OtherRoot, ""); err != nil {
		return nil, err
	}
	server := &x509.Certificate{
		Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if _, _, err := issue(server, root, rootKey, c.ServerCert, c.ServerKey); err != nil {
		return nil, err
	}
	client := &x509.Certificate{
		Subject:  pkix.Name{CommonName: user},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if _, _, err := issue(client, root, rootKey, c.ClientCert, c.ClientKey); err != nil {
		return nil, err
	}
	return c, o.giveOne(c.ServerKey)
}

// issue makes a key and a certificate signed by parent, or by itself without one, and writes their files.
func issue(template, parent *x509.Certificate, parentKey *ecdsa.PrivateKey, certFile, keyFile string) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	if parent == nil {
		parent, parentKey = template, key
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, nil, err
	}
	t := *template
	t.SerialNumber = serial
	t.NotBefore, t.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, &t, parent, &key.PublicKey, parentKey)
	if err != nil {
		return nil, nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, err
	}
	if err := writePEM(certFile, "CERTIFICATE", der, 0o644); err != nil {
		return nil, nil, err
	}
	if keyFile != "" {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return nil, nil, err
		}
		if err := writePEM(keyFile, "PRIVATE KEY", der, 0o600); err != nil {
			return nil, nil, err
		}
	}
	return cert, key, nil
}

func writePEM(path, kind string, der []byte, mode fs.FileMode) error {
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), mode); err != nil {
		return err
	}
	return os.Chmod(path, mode) // whatever the umask is
}
