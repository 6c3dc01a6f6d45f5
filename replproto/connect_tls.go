package replproto

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/pgbasin/pgbasin/conninfo"
)

// alpn is the name that PostgreSQL registered for its protocol; servers look
// at it from 17 on.
const alpn = "postgresql"

// startTLS runs the handshake on nc as libpq does (fe-secure-openssl.c). The
// configuration is our own and not pgconn's, which trusts the system's roots
// when sslrootcert is missing, knows no revocation lists and no certificates
// without alternative names, and reads only old-style encrypted keys.
func startTLS(ctx context.Context, nc net.Conn, s conninfo.Settings, h conninfo.Host) (*tlsSession, error) {
	session := new(tlsSession)
	config, err := newTLSConfig(s, h, session)
	if err != nil {
		return nil, err
	}
	if path := s.Value("sslkeylogfile"); path != "" {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
		if err != nil {
			return nil, fmt.Errorf("could not open SSL key logging file \"%s\": %s", path, systemText(err))
		}
		// Keys change only in the handshake and, for TLS 1.3, right after it.
		defer f.Close()
		config.KeyLogWriter = f
	}
	session.conn = tls.Client(nc, config)
	if err := session.conn.HandshakeContext(ctx); err != nil {
		return nil, tlsError(err)
	}
	if s.Value("sslnegotiation") == "direct" && session.conn.ConnectionState().NegotiatedProtocol != alpn {
		return nil, errors.New("direct SSL connection was established without ALPN protocol negotiation extension")
	}
	return session, nil
}

// tlsError words the failure of a handshake.
func tlsError(err error) error {
	var op *net.OpError
	var verify *tls.CertificateVerificationError
	var mismatch *hostNameError
	switch {
	case errors.As(err, &mismatch):
		return mismatch
	case errors.As(err, &verify):
		return fmt.Errorf("SSL error: certificate verify failed: %w", verify.Err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return &brokenHandshake{errors.New("SSL SYSCALL error: EOF detected")}
	case errors.As(err, &op) && op.Op == "remote error":
		return fmt.Errorf("SSL error: %w", op.Err)
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return &brokenHandshake{&systemError{prefix: "SSL SYSCALL error: ", err: err}}
	}
	return fmt.Errorf("SSL error: %w", err)
}

// brokenHandshake is a connection that was lost, in libpq's words for that.
type brokenHandshake struct{ error }

func (e *brokenHandshake) Unwrap() error        { return e.error }
func (e *brokenHandshake) Is(target error) bool { return target == ErrConnectionLost }

func newTLSConfig(s conninfo.Settings, h conninfo.Host, session *tlsSession) (*tls.Config, error) {
	config := &tls.Config{
		// The chain is verified in VerifyConnection, because libpq's rules
		// are not those of crypto/tls: sslmode says what is verified, and a
		// name may be in the certificate's subject alone.
		InsecureSkipVerify: true,
		NextProtos:         []string{alpn},
		MinVersion:         tlsVersion(s.Value("ssl_min_protocol_version")),
		MaxVersion:         tlsVersion(s.Value("ssl_max_protocol_version")),
	}
	if strings.HasPrefix(s.Value("sslsni"), "1") && !looksNumeric(h.Host) {
		config.ServerName = h.Host
	}

	v, err := newVerifier(s, h)
	if err != nil {
		return nil, err
	}
	if v != nil {
		config.VerifyConnection = v.verify
	}

	cert, err := clientCertificate(s)
	if err != nil {
		return nil, err
	}
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		session.requested = true
		if cert == nil {
			return new(tls.Certificate), nil
		}
		// Sent whatever authorities the server names, as OpenSSL does.
		session.sent = true
		return cert, nil
	}
	return config, nil
}

func tlsVersion(name string) uint16 {
	switch strings.ToLower(name) {
	case "tlsv1":
		return tls.VersionTLS10
	case "tlsv1.1":
		return tls.VersionTLS11
	case "tlsv1.2":
		return tls.VersionTLS12
	case "tlsv1.3":
		return tls.VersionTLS13
	}
	return 0
}

// looksNumeric is libpq's test for hosts that are not sent as server name.
func looksNumeric(host string) bool {
	return strings.Trim(host, "0123456789.") == "" || strings.Contains(host, ":")
}

// clientCertificate loads sslcert and sslkey. It returns nil when there is no
// certificate, which is for the server to mind.
func clientCertificate(s conninfo.Settings) (*tls.Certificate, error) {
	path := s.Value("sslcert")
	if s.Value("sslcertmode") == "disable" || path == "" {
		return nil, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
			return nil, nil
		}
		return nil, fmt.Errorf("could not open certificate file \"%s\": %s", path, systemText(err))
	}
	cert := new(tls.Certificate)
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			cert.Certificate = append(cert.Certificate, block.Bytes)
		}
	}
	if len(cert.Certificate) == 0 {
		return nil, fmt.Errorf("could not read certificate file \"%s\": no certificate found", path)
	}
	if cert.Leaf, err = x509.ParseCertificate(cert.Certificate[0]); err != nil {
		return nil, fmt.Errorf("could not read certificate file \"%s\": %w", path, err)
	}

	keyPath := s.Value("sslkey")
	key, err := readPrivateKey(keyPath, s.Value("sslpassword"))
	if err != nil {
		return nil, err
	}
	if !key.fits(cert.Leaf.PublicKey) {
		return nil, fmt.Errorf("certificate does not match private key file \"%s\"", keyPath)
	}
	cert.PrivateKey = key.signer
	return cert, nil
}
