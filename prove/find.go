package prove

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pgbasin/pgbasin/pgdata"
)

// program is a server's program.
type program struct {
	path    string // of postgres
	major   string
	version string // such as "15.18 (Debian 15.18-0+deb12u1)"
}

// WrongVersionError says that the server to be started is not of the major
// version of the data directory.
type WrongVersionError struct {
	Path      string // of postgres
	Server    string // its version
	Directory string // the major version of the data directory
}

func (e *WrongVersionError) Error() string {
	return fmt.Sprintf("server \"%s\" is PostgreSQL %s, but the backup is of PostgreSQL %s", e.Path, e.Server, e.Directory)
}

// NoServerError says that no server of a major version was found.
type NoServerError struct {
	Major    string
	Searched []string // directories
}

func (e *NoServerError) Error() string {
	return fmt.Sprintf("no server of PostgreSQL %s was found (searched %s)", e.Major, strings.Join(e.Searched, ", "))
}

// usualPlaces are the directories where packages put a server's programs: those
// of Debian, of PostgreSQL's RPMs, of its own build, of Homebrew, of Alpine and
// of macOS's Postgres.app.
func usualPlaces(major string) []string {
	return []string{
		"/usr/lib/postgresql/" + major + "/bin",
		"/usr/pgsql-" + major + "/bin",
		"/usr/local/pgsql/bin",
		"/opt/homebrew/opt/postgresql@" + major + "/bin",
		"/usr/local/opt/postgresql@" + major + "/bin",
		"/usr/libexec/postgresql" + major,
		"/Applications/Postgres.app/Contents/Versions/" + major + "/bin",
	}
}

// find returns the server's program for a data directory of a version: the one
// in binDir, which must fit, or the first that fits in the usual places and in
// path.
func (r *runner) find(ctx context.Context, v pgdata.Version, binDir string, path []string) (*program, error) {
	major := v.Major()
	if binDir != "" {
		p, err := r.inspect(ctx, filepath.Join(binDir, "postgres"))
		if err != nil {
			return nil, err
		}
		if p.major != major {
			return nil, &WrongVersionError{Path: p.path, Server: p.version, Directory: major}
		}
		return p, nil
	}
	searched := append(usualPlaces(major), path...)
	for _, dir := range searched {
		if !filepath.IsAbs(dir) {
			continue // of PATH, and not to be trusted
		}
		p, err := r.inspect(ctx, filepath.Join(dir, "postgres"))
		if err == nil && p.major == major {
			return p, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
	return nil, &NoServerError{Major: major, Searched: searched}
}

// inspectPatience is how long "postgres -V" may take.
const inspectPatience = 30 * time.Second

// inspect asks a program for its version, as the user that it will run as.
func (r *runner) inspect(ctx context.Context, path string) (*program, error) {
	if _, err := os.Stat(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("there is no server program \"%s\": %w", path, fs.ErrNotExist)
		}
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, inspectPatience, fmt.Errorf("no answer within %s", inspectPatience))
	defer cancel()
	out, err := r.output(ctx, path, "-V")
	if err != nil {
		return nil, fmt.Errorf("could not run \"%s -V\": %w", path, err)
	}
	version, ok := strings.CutPrefix(strings.TrimSpace(out), "postgres (PostgreSQL) ")
	major := majorOf(version)
	if !ok || major == "" {
		return nil, fmt.Errorf("\"%s -V\" does not answer as a server does: %q", path, firstLine(out))
	}
	return &program{path: path, major: major, version: version}, nil
}

// majorOf is the major version in a version's name: "15" of "15.18 (Debian)" and
// of "15beta1", "9.6" of "9.6.24".
func majorOf(version string) string {
	digits := func(s string) int {
		return len(s) - len(strings.TrimLeft(s, "0123456789"))
	}
	n := digits(version)
	if n == 0 {
		return ""
	}
	if n == 1 && strings.HasPrefix(version[n:], ".") {
		n += 1 + digits(version[n+1:])
	}
	return version[:n]
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line[:min(len(line), 200)]
}
