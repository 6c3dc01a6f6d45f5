package pgtest

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// cacheRoot returns the directory that holds server programs and data directory templates between runs, and makes it. It is
// in the user's cache directory, or in /var/tmp when the user that servers run as cannot reach that, as with root's.
func cacheRoot() (string, error) {
	o, err := serverOwner()
	if err != nil {
		return "", err
	}
	if dir, err := os.UserCacheDir(); err == nil {
		root := filepath.Join(dir, "pgbasin")
		blocked, err := o.blockers(root)
		if err != nil {
			return "", err
		}
		if len(blocked) == 0 {
			return root, mkdirAll(root)
		}
	}
	root := filepath.Join("/var/tmp", "pgbasin-"+strconv.Itoa(os.Geteuid()))
	if err := os.Mkdir(root, 0o755); err == nil {
		return root, os.Chmod(root, 0o755)
	} else if !errors.Is(err, os.ErrExist) {
		return "", err
	}
	// The name can be guessed, and programs are run from it: it must be this user's own.
	info, err := os.Lstat(root)
	if err != nil {
		return "", err
	}
	if uid, _ := fileOwner(info); !info.IsDir() || uid != os.Geteuid() || info.Mode()&0o022 != 0 {
		return "", fmt.Errorf("%s is not a directory that only this user can write to", root)
	}
	return root, nil
}

// lock waits for the exclusive lock on a file that it makes. Processes that die lose it.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if _, err := lockFile(f, true); err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

// template returns a data directory as initdb makes it with the arguments, to be copied. It is made once per server version
// and arguments, and kept in the cache.
func template(in *Install, o owner, args []string) (string, error) {
	root, err := cacheRoot()
	if err != nil {
		return "", err
	}
	store := filepath.Join(root, "template")
	if err := mkdirAll(store); err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(in.BinDir + "\x00" + in.Version + "\x00" + strings.Join(args, "\x00")))
	name := fmt.Sprintf("%d-%s", in.Major, hex.EncodeToString(sum[:8]))
	path := filepath.Join(store, name)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	unlock, err := lock(path + ".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	Spread(store)
	work, err := os.MkdirTemp(store, "initdb-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	if err := os.Chmod(work, 0o755); err != nil {
		return "", err
	}
	if err := o.give(work); err != nil {
		return "", err
	}
	made := filepath.Join(work, "data")
	if err := initdb(in, o, made, args); err != nil {
		return "", err
	}
	// The copy leaves out the zeroes of preallocated WAL, which is most of a data directory with large segments.
	sparse := filepath.Join(work, "sparse")
	if err := copyTree(made, sparse, o, nil); err != nil {
		return "", err
	}
	return path, os.Rename(sparse, path)
}
