package replproto

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"time"
)

// revocationLists are the lists of sslcrl and sslcrldir.
type revocationLists struct {
	lists []*x509.RevocationList
}

// hashedName is how OpenSSL names lists in a directory.
var hashedName = regexp.MustCompile(`^[0-9a-f]{8}\.r[0-9]+$`)

// loadRevocationLists returns nil when there are none: a list that does not
// exist is not asked for, as in libpq. One that cannot be read is an error,
// which libpq passes over in silence.
func loadRevocationLists(file, dir string) (*revocationLists, error) {
	var paths []string
	present := false
	if file != "" {
		paths = append(paths, file)
	}
	if dir != "" {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("could not read certificate revocation list directory \"%s\": %s", dir, systemText(err))
		}
		present = err == nil
		for _, e := range entries {
			if hashedName.MatchString(e.Name()) {
				paths = append(paths, filepath.Join(dir, e.Name()))
			}
		}
	}

	r := new(revocationLists)
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("could not read certificate revocation list \"%s\": %s", path, systemText(err))
		}
		if err := r.add(data); err != nil {
			return nil, fmt.Errorf("could not read certificate revocation list \"%s\": %w", path, err)
		}
		present = true
	}
	if !present {
		return nil, nil
	}
	return r, nil
}

func (r *revocationLists) add(data []byte) error {
	found := false
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "X509 CRL" {
			continue
		}
		list, err := x509.ParseRevocationList(block.Bytes)
		if err != nil {
			return err
		}
		// A list that covers only some certificates, or changes to another
		// list, says so in a critical extension.
		for _, e := range list.Extensions {
			if e.Critical {
				return fmt.Errorf("critical extension %s is not supported", e.Id)
			}
		}
		r.lists, found = append(r.lists, list), true
	}
	if !found {
		return errors.New("no revocation list found")
	}
	return nil
}

// check accepts the certificates if one of the chains is whole, as OpenSSL does
// with X509_V_FLAG_CRL_CHECK_ALL: for every certificate, the root included,
// there is a current list of its issuer, and it is not on it.
func (r *revocationLists) check(chains [][]*x509.Certificate, now time.Time) error {
	var first error
	for _, chain := range chains {
		err := r.checkChain(chain, now)
		if err == nil {
			return nil
		}
		if first == nil {
			first = err
		}
	}
	return first
}

func (r *revocationLists) checkChain(chain []*x509.Certificate, now time.Time) error {
	for i, cert := range chain {
		issuer := cert // of the root
		if i+1 < len(chain) {
			issuer = chain[i+1]
		}
		if err := r.checkOne(cert, issuer, now); err != nil {
			return fmt.Errorf("certificate of \"%s\": %w", cert.Subject, err)
		}
	}
	return nil
}

func (r *revocationLists) checkOne(cert, issuer *x509.Certificate, now time.Time) error {
	outcome := errors.New("unable to get certificate CRL")
	for _, list := range r.lists {
		if !bytes.Equal(list.RawIssuer, cert.RawIssuer) || list.CheckSignatureFrom(issuer) != nil {
			continue
		}
		for _, entry := range list.RevokedCertificateEntries {
			// Reason 8 takes an entry of an earlier list back.
			if entry.SerialNumber.Cmp(cert.SerialNumber) == 0 && entry.ReasonCode != 8 {
				return errors.New("certificate revoked")
			}
		}
		switch {
		case now.Before(list.ThisUpdate):
			outcome = errors.New("CRL is not yet valid")
		case !list.NextUpdate.IsZero() && now.After(list.NextUpdate):
			outcome = errors.New("CRL has expired")
		default:
			outcome = nil
		}
		if outcome == nil {
			return nil
		}
	}
	return outcome
}
