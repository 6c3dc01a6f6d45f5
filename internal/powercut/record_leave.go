//go:build linux && amd64

package powercut

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/pgbasin/pgbasin/internal/filetrace"
)

// Leave takes a call after it was carried out.
func (r *Recorder) Leave(c *filetrace.Call) error {
	u := c.Data.(*under)
	switch {
	case c.Name == "fsync" || c.Name == "fdatasync":
		if u.node != none {
			r.add(Event{Kind: Sync, Node: u.node, Since: u.since, Failed: c.Err() != 0, What: c.Describe()})
		}
		return nil
	case c.Name == "syncfs" || c.Name == "sync":
		r.add(Event{Kind: Sync, Node: none, Since: u.since, Failed: c.Err() != 0, What: c.Name})
		return nil
	case c.Err() != 0:
		return nil // a short write has a result
	}
	switch c.Name {
	case "openat":
		return r.opened(c, u)
	case "write", "pwrite64":
		if u.node != none && c.Result > 0 {
			r.wrote(c, u.node, u.at, u.data[:c.Result])
		}
	case "copy_file_range", "sendfile":
		fd := 2
		if c.Name == "sendfile" {
			fd = 0
		}
		return r.copied(c, u, c.Int(fd))
	case "ftruncate":
		if u.node != none {
			r.add(Event{Kind: Truncate, Node: u.node, Size: int64(c.Args[1]), What: c.Describe()})
			r.sizes[u.node] = int64(c.Args[1])
		}
	case "fallocate":
		return r.allocated(c, u)
	case "renameat", "renameat2":
		return r.renamed(c, u)
	case "linkat":
		node, ok := r.at(u.from)
		if !ok {
			return fmt.Errorf("%w: %s from elsewhere", errUnseen, c.Describe())
		}
		r.set(c, u.to.dir, Entry{u.to.name, node})
	case "symlinkat":
		if u.to.dir != none {
			return r.made(c, u.to, node{target: u.target})
		}
	case "mkdirat":
		if u.to.dir != none {
			return r.made(c, u.to, node{dir: true})
		}
	case "unlinkat":
		if u.to.dir != none {
			r.set(c, u.to.dir, Entry{u.to.name, none})
		}
	}
	return nil
}

func (r *Recorder) add(e Event) { r.Log.Events = append(r.Log.Events, e) }

// set changes entries of one directory.
func (r *Recorder) set(c *filetrace.Call, dir int, entries ...Entry) {
	for _, e := range entries {
		set(r.names[dir], e)
	}
	r.add(Event{Kind: Names, Dir: dir, Entries: entries, What: c.Name + " " + entries[0].Name})
}

// made notes a new node under a new name.
func (r *Recorder) made(c *filetrace.Call, p place, n node) error {
	dir, ok := r.path(p.dir, 0)
	if !ok {
		return fmt.Errorf("%w: %s in a directory that is gone", errUnseen, c.Describe())
	}
	info, err := os.Lstat(filepath.Join(dir, p.name))
	if err != nil {
		return err
	}
	r.register(c, p, n, info)
	return nil
}

func (r *Recorder) register(c *filetrace.Call, p place, n node, info fs.FileInfo) int {
	id := r.Log.add(n)
	if n.dir {
		r.names[id] = map[string]int{}
	}
	r.inodes[inodeOf(info)] = id
	r.set(c, p.dir, Entry{p.name, id})
	return id
}

// path is where a directory is now.
func (r *Recorder) path(id, depth int) (string, bool) {
	if id == 0 {
		return r.Log.Root, true
	}
	for parent, names := range r.names {
		for name, child := range names {
			if child == id && depth < 100 {
				above, ok := r.path(parent, depth+1)
				return filepath.Join(above, name), ok
			}
		}
	}
	return "", false
}

func (r *Recorder) opened(c *filetrace.Call, u *under) error {
	if u.to.dir == none {
		return nil
	}
	info, err := os.Stat(c.FD(int(c.Result)))
	if err != nil {
		return err
	}
	id, known := r.at(u.to)
	if known && r.Log.nodes[id].target != "" {
		return fmt.Errorf("%w: %s through a link", errUnseen, c.Describe())
	}
	if !known {
		r.register(c, u.to, node{}, info)
		return nil
	}
	if u.truncate && r.sizes[id] > 0 {
		r.add(Event{Kind: Truncate, Node: id, What: "truncate " + u.to.name})
		r.sizes[id] = 0
	}
	return nil
}

func (r *Recorder) wrote(c *filetrace.Call, node int, at int64, data []byte) {
	r.add(Event{Kind: Write, Node: node, Offset: at, Data: data, What: c.Describe()})
	r.sizes[node] = max(r.sizes[node], at+int64(len(data)))
}

// copied reads what the kernel copied.
func (r *Recorder) copied(c *filetrace.Call, u *under, fd int) error {
	if u.node == none || c.Result == 0 {
		return nil
	}
	f, err := os.Open(c.FD(fd))
	if err != nil {
		return err
	}
	defer f.Close()
	data := make([]byte, c.Result)
	if _, err := f.ReadAt(data, u.at); err != nil && err != io.EOF {
		return err
	}
	r.wrote(c, u.node, u.at, data)
	return nil
}

func (r *Recorder) allocated(c *filetrace.Call, u *under) error {
	if u.node == none || c.Args[1] == unix.FALLOC_FL_KEEP_SIZE {
		return nil
	}
	if c.Args[1] != 0 {
		return fmt.Errorf("%w: fallocate with mode %#x", errUnseen, c.Args[1])
	}
	size := int64(c.Args[2] + c.Args[3])
	r.add(Event{Kind: Extend, Node: u.node, Size: size, What: c.Describe()})
	r.sizes[u.node] = max(r.sizes[u.node], size)
	return nil
}

func (r *Recorder) renamed(c *filetrace.Call, u *under) error {
	id, ok := r.at(u.from)
	switch {
	case u.from.dir == none && u.to.dir == none:
		return nil
	case !ok || u.to.dir == none:
		return fmt.Errorf("%w: %s into or out of the directory", errUnseen, c.Describe())
	}
	if there, ok := r.at(u.to); ok && there == id {
		return nil // two names of one file: nothing happens
	}
	if u.from.dir == u.to.dir {
		r.set(c, u.to.dir, Entry{u.to.name, id}, Entry{u.from.name, none})
		return nil
	}
	// Nothing says that both directories reach the disk together.
	r.set(c, u.to.dir, Entry{u.to.name, id})
	r.set(c, u.from.dir, Entry{u.from.name, none})
	return nil
}
