package pgdata

import "strconv"

// ParseOID reads an object identifier as the names of files and directories have
// it: in decimal without a sign or leading zeroes, and not 0.
func ParseOID(s string) (oid uint32, ok bool) {
	if s == "" || s[0] < '1' || s[0] > '9' {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 32)
	return uint32(n), err == nil
}
