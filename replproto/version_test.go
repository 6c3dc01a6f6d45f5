package replproto

import "testing"

func TestServerVersionsAreReadAsServersWriteThem(t *testing.T) {
	for _, c := range []struct {
		text  string
		want  Version
		major string
	}{
		{"9.1", 90100, "9.1"},
		{"9.5.3", 90503, "9.5"},
		{"9.5.0.5", 90500, "9.5"},
		{"9.6beta1", 90600, "9.6"},
		{"10.23", 100023, "10"},
		{"15.18 (Debian 15.18-0+deb12u1)", 150018, "15"},
		{"17devel", 170000, "17"},
		{"18.4", 180004, "18"},
		{"19rc1", 190000, "19"},
		{"19beta2", 190000, "19"},
		{"100.1", 1000001, "100"},
	} {
		got, err := parseVersion(c.text)
		if err != nil || got != c.want || got.Major() != c.major {
			t.Errorf("parseVersion(%q) = %d (%s), %v; want %d (%s)", c.text, got, got.Major(), err, c.want, c.major)
		}
	}
	for _, text := range []string{"", "devel", ".5", "0", "-1", "99999999", "9.100"} {
		if v, err := parseVersion(text); err == nil {
			t.Errorf("parseVersion(%q) = %d, want an error", text, v)
		}
	}
}
