package pgtest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
)

// owner is the user that servers run as.
type owner struct {
	uid, gid int
	other    bool // not the user of this process: directories are given to it, processes started as it
}

// serverOwner returns the user of this process, or, because PostgreSQL refuses to run as root, "postgres" or "nobody".
func serverOwner() (owner, error) {
	if os.Geteuid() != 0 {
		return owner{uid: os.Geteuid(), gid: os.Getegid()}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uerr := strconv.Atoi(u.Uid)
		gid, gerr := strconv.Atoi(u.Gid)
		if err := errors.Join(uerr, gerr); err != nil {
			return owner{}, fmt.Errorf("user %q: %w", name, err)
		}
		return owner{uid: uid, gid: gid, other: true}, nil
	}
	return owner{}, errors.New("PostgreSQL does not run as root, and there is neither a user \"postgres\" nor a user \"nobody\": create one, or run as another user")
}

// give makes o the owner of a tree; links are not followed.
func (o owner) give(root string) error {
	if !o.other {
		return nil
	}
	return filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, o.uid, o.gid)
	})
}

// giveOne makes o the owner of one file, directory or link.
func (o owner) giveOne(path string) error {
	if !o.other {
		return nil
	}
	return os.Lchown(path, o.uid, o.gid)
}

// mkdir makes a directory of o with the mode, whatever the umask is.
func (o owner) mkdir(path string, mode fs.FileMode) error {
	if err := os.Mkdir(path, mode); err != nil {
		return err
	}
	if err := os.Chmod(path, mode); err != nil {
		return err
	}
	return o.giveOne(path)
}

// traverses says whether o may pass through a directory.
func (o owner) traverses(info fs.FileInfo) bool {
	uid, gid := fileOwner(info)
	switch {
	case uid == o.uid:
		return info.Mode()&0o100 != 0
	case gid == o.gid:
		return info.Mode()&0o010 != 0
	}
	return info.Mode()&0o001 != 0
}

// blockers returns the directories above and including dir that o may not pass through, outermost first. Directories that do
// not exist yet block nothing.
func (o owner) blockers(dir string) ([]string, error) {
	if !o.other {
		return nil, nil
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	var found []string
	for at := dir; ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if err == nil && !o.traverses(info) {
			found = append([]string{at}, found...)
		}
		if at == filepath.Dir(at) {
			return found, nil
		}
	}
}

// open lets o pass through the directories above dir. Only directories inside a temporary directory are changed: a test's
// own, which the testing package makes for its user alone.
func (o owner) open(dir string) error {
	blocked, err := o.blockers(filepath.Dir(dir))
	if err != nil {
		return err
	}
	for _, b := range blocked {
		if !temporary(b) {
			return fmt.Errorf("the server's user cannot reach %s through %s: use a directory below %s", dir, b, os.TempDir())
		}
		info, err := os.Stat(b)
		if err != nil {
			return err
		}
		if err := os.Chmod(b, info.Mode().Perm()|0o011); err != nil {
			return err
		}
	}
	return nil
}

// temporary says that a path lies inside a directory for temporary files.
func temporary(path string) bool {
	path, err := filepath.Abs(path)
	if err != nil {
		return false
	}
	for _, root := range []string{os.TempDir(), "/tmp", "/var/tmp"} {
		rel, err := filepath.Rel(root, path)
		if err == nil && rel != "." && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
			return true
		}
	}
	return false
}
