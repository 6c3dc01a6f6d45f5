package pgtest

import "strings"

// literal writes a string constant for SQL; servers have standard_conforming_strings on.
func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
