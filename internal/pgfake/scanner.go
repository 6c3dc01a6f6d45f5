package pgfake

import (
	"strconv"
	"strings"

	"github.com/pgbasin/pgbasin/lsn"
)

type tokenKind int

const (
	tokenEnd    tokenKind = iota
	tokenWord             // unquoted: a keyword or an identifier
	tokenQuoted           // "identifier"
	tokenString           // 'string'
	tokenNumber
	tokenLSN
	tokenPunctuation
	tokenBad
)

type token struct {
	kind tokenKind
	text string // without quotes
	n    uint32
	lsn  lsn.LSN
}

// scan splits a replication command as repl_scanner.l does.
func scan(s string) []token {
	var out []token
	for {
		s = strings.TrimLeft(s, " \t\n\r\f\v")
		if s == "" {
			return append(out, token{kind: tokenEnd})
		}
		var t token
		t, s = scanOne(s)
		out = append(out, t)
		if t.kind == tokenBad {
			return out
		}
	}
}

func scanOne(s string) (token, string) {
	switch c := s[0]; {
	case c == '\'' || c == '"':
		text, rest, ok := unquote(s)
		switch {
		case !ok || c == '"' && text == "":
			return token{kind: tokenBad, text: s}, ""
		case c == '"':
			return token{kind: tokenQuoted, text: text}, rest
		}
		return token{kind: tokenString, text: text}, rest
	case isWordStart(c):
		n := 1
		for n < len(s) && (isWordStart(s[n]) || isDigit(s[n]) || s[n] == '$') && s[n] != '/' {
			n++
		}
		if l, rest, ok := scanLSN(s); ok {
			return token{kind: tokenLSN, text: s[:len(s)-len(rest)], lsn: l}, rest
		}
		return token{kind: tokenWord, text: s[:n]}, s[n:]
	case isDigit(c):
		if l, rest, ok := scanLSN(s); ok {
			return token{kind: tokenLSN, text: s[:len(s)-len(rest)], lsn: l}, rest
		}
		n := 1
		for n < len(s) && isDigit(s[n]) {
			n++
		}
		v, err := strconv.ParseUint(s[:n], 10, 32)
		if err != nil {
			return token{kind: tokenBad, text: s[:n]}, ""
		}
		return token{kind: tokenNumber, text: s[:n], n: uint32(v)}, s[n:]
	case strings.IndexByte("(),;.", c) >= 0:
		return token{kind: tokenPunctuation, text: s[:1]}, s[1:]
	}
	return token{kind: tokenBad, text: s}, ""
}

// unquote reads a string or identifier, in which the quote is doubled.
func unquote(s string) (text, rest string, ok bool) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		if s[i] == s[0] {
			if i+1 == len(s) || s[i+1] != s[0] {
				return b.String(), s[i+1:], true
			}
			i++
		}
		b.WriteByte(s[i])
	}
	return "", "", false
}

func scanLSN(s string) (lsn.LSN, string, bool) {
	n := 0
	for n < len(s) && (isHex(s[n]) || s[n] == '/') {
		n++
	}
	l, err := lsn.Parse(s[:n])
	return l, s[n:], err == nil
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
func isHex(c byte) bool   { return isDigit(c) || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F' }
func isWordStart(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= 0x80
}
