package conninfo

import (
	"regexp"
	"strings"
)

// Mask returns a connection string for people to read, with secrets hidden, also
// one that does not parse.
func Mask(s string) string {
	set, err := Parse(s)
	if err != nil {
		return Hide(s)
	}
	return set.String()
}

var (
	uriInText = regexp.MustCompile(`postgres(?:ql)?://[^\s"]*`)
	// secretInText is a word that, misspelt or not, stands for a password, and what
	// is given to it. Where that ends is not known when it was not quoted as it
	// should have been.
	secretInText = regexp.MustCompile(`(?i)([a-z_-]*pas+(?:w[a-z]*)?\s*=\s*)[^\n]+`)
)

// Hide hides what is, or may be, a password in a text about a command line: in a
// connection URI, and everything that follows "password=" and the like on the same
// line.
func Hide(text string) string {
	text = uriInText.ReplaceAllStringFunc(text, redactURI)
	return secretInText.ReplaceAllString(text, "${1}"+hidden)
}

// SecretAt is where something secret begins in an argument of a command line:
// behind "password=", or behind the scheme of a URI with an "@". It is -1 if
// nothing does.
func SecretAt(arg string) int {
	if at := secretInText.FindStringSubmatchIndex(arg); at != nil {
		return at[3]
	}
	if at := uriInText.FindStringIndex(arg); at != nil && strings.ContainsRune(arg[at[0]:], '@') {
		return strings.Index(arg, "://") + len("://")
	}
	return -1
}
