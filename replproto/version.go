package replproto

import "fmt"

// Version is a server version as PQserverVersion gives it: 90503 for 9.5.3,
// 150018 for 15.18.
type Version int

// Versions in which something that this package relies on appeared.
const (
	v9_1 Version = 90100
	v9_3 Version = 90300
	v9_4 Version = 90400
	v9_6 Version = 90600
	v10  Version = 100000
	v11  Version = 110000
	v13  Version = 130000
	v15  Version = 150000
	v17  Version = 170000

	v9_5 Version = 90500
)

// parseVersion reads server_version: "9.5.3", "15.18 (Debian 15.18-0)",
// "19rc1", "17devel". Only the leading number is required; from 10 on the
// second number is the minor version, before it is part of the major one.
func parseVersion(s string) (Version, error) {
	var n [3]int
	count := 0
	for i := 0; count < 3; count++ {
		start := i
		for i < len(s) && s[i] >= '0' && s[i] <= '9' && i-start < 5 {
			n[count] = n[count]*10 + int(s[i]-'0')
			i++
		}
		if i == start {
			break
		}
		if i >= len(s) || s[i] != '.' {
			count++
			break
		}
		i++
	}
	if count == 0 || n[0] == 0 || n[0] > 9999 || n[1] > 9999 || n[2] > 99 {
		return 0, fmt.Errorf("could not parse server version %q", s)
	}
	if n[0] >= 10 {
		return Version(n[0]*10000 + n[1]), nil
	}
	if n[1] > 99 {
		return 0, fmt.Errorf("could not parse server version %q", s)
	}
	return Version(n[0]*10000 + n[1]*100 + n[2]), nil
}

// Major is the major version as people write it: "9.5", "15".
func (v Version) Major() string {
	if v < v10 {
		return fmt.Sprintf("%d.%d", v/10000, v/100%100)
	}
	return fmt.Sprintf("%d", v/10000)
}
