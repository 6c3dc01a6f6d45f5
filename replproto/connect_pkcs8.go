package replproto

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"hash"
)

// Encrypted PKCS #8 keys, as OpenSSL writes them by default: PBES2 with PBKDF2
// and a block cipher in CBC mode (RFC 8018).

var (
	oidPBES2      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	oidHMACSHA1   = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 7}
	oidHMACSHA256 = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 9}
	oidHMACSHA384 = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 10}
	oidHMACSHA512 = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 11}
	oidAES128CBC  = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 2}
	oidAES192CBC  = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 22}
	oidAES256CBC  = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}
	oidDES3CBC    = asn1.ObjectIdentifier{1, 2, 840, 113549, 3, 7}
)

type encryptedKeyInfo struct {
	Algorithm pkix.AlgorithmIdentifier
	Data      []byte
}

type pbes2Params struct {
	KDF    pkix.AlgorithmIdentifier
	Cipher pkix.AlgorithmIdentifier
}

type pbkdf2Params struct {
	Salt       []byte
	Iterations int
	KeyLength  int                      `asn1:"optional"`
	PRF        pkix.AlgorithmIdentifier `asn1:"optional"`
}

// maxIterations bounds the work that a key file can demand; a variable for
// tests.
var maxIterations = 10_000_000

func decryptPKCS8(der []byte, password string) ([]byte, error) {
	if password == "" {
		return nil, errKeyPassword
	}
	var info encryptedKeyInfo
	if rest, err := asn1.Unmarshal(der, &info); err != nil || len(rest) > 0 {
		return nil, errors.New("malformed encrypted private key")
	}
	if !info.Algorithm.Algorithm.Equal(oidPBES2) {
		return nil, fmt.Errorf("the key is encrypted with algorithm %s, which is not supported", info.Algorithm.Algorithm)
	}
	var scheme pbes2Params
	if _, err := asn1.Unmarshal(info.Algorithm.Parameters.FullBytes, &scheme); err != nil {
		return nil, errors.New("malformed encrypted private key")
	}
	if !scheme.KDF.Algorithm.Equal(oidPBKDF2) {
		return nil, fmt.Errorf("the key is encrypted with key derivation %s, which is not supported", scheme.KDF.Algorithm)
	}
	var kdf pbkdf2Params
	if _, err := asn1.Unmarshal(scheme.KDF.Parameters.FullBytes, &kdf); err != nil {
		return nil, errors.New("malformed encrypted private key")
	}
	if kdf.Iterations < 1 || kdf.Iterations > maxIterations {
		return nil, fmt.Errorf("the key is encrypted with an unreasonable %d iterations", kdf.Iterations)
	}

	newHash, err := pbkdf2Hash(kdf.PRF.Algorithm)
	if err != nil {
		return nil, err
	}
	size, newCipher, err := blockCipher(scheme.Cipher.Algorithm)
	if err != nil {
		return nil, err
	}
	key, err := pbkdf2.Key(newHash, password, kdf.Salt, kdf.Iterations, size)
	if err != nil {
		return nil, fmt.Errorf("could not derive the key's key: %w", err)
	}
	block, err := newCipher(key)
	if err != nil {
		return nil, err
	}
	var iv []byte
	if _, err := asn1.Unmarshal(scheme.Cipher.Parameters.FullBytes, &iv); err != nil || len(iv) != block.BlockSize() {
		return nil, errors.New("malformed encrypted private key")
	}
	if len(info.Data) == 0 || len(info.Data)%block.BlockSize() != 0 {
		return nil, errors.New("malformed encrypted private key")
	}
	plain := make([]byte, len(info.Data))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, info.Data)

	pad := int(plain[len(plain)-1])
	if pad < 1 || pad > block.BlockSize() || !bytes.Equal(plain[len(plain)-pad:], bytes.Repeat([]byte{byte(pad)}, pad)) {
		return nil, errWrongKeyPassword
	}
	return plain[:len(plain)-pad], nil
}

func pbkdf2Hash(prf asn1.ObjectIdentifier) (func() hash.Hash, error) {
	switch {
	case len(prf) == 0, prf.Equal(oidHMACSHA1):
		return sha1.New, nil
	case prf.Equal(oidHMACSHA256):
		return sha256.New, nil
	case prf.Equal(oidHMACSHA384):
		return sha512.New384, nil
	case prf.Equal(oidHMACSHA512):
		return sha512.New, nil
	}
	return nil, fmt.Errorf("the key is encrypted with pseudo-random function %s, which is not supported", prf)
}

func blockCipher(id asn1.ObjectIdentifier) (keySize int, newCipher func([]byte) (cipher.Block, error), err error) {
	switch {
	case id.Equal(oidAES128CBC):
		return 16, aes.NewCipher, nil
	case id.Equal(oidAES192CBC):
		return 24, aes.NewCipher, nil
	case id.Equal(oidAES256CBC):
		return 32, aes.NewCipher, nil
	case id.Equal(oidDES3CBC):
		return 24, des.NewTripleDESCipher, nil
	}
	return 0, nil, fmt.Errorf("the key is encrypted with cipher %s, which is not supported", id)
}
