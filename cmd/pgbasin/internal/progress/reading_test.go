package progress

import (
	"bytes"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/program"
)

func TestReadingIsLaidOutAsByPgVerifybackup(t *testing.T) {
	r := &Reading{Done: "verified"}
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
		if got := r.format(c.done, c.total); got != c.want {
			t.Errorf("%d of %d: %q, want %q", c.done, c.total, got, c.want)
		}
	}
}

func TestReadingIsShownOnceASecondAndAtTheEnd(t *testing.T) {
	var out bytes.Buffer
	r := &Reading{Console: program.NewConsole(&out), Done: "verified"}
	for i := range int64(1000) {
		r.Update(i<<10, 1000<<10, false)
	}
	r.Update(1000<<10, 1000<<10, true)
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	// A second may have begun between.
	if len(lines) < 2 || len(lines) > 4 || lines[0] != "   0/1000 kB (0%) verified" || lines[len(lines)-1] != "1000/1000 kB (100%) verified" {
		t.Errorf("%q", lines)
	}
}
