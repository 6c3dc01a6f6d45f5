package replproto

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/pgbasin/pgbasin/conninfo"
)

// verifier checks a server's certificate as sslmode and the files that are
// there ask for.
type verifier struct {
	roots *x509.CertPool
	crls  *revocationLists // nil: no revocation check
	name  bool             // verify-full
	host  string
}

// newVerifier returns nil when nothing is to be verified: no root certificate
// file exists and sslmode does not insist. A root file is used with every
// sslmode, as in libpq.
func newVerifier(s conninfo.Settings, h conninfo.Host) (*verifier, error) {
	mode := s.Value("sslmode")
	v := &verifier{name: mode == "verify-full", host: h.Host}
	path := s.Value("sslrootcert")

	if path == "system" {
		roots, err := x509.SystemCertPool()
		if err != nil {
			return nil, fmt.Errorf("could not load system root certificate paths: %w", err)
		}
		v.roots = roots
		return v, nil
	}

	data, err := os.ReadFile(path)
	if path == "" || errors.Is(err, os.ErrNotExist) {
		if !strings.HasPrefix(mode, "verify-") {
			return nil, nil
		}
		missing := fmt.Sprintf("root certificate file \"%s\" does not exist", path)
		if path == "" {
			missing = "could not get home directory to locate root certificate file"
		}
		return nil, errors.New(missing + "\nEither provide the file, use the system's trusted roots with sslrootcert=system, or change sslmode to disable server certificate verification.")
	}
	if err != nil {
		return nil, fmt.Errorf("could not read root certificate file \"%s\": %s", path, systemText(err))
	}
	v.roots = x509.NewCertPool()
	if !v.roots.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("could not read root certificate file \"%s\": no certificate found", path)
	}
	v.crls, err = loadRevocationLists(s.Value("sslcrl"), s.Value("sslcrldir"))
	return v, err
}

// verify is a tls.Config's VerifyConnection.
func (v *verifier) verify(cs tls.ConnectionState) error {
	if len(cs.PeerCertificates) == 0 {
		return errors.New("certificate could not be obtained")
	}
	leaf := cs.PeerCertificates[0]
	options := x509.VerifyOptions{Roots: v.roots, Intermediates: x509.NewCertPool()}
	for _, c := range cs.PeerCertificates[1:] {
		options.Intermediates.AddCert(c)
	}
	chains, err := leaf.Verify(options)
	if err == nil && v.crls != nil {
		err = v.crls.check(chains, time.Now())
	}
	if err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: cs.PeerCertificates, Err: err}
	}
	if v.name {
		return matchHost(leaf, v.host)
	}
	return nil
}

// hostNameError: the certificate is another host's.
type hostNameError struct{ reason string }

func (e *hostNameError) Error() string { return e.reason }

// matchHost checks that a certificate is for host (libpq's fe-secure-common.c).
// The subject's common name counts when there is no alternative name of the
// host's kind, which crypto/x509 does not allow but many servers of PostgreSQL
// depend on.
func matchHost(cert *x509.Certificate, host string) error {
	if host == "" {
		return &hostNameError{"host name must be specified for a verified SSL connection"}
	}
	ip := net.ParseIP(host)
	names := append([]string(nil), cert.DNSNames...)
	for _, name := range cert.DNSNames {
		if matchName(name, host) {
			return nil
		}
	}
	for _, a := range cert.IPAddresses {
		names = append(names, a.String())
		if ip != nil && a.Equal(ip) {
			return nil
		}
	}
	sameKind := len(cert.DNSNames)
	if ip != nil {
		sameKind = len(cert.IPAddresses)
	}
	if cn := cert.Subject.CommonName; cn != "" && sameKind == 0 {
		names = append(names, cn)
		if matchName(cn, host) {
			return nil
		}
	}
	switch len(names) {
	case 0:
		return &hostNameError{"could not get server's host name from server certificate"}
	case 1:
		return &hostNameError{fmt.Sprintf("server certificate for \"%s\" does not match host name \"%s\"", names[0], host)}
	case 2:
		return &hostNameError{fmt.Sprintf("server certificate for \"%s\" (and %d other name) does not match host name \"%s\"", names[0], 1, host)}
	}
	return &hostNameError{fmt.Sprintf("server certificate for \"%s\" (and %d other names) does not match host name \"%s\"", names[0], len(names)-1, host)}
}

// matchName compares a name in a certificate with a host. "*." at its start
// stands for exactly one label.
func matchName(pattern, host string) bool {
	if strings.IndexByte(pattern, 0) >= 0 {
		return false
	}
	if strings.EqualFold(pattern, host) {
		return true
	}
	suffix, ok := strings.CutPrefix(pattern, "*")
	if !ok || !strings.HasPrefix(suffix, ".") || len(host) <= len(suffix) {
		return false
	}
	label, rest := host[:len(host)-len(suffix)], host[len(host)-len(suffix):]
	return !strings.Contains(label, ".") && strings.EqualFold(rest, suffix)
}
