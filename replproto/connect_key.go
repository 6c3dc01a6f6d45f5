package replproto

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
)

// privateKey is the key of a client certificate.
type privateKey struct {
	signer crypto.Signer
}

// fits tells whether the key belongs to a certificate's public key.
func (k privateKey) fits(public crypto.PublicKey) bool {
	own, ok := k.signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && own.Equal(public)
}

// readPrivateKey reads a key as PEM or DER, encrypted or not. Like libpq it
// refuses a key that others can read.
func readPrivateKey(path, password string) (privateKey, error) {
	st, err := os.Stat(path)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return privateKey{}, fmt.Errorf("certificate present, but not private key file \"%s\"", path)
		}
		return privateKey{}, fmt.Errorf("could not stat private key file \"%s\": %s", path, systemText(err))
	}
	if !st.Mode().IsRegular() {
		return privateKey{}, fmt.Errorf("private key file \"%s\" is not a regular file", path)
	}
	if !privateEnough(st) {
		return privateKey{}, fmt.Errorf("private key file \"%s\" has group or world access; file must have permissions u=rw (0600) or less if owned by the current user, or permissions u=rw,g=r (0640) or less if owned by root", path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return privateKey{}, fmt.Errorf("could not load private key file \"%s\": %s", path, systemText(err))
	}
	signer, err := parsePrivateKey(data, password)
	if err != nil {
		return privateKey{}, fmt.Errorf("could not load private key file \"%s\": %w", path, err)
	}
	return privateKey{signer}, nil
}

func parsePrivateKey(data []byte, password string) (crypto.Signer, error) {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		switch {
		case block.Type == "ENCRYPTED PRIVATE KEY":
			der, err := decryptPKCS8(block.Bytes, password)
			if err != nil {
				return nil, err
			}
			return parseDER(der)
		case !strings.HasSuffix(block.Type, "PRIVATE KEY"):
			continue // such as EC PARAMETERS
		//lint:ignore SA1019 OpenSSL's old format is weak, but it is what the user's file is in.
		case x509.IsEncryptedPEMBlock(block):
			if password == "" {
				return nil, errKeyPassword
			}
			//lint:ignore SA1019 as above
			der, err := x509.DecryptPEMBlock(block, []byte(password))
			if err != nil {
				return nil, errWrongKeyPassword
			}
			return parseDER(der)
		}
		return parseDER(block.Bytes)
	}
	return parseDER(data)
}

var (
	errKeyPassword      = errors.New("the key is encrypted and sslpassword is not set")
	errWrongKeyPassword = errors.New("the key cannot be decrypted with sslpassword")
)

// parseDER tries the formats that a DER private key can have.
func parseDER(der []byte) (crypto.Signer, error) {
	if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		if signer, ok := key.(crypto.Signer); ok {
			return signer, nil
		}
		return nil, fmt.Errorf("a key of type %T cannot sign", key)
	}
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, nil
	}
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return key, nil
	}
	return nil, errors.New("no private key in a known format")
}
