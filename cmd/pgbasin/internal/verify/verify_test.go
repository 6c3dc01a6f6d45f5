package verify

import (
	"testing"

	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/usage"
	"github.com/pgbasin/pgbasin/verify"
)

func TestOwnOptionsAreNotThoseOfPgVerifybackup(t *testing.T) {
	args := []string{"--checksums", "-j3", "--json", "-i", "a", "-i", "b", "-m", "m", "-w", "w", "-eFt", "-nPs", "backup"}
	o, err := parse(args, false)
	if err != nil {
		t.Fatal(err)
	}
	v := o.verify
	if !v.PageChecksums || v.Jobs != 3 || !o.json || len(v.Ignore) != 2 || v.ManifestPath != "m" || v.WALDirectory != "w" ||
		!v.ExitOnError || v.Format != verify.Tar || !v.NoParseWAL || !o.progress || !v.SkipChecksums || v.Path != "backup" {
		t.Errorf("%+v", o)
	}
	for _, args := range [][]string{{"--checksums", "x"}, {"-j", "3", "x"}, {"--json", "x"}, {"x", "-V"}} {
		if _, err := parse(args, true); err == nil {
			t.Errorf("%q: taken as pg_verifybackup", args)
		}
	}
	for _, args := range [][]string{{"x", "-V"}, {"x", "--version"}} {
		if _, err := parse(args, false); err != usage.ErrVersion {
			t.Errorf("%q: %v", args, err)
		}
	}
	if _, err := parse([]string{"x", "--help"}, false); err != usage.ErrHelp {
		t.Error(err)
	}
}
