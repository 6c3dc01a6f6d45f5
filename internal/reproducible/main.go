// Reproducible builds pgbasin twice for each platform, from two copies of its
// files in directories of different names and with build caches of their own, and
// compares what comes out. "make reproducible" runs it.
package main

import (
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func main() {
	targets := flag.String("targets", "linux/amd64", "platforms to build for, with commas between")
	flag.Parse()
	if err := run(strings.Split(*targets, ",")); err != nil {
		fmt.Fprintf(os.Stderr, "reproducible: %v\n", err)
		os.Exit(1)
	}
}

func run(targets []string) (err error) {
	dir, err := os.MkdirTemp("", "pgbasin-reproducible-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	var sums [2]map[string]string
	for i, name := range []string{"a", "another-directory/of-a-longer-name"} {
		b := build{root: filepath.Join(dir, name), path: fmt.Sprintf("%s/gopath%d", dir, i)}
		if sums[i], err = b.all(targets); err != nil {
			return err
		}
	}
	for _, target := range targets {
		if sums[0][target] != sums[1][target] {
			return fmt.Errorf("two builds for %s differ: %s and %s", target, sums[0][target], sums[1][target])
		}
		fmt.Printf("%s  pgbasin %s\n", sums[0][target], target)
	}
	return nil
}

// build is one of the two.
type build struct {
	root string // of the files
	path string // GOPATH, with the build cache; modules are taken from the usual cache
}

func (b build) all(targets []string) (map[string]string, error) {
	files, err := exec.Command("git", "ls-files", "-z", "--", "*.go", "go.mod", "go.sum").Output()
	if err != nil {
		return nil, fmt.Errorf("git ls-files: %w", err)
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(files), "\x00"), "\x00") {
		if err := copyFile(name, filepath.Join(b.root, name)); err != nil {
			return nil, err
		}
	}
	modules, err := exec.Command("go", "env", "GOMODCACHE").Output()
	if err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	sums := map[string]string{}
	for _, target := range targets {
		goos, goarch, _ := strings.Cut(target, "/")
		binary := filepath.Join(b.path, "pgbasin."+goos+"."+goarch)
		// As the Makefile does, for a version that both have.
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w -X main.version=reproducible", "-o", binary, "./cmd/pgbasin")
		cmd.Dir = b.root
		cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false",
			"GOPATH="+b.path, "GOCACHE="+filepath.Join(b.path, "cache"), "GOMODCACHE="+strings.TrimSpace(string(modules)))
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("could not build for %s: %w\n%s", target, err, out)
		}
		if sums[target], err = sum(binary); err != nil {
			return nil, err
		}
	}
	return sums, nil
}

func copyFile(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	content, err := os.ReadFile(from)
	if errors.Is(err, os.ErrNotExist) {
		return nil // it is about to be removed
	}
	if err != nil {
		return err
	}
	return os.WriteFile(to, content, 0o600)
}

func sum(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}
