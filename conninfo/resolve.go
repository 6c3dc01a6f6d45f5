package conninfo

import (
	"os/user"
	"path/filepath"
	"strings"
)

// Lookup returns the value of an environment variable and whether it is set.
// os.LookupEnv is one; nil stands for an empty environment.
type Lookup func(name string) (string, bool)

func (l Lookup) get(name string) (string, bool) {
	if l == nil {
		return "", false
	}
	return l(name)
}

// Resolve completes given as libpq does when it connects: what is not given
// comes from the service file that "service" or PGSERVICE names, then from the
// environment, then from the defaults. As in PostgreSQL's replication tools,
// an empty value in given counts as not given.
//
// The files read are the service file and, to see whether they exist, nothing
// else; the password file is read by [Settings.Hosts].
func Resolve(given Settings, lookup Lookup) (Settings, error) {
	out := Settings{values: make(map[string]setting, len(keywords))}
	for k, v := range given.values {
		if v.text != "" {
			out.values[k] = v
		}
	}

	if err := out.addService(lookup); err != nil {
		return Settings{}, err
	}

	for _, k := range keywords {
		if _, ok := out.values[k.name]; ok {
			continue
		}
		if k.env != "" {
			if v, ok := lookup.get(k.env); ok {
				out.values[k.name] = setting{v, Environment}
				continue
			}
		}
		if k.name == "sslmode" {
			// PGREQUIRESSL is the ancestor of PGSSLMODE.
			if v, ok := lookup.get("PGREQUIRESSL"); ok && strings.HasPrefix(v, "1") {
				out.values[k.name] = setting{"require", Environment}
				continue
			}
		}
		if k.fallback != "" {
			out.values[k.name] = setting{k.fallback, Default}
		}
	}
	if out.Value("sslrootcert") == "system" && out.Source("sslmode") == Default {
		out.values["sslmode"] = setting{"verify-full", Default}
	}

	if out.Value("user") == "" {
		name, err := osUserName()
		if err != nil {
			return Settings{}, err
		}
		out.values["user"] = setting{name, Default}
	}
	if home, ok := configDir(lookup); ok {
		out.defaultFile("sslcert", home.tls, "postgresql.crt")
		out.defaultFile("sslkey", home.tls, "postgresql.key")
		out.defaultFile("sslrootcert", home.tls, "root.crt")
		if out.Value("sslcrldir") == "" {
			out.defaultFile("sslcrl", home.tls, "root.crl")
		}
		if out.Value("password") == "" && out.Value("passfile") == "" {
			out.values["passfile"] = setting{filepath.Join(home.dir, home.passfile), Default}
		}
	}
	return out, nil
}

// defaultFile sets the place where libpq looks for a file that was not named.
// Whether it exists is for the user of the setting to find out.
func (s *Settings) defaultFile(keyword, dir, name string) {
	if s.Value(keyword) == "" {
		s.values[keyword] = setting{filepath.Join(dir, name), Default}
	}
}

// home says where a user's PostgreSQL client files are.
type home struct {
	dir      string // holds the password and service files
	passfile string // name of the password file
	tls      string // holds certificates and keys
}

// lookupUser finds an account by numeric id; a variable for tests.
var lookupUser = user.LookupId
