package backup

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/usage"
)

// What these functions accept and refuse is held against pg_basebackup by the
// tests of the whole program. Here: that nothing breaks them.

func FuzzMaxRate(f *testing.F) {
	for _, s := range []string{"", "32", " +1e3 k ", "0x1.8p6M", "0x", ".", "nan", "-inf", "infinity!", "1e400", "5.e1k", "1e", "-0x.8p1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		number := floatPrefix(s)
		if !strings.HasPrefix(s, number) {
			t.Fatalf("%q is not the beginning of %q", number, s)
		}
		if number != "" {
			if _, err := parseFloat(strings.TrimLeft(number, whiteSpace)); err != nil && !errors.Is(err, strconv.ErrRange) {
				t.Errorf("%q: %v", number, err)
			}
		}
		if rate, err := parseMaxRate(s); err == nil && (rate < minRate || rate > maxRate) {
			t.Errorf("%q: %d kB/s", s, rate)
		}
	})
}

func FuzzStatusInterval(f *testing.F) {
	for _, s := range []string{"", " ", "5", " -1 ", "+-1", "5x", "99999999999999999999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := usage.ParseInt(s, "-s", 0, 100); err == nil && (n < 0 || n > 100) {
			t.Errorf("%q: %d", s, n)
		}
	})
}
