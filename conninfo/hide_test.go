package conninfo

import (
	"strings"
	"testing"
)

func TestTextAboutACommandLineShowsNoPassword(t *testing.T) {
	for text, want := range map[string]string{
		`(first is "postgresql://u:s3cret@h/db?sslmode=require")`: `(first is "postgresql://u:***@h/db?***")`,
		`(first is "postgres://h?password=s3cret")`:               `(first is "postgres://h?***")`,
		`(first is "host=h password='s3 cret' user=u")`:           `(first is "host=h password=***`,
		"--pasword=s3cret":                "--pasword=***",
		"--passwd = s3cret":               "--passwd = ***",
		"PGPASSWORD=s3cret":               "PGPASSWORD=***",
		"sslpassword=s3cret\nhost=h":      "sslpassword=***\nhost=h",
		"passfile=/home/u/.pgpass host=h": "passfile=/home/u/.pgpass host=h",
		"postgresql://h1,h2:5433/db":      "postgresql://h1,h2:5433/db",
		"no such file":                    "no such file",
	} {
		if got := Hide(text); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func TestAMaskedConnectionStringHasEverythingButSecrets(t *testing.T) {
	for s, want := range map[string]string{
		"host=db password='s3 cret' sslpassword=s3cret user=u": "user=u password='***' host=db sslpassword='***'",
		"postgresql://u:s3cret@db/":                            "user=u password='***' host=db",
		"host=db password='s3cret":                             "host=db password=***",
		"host=db":                                              "host=db",
	} {
		if got := Mask(s); got != want {
			t.Errorf("%s: %s, want %s", s, got, want)
		}
	}
}

func TestWhereASecretBeginsInAnArgument(t *testing.T) {
	for arg, secret := range map[string]string{
		"-dhost=h password=s3cret user=u":                "s3cret user=u",
		"--dbname=postgresql://u:s3cret@h":               "u:s3cret@h",
		"postgres://u@h/db":                              "u@h/db",
		"--primary-conninfo=host=h sslpassword='s3cret'": "'s3cret'",
		"postgresql://h/db":                              "",
		"-W":                                             "",
		"--password":                                     "",
	} {
		at := SecretAt(arg)
		if secret == "" {
			if at >= 0 {
				t.Errorf("%s: %d", arg, at)
			}
		} else if at < 0 || strings.TrimSpace(arg[at:]) != secret {
			t.Errorf("%s: at %d", arg, at)
		}
	}
}
