package verify

import (
	"bytes"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/program"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/usage"
	"github.com/pgbasin/pgbasin/verify"
)

func TestProgressIsLaidOutAsByPgVerifybackup(t *testing.T) {
	for _, c := range []struct {
		done, total int64
		want        string
	}{
		{0, 0, "0/0 kB (0%) verified"},
		{0, 1 << 20, "   0/1024 kB (0%) verified"},
		{1 << 19, 1 << 20, " 512/1024 kB (50%) verified"},
		{1<<20 - 1, 1 << 20, "1023/1024 kB (99%) verified"},
		{1 << 20, 1 << 20, "1024/1024 kB (100%) verified"},
		{1 << 50, 1 << 50, "1099511627776/1099511627776 kB (100%) verified"},
	} {
		if got := format(verify.Progress{Done: c.done, Total: c.total}); got != c.want {
			t.Errorf("%d of %d: %q, want %q", c.done, c.total, got, c.want)
		}
	}
}

func TestProgressIsShownOnceASecondAndAtTheEnd(t *testing.T) {
	var out bytes.Buffer
	s := &progress{console: program.NewConsole(&out)}
	for i := range 1000 {
		s.update(verify.Progress{Done: int64(i) << 10, Total: 1000 << 10})
	}
	s.update(verify.Progress{Done: 1000 << 10, Total: 1000 << 10, Finished: true})
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	// A second may have begun between.
	if len(lines) < 2 || len(lines) > 4 || lines[0] != "   0/1000 kB (0%) verified" || lines[len(lines)-1] != "1000/1000 kB (100%) verified" {
		t.Errorf("%q", lines)
	}
}

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
