package backup

import (
	"errors"
	"math"
	"strconv"
	"strings"

	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/usage"
)

const whiteSpace = " \t\n\v\f\r"

// The bounds of MAX_RATE in kB/s (backup/basebackup.h).
const (
	minRate = 32
	maxRate = 1 << 20
)

// parseMaxRate reads the value of -r as pg_basebackup does: any number that
// strtod(3) reads, with an optional unit, "k" or "M".
func parseMaxRate(s string) (int, error) {
	number := floatPrefix(s)
	if number == "" {
		return 0, usage.Refuse("transfer rate \"%s\" is not a valid value", s)
	}
	rate, err := parseFloat(strings.TrimLeft(number, whiteSpace))
	if errors.Is(err, strconv.ErrRange) {
		return 0, usage.Refuse("invalid transfer rate \"%s\": Numerical result out of range", s)
	}
	if rate <= 0 {
		return 0, usage.Refuse("transfer rate must be greater than zero")
	}
	unit := strings.TrimLeft(s[len(number):], whiteSpace)
	rest := unit
	switch {
	case strings.HasPrefix(unit, "k"):
		rest = unit[1:]
	case strings.HasPrefix(unit, "M"):
		rest = unit[1:]
		rate *= 1024
	}
	if strings.TrimLeft(rest, whiteSpace) != "" {
		return 0, usage.Refuse("invalid --max-rate unit: \"%s\"", unit)
	}
	switch {
	case math.IsNaN(rate) || rate >= 1<<32 && !math.IsInf(rate, 0):
		return 0, usage.Refuse("transfer rate \"%s\" exceeds integer range", s)
	case rate < minRate || rate > maxRate:
		return 0, usage.Refuse("transfer rate \"%s\" is out of range", s)
	}
	return int(rate), nil
}

// floatPrefix returns the part of s that strtod(3) reads: leading blanks and a
// decimal or hexadecimal number, "inf", "infinity" or "nan".
func floatPrefix(s string) string {
	i := len(s) - len(strings.TrimLeft(s, whiteSpace))
	if i < len(s) && (s[i] == '+' || s[i] == '-') {
		i++
	}
	lower := strings.ToLower(s[i:])
	for _, word := range []string{"infinity", "inf", "nan"} {
		if strings.HasPrefix(lower, word) {
			return s[:i+len(word)]
		}
	}
	if strings.HasPrefix(lower, "0x") {
		if n := mantissa(lower[2:], "0123456789abcdef"); n > 0 {
			return s[:i+2+n+exponent(lower[2+n:], 'p')]
		}
	}
	n := mantissa(lower, "0123456789")
	if n == 0 {
		return ""
	}
	return s[:i+n+exponent(lower[n:], 'e')]
}

// mantissa is the length of the digits with an optional point at the start of
// s, 0 without a digit.
func mantissa(s, digits string) int {
	n, seen := 0, 0
	for point := false; n < len(s); n++ {
		switch {
		case strings.IndexByte(digits, s[n]) >= 0:
			seen++
		case s[n] == '.' && !point:
			point = true
		default:
			if seen == 0 {
				return 0
			}
			return n
		}
	}
	if seen == 0 {
		return 0
	}
	return n
}

// exponent is the length of the exponent at the start of s.
func exponent(s string, letter byte) int {
	if s == "" || s[0] != letter {
		return 0
	}
	i := 1
	if i < len(s) && (s[i] == '+' || s[i] == '-') {
		i++
	}
	digits := len(s[i:]) - len(strings.TrimLeft(s[i:], "0123456789"))
	if digits == 0 {
		return 0
	}
	return i + digits
}

func parseFloat(s string) (float64, error) {
	lower := strings.ToLower(s)
	if strings.Contains(lower, "0x") && !strings.Contains(lower, "p") {
		s += "p0" // Go wants an exponent
	}
	if strings.TrimLeft(lower, "+-") == "nan" {
		s = "nan" // Go knows no sign for it
	}
	return strconv.ParseFloat(s, 64)
}
