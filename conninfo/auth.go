package conninfo

import (
	"fmt"
	"slices"
	"strings"
)

// authMethods are the words of require_auth.
var authMethods = []string{"password", "md5", "gss", "sspi", "scram-sha-256", "oauth", "none"}

// AuthMethods says which ways of authentication the client accepts.
type AuthMethods struct {
	text    string
	listed  []string
	negated bool
}

// ParseAuthMethods reads the value of require_auth: names of methods, all of
// them or none with a "!" in front. The empty string accepts every method.
func ParseAuthMethods(value string) (AuthMethods, error) {
	a := AuthMethods{text: value}
	if value == "" {
		return a, nil
	}
	for i, part := range strings.Split(value, ",") {
		method, negated := strings.CutPrefix(part, "!")
		switch {
		case i == 0:
			a.negated = negated
		case negated && !a.negated:
			return AuthMethods{}, fmt.Errorf("negative require_auth method \"%s\" cannot be mixed with non-negative methods", part)
		case !negated && a.negated:
			return AuthMethods{}, fmt.Errorf("require_auth method \"%s\" cannot be mixed with negative methods", part)
		}
		if !slices.Contains(authMethods, method) {
			return AuthMethods{}, fmt.Errorf("invalid require_auth value: \"%s\"", method)
		}
		if slices.Contains(a.listed, method) {
			return AuthMethods{}, fmt.Errorf("require_auth method \"%s\" is specified more than once", part)
		}
		a.listed = append(a.listed, method)
	}
	return a, nil
}

// Allows reports whether the server may ask for method.
func (a AuthMethods) Allows(method string) bool {
	return a.text == "" || slices.Contains(a.listed, method) != a.negated
}

// Required reports whether the server must authenticate the client at all: it
// must unless "none" is allowed.
func (a AuthMethods) Required() bool {
	return !a.Allows("none")
}

// String returns the value as it was given.
func (a AuthMethods) String() string {
	return a.text
}
