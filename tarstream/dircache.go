package tarstream

import (
	"errors"
	"io/fs"
	"os"
	"strings"
)

var (
	errNotDirectory = errors.New("is not a directory")
	errBelowLink    = errors.New("a symbolic link is in the way")
	errReplaced     = errors.New("directory was replaced while it was opened")
)

// dirCache keeps open the directory that the last member was made in and those
// above it. Archives name the members of a directory one after the other, so
// that making a file takes one system call with a single name, which cannot lead
// anywhere else.
type dirCache struct {
	openRoot func(path string) (*os.Root, error) // for the top and the mounts
	mounts   map[string]string
	stack    []openDir // never empty while open; each entry lies in the one before
}

type openDir struct {
	name      string // as a member; "" is the top
	root      *os.Root
	modeRight bool // files created here need no change of mode
}

func (c *dirCache) open(top string, mounts map[string]string) error {
	root, err := c.openRoot(top)
	if err != nil {
		return fileError("could not open directory", top, err)
	}
	c.mounts = mounts
	c.stack = append(c.stack, openDir{root: root})
	return nil
}

func (c *dirCache) close() { c.pop(0) }

// pop closes all but the first n.
func (c *dirCache) pop(n int) {
	for len(c.stack) > n {
		i := len(c.stack) - 1
		c.stack[i].root.Close()
		c.stack = c.stack[:i]
	}
}

// parent opens the directory in which a member is to be made and gives the last
// part of its name. The directory is valid until the next call.
func (c *dirCache) parent(name string) (*openDir, string, error) {
	dir, base := "", name
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		dir, base = name[:i], name[i+1:]
	}
	if err := c.enter(dir); err != nil {
		return nil, "", err
	}
	return &c.stack[len(c.stack)-1], base, nil
}

// enter makes dir the last of the stack.
func (c *dirCache) enter(dir string) error {
	if len(c.stack) == 0 {
		return fs.ErrClosed
	}
	n := len(c.stack)
	for n > 1 && !Within(dir, c.stack[n-1].name) {
		n--
	}
	c.pop(n)
	for {
		top := &c.stack[len(c.stack)-1]
		if top.name == dir {
			return nil
		}
		start := len(top.name)
		if start > 0 {
			start++ // the slash
		}
		end := len(dir)
		if i := strings.IndexByte(dir[start:], '/'); i >= 0 {
			end = start + i
		}
		root, err := c.openChild(top.root, dir[:end], dir[start:end])
		if err != nil {
			return err
		}
		c.stack = append(c.stack, openDir{name: dir[:end], root: root})
	}
}

// openChild opens a directory below another, or what is mounted there. A
// symbolic link is not followed: os.Root would, if it stays inside, so what was
// opened is compared with what bears the name.
func (c *dirCache) openChild(parent *os.Root, path, base string) (*os.Root, error) {
	if target, ok := c.mounts[path]; ok {
		root, err := c.openRoot(target)
		if err != nil {
			return nil, fileError("could not open directory", target, err)
		}
		return root, nil
	}
	want, err := parent.Lstat(base)
	switch {
	case err != nil:
		return nil, err
	case want.Mode()&fs.ModeSymlink != 0:
		return nil, errBelowLink
	case !want.IsDir():
		return nil, errNotDirectory
	}
	root, err := parent.OpenRoot(base)
	if err != nil {
		return nil, err
	}
	got, err := root.Stat(".")
	if err == nil && !os.SameFile(want, got) {
		err = errReplaced
	}
	if err != nil {
		root.Close()
		return nil, err
	}
	return root, nil
}
