package replproto

import (
	"crypto"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func readKeyFile(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "keys", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// The files hold one EC key as OpenSSL 3 writes it, and an RSA key. The
// passphrase is "secret".
func TestPrivateKeyFormats(t *testing.T) {
	want, err := parsePrivateKey(readKeyFile(t, "pkcs8.pem"), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ec-with-parameters.pem", "pkcs8.der", "pkcs8-aes256-sha256.pem", "pkcs8-aes128-sha1.pem",
		"pkcs8-aes192-sha512.pem", "pkcs8-des3-sha384.pem", "traditional-aes256.pem"} {
		data := readKeyFile(t, name)
		got, err := parsePrivateKey(data, "secret")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !(privateKey{got}).fits(want.Public()) {
			t.Errorf("%s: another key", name)
		}
		if !strings.Contains(name, "aes") && !strings.Contains(name, "des3") {
			continue
		}
		if _, err := parsePrivateKey(data, "Secret"); err == nil {
			t.Errorf("%s: opens with a wrong passphrase", name)
		}
		if _, err := parsePrivateKey(data, ""); err == nil || !strings.Contains(err.Error(), "sslpassword is not set") {
			t.Errorf("%s without passphrase: %v", name, err)
		}
	}

	rsa, err := parsePrivateKey(readKeyFile(t, "rsa-traditional.pem"), "")
	if err != nil {
		t.Fatal(err)
	}
	if (privateKey{rsa}).fits(want.Public()) {
		t.Error("different keys are the same")
	}
}

func TestUnsupportedPrivateKeysAreNamed(t *testing.T) {
	for _, c := range []struct{ name, want string }{
		{"pkcs8-pbes1.pem", "algorithm 1.2.840.113549.1.12.1.3, which is not supported"},
		{"pkcs8-scrypt.pem", "key derivation 1.3.6.1.4.1.11591.4.11, which is not supported"},
	} {
		if _, err := parsePrivateKey(readKeyFile(t, c.name), "secret"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if _, err := parsePrivateKey([]byte("nothing"), ""); err == nil {
		t.Error("text is taken for a key")
	}
}

func TestPrivateKeyFileMustBePrivate(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Log("file modes say nothing on Windows")
		return
	}
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, readKeyFile(t, "pkcs8.pem"), 0o600); err != nil {
		t.Fatal(err)
	}
	for mode, ok := range map[os.FileMode]bool{0o600: true, 0o400: true, 0o640: os.Geteuid() == 0, 0o644: false, 0o660: false} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := readPrivateKey(path, "")
		if ok != (err == nil) {
			t.Errorf("mode %o: %v", mode, err)
		}
		if err != nil && !strings.HasPrefix(err.Error(), "private key file \""+path+"\" has group or world access; ") {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
	if _, err := readPrivateKey(filepath.Dir(path), ""); err == nil || !strings.HasSuffix(err.Error(), "is not a regular file") {
		t.Errorf("a directory: %v", err)
	}
	if _, err := readPrivateKey(path+"x", ""); err == nil || err.Error() != "certificate present, but not private key file \""+path+"x\"" {
		t.Errorf("no file: %v", err)
	}
}

func FuzzPrivateKey(f *testing.F) {
	maxIterations = 5000
	entries, err := os.ReadDir("testdata/keys")
	if err != nil {
		f.Fatal(err)
	}
	for _, e := range entries {
		f.Add(readKeyFile(f, e.Name()))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		key, err := parsePrivateKey(data, "secret")
		if err == nil && key.Public() == crypto.PublicKey(nil) {
			t.Error("a key without a public part")
		}
	})
}
