package pgfake

import "strconv"

// versionNumber is server_version_num for a server_version such as "9.5.3",
// "15.18 (Debian 15.18-0)" or "19devel": 90503, 150018, 190000.
func versionNumber(s string) int {
	var parts [3]int
	n := 0
	for i := 0; i < len(s) && n < len(parts); {
		j := i
		for j < len(s) && s[j] >= '0' && s[j] <= '9' {
			j++
		}
		if j == i {
			break
		}
		parts[n], _ = strconv.Atoi(s[i:j])
		n++
		if j == len(s) || s[j] != '.' {
			break
		}
		i = j + 1
	}
	if parts[0] >= 10 {
		return parts[0]*10000 + parts[1]
	}
	return parts[0]*10000 + parts[1]*100 + parts[2]
}

// major is the version as directory names and PG_VERSION have it: "9.5", "15".
func major(version int) string {
	if version >= 100000 {
		return strconv.Itoa(version / 10000)
	}
	return strconv.Itoa(version/10000) + "." + strconv.Itoa(version/100%100)
}

// walDir is where segments are: pg_xlog was renamed in 10.
func walDir(version int) string {
	if version >= 100000 {
		return "pg_wal"
	}
	return "pg_xlog"
}
