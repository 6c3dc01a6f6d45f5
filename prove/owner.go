package prove

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
)

// owner is the user that the server runs as.
type owner struct {
	name     string
	uid, gid uint32
	other    bool // not the user of this process: directories are given to it
}

// ErrRoot is what a server cannot be started as, and nothing says as whom instead.
var ErrRoot = errors.New("PostgreSQL does not run as root, and there is no user \"postgres\"")

// serverOwner is the user of this process, or, for root, the one with that name;
// "" is "postgres".
func serverOwner(name string) (owner, error) {
	if os.Geteuid() != 0 {
		if name == "" {
			return owner{}, nil
		}
		u, err := user.Lookup(name)
		if err != nil {
			return owner{}, err
		}
		if u.Uid != strconv.Itoa(os.Geteuid()) {
			return owner{}, fmt.Errorf("only root can run a server as user \"%s\"", name)
		}
		return owner{}, nil
	}
	fallback := name == ""
	if fallback {
		name = "postgres"
	}
	u, err := user.Lookup(name)
	if err != nil {
		if fallback {
			return owner{}, ErrRoot
		}
		return owner{}, err
	}
	uid, uerr := strconv.ParseUint(u.Uid, 10, 32)
	gid, gerr := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(uerr, gerr); err != nil {
		return owner{}, fmt.Errorf("user \"%s\": %w", name, err)
	}
	if uid == 0 {
		return owner{}, errors.New("PostgreSQL does not run as root")
	}
	return owner{name: name, uid: uint32(uid), gid: uint32(gid), other: true}, nil
}

// give makes o the owner of a tree. Links themselves are given, not what they
// lead to.
func (o owner) give(root string) error {
	if !o.other {
		return nil
	}
	return filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(o.uid), int(o.gid))
	})
}
