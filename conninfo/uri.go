package conninfo

import (
	"errors"
	"fmt"
	"strings"
)

// uriPrefix returns the length of the scheme at the start of s, 0 when s is
// not a connection URI.
func uriPrefix(s string) int {
	for _, p := range []string{"postgresql://", "postgres://"} {
		if strings.HasPrefix(s, p) {
			return len(p)
		}
	}
	return 0
}

// parseURI reads
//
//	postgresql://[user[:password]@][host][:port][,...][/dbname][?keyword=value[&...]]
//
// where every part may be percent-encoded and an IPv6 address stands in
// brackets. It follows libpq, not RFC 3986: the user part ends at the first
// "@" that comes before any "/".
func (s *Settings) parseURI(uri string, prefix int) error {
	rest := uri[prefix:]

	if i := strings.IndexAny(rest, "@/"); i >= 0 && rest[i] == '@' {
		user, password, _ := strings.Cut(rest[:i], ":")
		if err := s.storeDecoded("user", user); err != nil {
			return err
		}
		if err := s.storeDecoded("password", password); err != nil {
			return err
		}
		rest = rest[i+1:]
	}

	var hosts, ports strings.Builder
	for {
		if strings.HasPrefix(rest, "[") {
			end := strings.IndexByte(rest, ']')
			if end < 0 {
				return fmt.Errorf("end of string reached when looking for matching \"]\" in IPv6 host address in URI: \"%s\"", redactURI(uri))
			}
			if end == 1 {
				return fmt.Errorf("IPv6 host address may not be empty in URI: \"%s\"", redactURI(uri))
			}
			hosts.WriteString(rest[1:end])
			rest = rest[end+1:]
			if rest != "" && !strings.ContainsRune(":/?,", rune(rest[0])) {
				return fmt.Errorf("unexpected character \"%c\" at position %d in URI (expected \":\" or \"/\"): \"%s\"",
					rest[0], len(uri)-len(rest)+1, redactURI(uri))
			}
		} else {
			end := indexAnyOrEnd(rest, ":/?,")
			hosts.WriteString(rest[:end])
			rest = rest[end:]
		}
		if strings.HasPrefix(rest, ":") {
			end := indexAnyOrEnd(rest, "/?,")
			port := rest[1:end]
			rest = rest[end:]
			// libpq takes any text as a port here and quotes it in a later
			// error. With an "@" behind it, it is the start of a password
			// that holds an unencoded "/".
			if !digits(port) && strings.ContainsAny(port+rest, "@") {
				return errors.New("invalid port in URI: \"/\", \"?\" and \"@\" in a user name or password must be percent-encoded")
			}
			ports.WriteString(port)
		}
		if !strings.HasPrefix(rest, ",") {
			break
		}
		rest = rest[1:]
		hosts.WriteByte(',')
		ports.WriteByte(',')
	}
	// libpq looks the whole up as a name, and says that it knows no such host. An
	// "@" begins the name of an abstract socket; elsewhere it ended a password that
	// holds another.
	for name := range strings.SplitSeq(hosts.String(), ",") {
		if s.Value("password") != "" && strings.LastIndexByte(name, '@') > 0 {
			return errors.New("invalid host in URI: \"/\", \"?\" and \"@\" in a user name or password must be percent-encoded")
		}
	}
	if err := s.storeDecoded("host", hosts.String()); err != nil {
		return err
	}
	if err := s.storeDecoded("port", ports.String()); err != nil {
		return err
	}

	if strings.HasPrefix(rest, "/") {
		end := indexAnyOrEnd(rest, "?")
		if err := s.storeDecoded("dbname", rest[1:end]); err != nil {
			return err
		}
		rest = rest[end:]
	}
	return s.parseURIParameters(strings.TrimPrefix(rest, "?"))
}

// storeDecoded keeps a part of the URI proper. An empty part is as good as an
// absent one: it does not hide the environment's value.
func (s *Settings) storeDecoded(keyword, encoded string) error {
	if encoded == "" {
		return nil
	}
	value, err := decodeURI(encoded, secret(keyword))
	if err != nil {
		return err
	}
	s.store(keyword, value)
	return nil
}

func (s *Settings) parseURIParameters(query string) error {
	previous := ""
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		key, value, ok := strings.Cut(pair, "=")
		if !ok {
			return fmt.Errorf("missing key/value separator \"=\" in URI query parameter: \"%s\"", shownAfter(previous, key))
		}
		if strings.Contains(value, "=") {
			return fmt.Errorf("extra key/value separator \"=\" in URI query parameter: \"%s\"", shownAfter(previous, key))
		}
		keyword, err := decodeURI(key, secret(previous))
		if err != nil {
			return err
		}
		decoded, err := decodeURI(value, secret(keyword))
		if err != nil {
			return err
		}
		if keyword == "ssl" && decoded == "true" {
			keyword, decoded = "sslmode", "require"
		}
		if !s.store(keyword, decoded) {
			return fmt.Errorf("invalid URI query parameter: \"%s\"", shownAfter(previous, keyword))
		}
		previous = keyword
	}
	return nil
}

// decodeURI resolves percent-encoding. Spaces around the value are dropped and
// inside it are refused, as in libpq.
func decodeURI(encoded string, isSecret bool) (string, error) {
	shown := encoded
	if isSecret {
		shown = hidden
	}
	trimmed := strings.Trim(encoded, " ")
	out := make([]byte, 0, len(trimmed))
	for i := 0; i < len(trimmed); i++ {
		switch c := trimmed[i]; c {
		case ' ':
			return "", fmt.Errorf("unexpected spaces found in \"%s\", use percent-encoded spaces (%%20) instead", shown)
		case '%':
			if i+2 >= len(trimmed) {
				return "", fmt.Errorf("invalid percent-encoded token: \"%s\"", shown)
			}
			hi, lo := hexDigit(trimmed[i+1]), hexDigit(trimmed[i+2])
			if hi < 0 || lo < 0 {
				return "", fmt.Errorf("invalid percent-encoded token: \"%s\"", shown)
			}
			if hi == 0 && lo == 0 {
				return "", fmt.Errorf("forbidden value %%00 in percent-encoded value: \"%s\"", shown)
			}
			out = append(out, byte(hi<<4|lo))
			i += 2
		default:
			out = append(out, c)
		}
	}
	return string(out), nil
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}

func indexAnyOrEnd(s, chars string) int {
	if i := strings.IndexAny(s, chars); i >= 0 {
		return i
	}
	return len(s)
}

func digits(s string) bool {
	return strings.Trim(s, "0123456789") == ""
}

// redactURI hides what is, or may be, a password in a URI that does not parse.
func redactURI(uri string) string {
	n := uriPrefix(uri)
	head, rest := uri[:n], uri[n:]
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		if user, _, ok := strings.Cut(rest[:i], ":"); ok {
			rest = user + ":" + hidden + rest[i:]
		}
	}
	if path, query, ok := strings.Cut(rest, "?"); ok && query != "" {
		rest = path + "?" + hidden
	}
	return head + rest
}
