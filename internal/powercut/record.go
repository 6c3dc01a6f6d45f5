//go:build linux && amd64

package powercut

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/pgbasin/pgbasin/internal/filetrace"
)

// Recorder records what programs do to the files below a directory, one program
// after the other. Only they may change anything there. Its methods Enter and
// Leave are for filetrace.Program, whose calls must be filetrace.Changes at
// least.
type Recorder struct {
	Log *Log

	names  map[int]map[string]int // now
	sizes  map[int]int64          // of files, now
	inodes map[inode]int
}

// inode is a file of the file system, while it has a name or is open.
type inode struct{ dev, ino uint64 }

// NewRecorder begins with what is in the directory root, which must be a path
// without symbolic links.
func NewRecorder(root string) (*Recorder, error) {
	r := &Recorder{names: map[int]map[string]int{}, sizes: map[int]int64{}, inodes: map[inode]int{}}
	var err error
	r.Log, err = newLog(root, func(id int, info fs.FileInfo) {
		r.inodes[inodeOf(info)] = id
		r.sizes[id] = info.Size()
	})
	if err != nil {
		return nil, err
	}
	for id, names := range r.Log.names {
		r.names[id] = map[string]int{}
		for name, node := range names {
			r.names[id][name] = node
		}
	}
	return r, nil
}

func inodeOf(info fs.FileInfo) inode {
	s := info.Sys().(*syscall.Stat_t)
	return inode{s.Dev, s.Ino}
}

// place is a name in a directory below the root.
type place struct {
	dir  int
	name string
}

// under is what Enter learned of a call.
type under struct {
	from, to place
	node     int
	at       int64
	data     []byte
	since    int
	target   string
	truncate bool
}

var errUnseen = errors.New("files are changed in a way that cannot be recorded")

// Enter takes a call before it is carried out.
func (r *Recorder) Enter(c *filetrace.Call) error {
	u := &under{node: none, from: place{dir: none}, to: place{dir: none}, since: len(r.Log.Events)}
	c.Data = u
	var err error
	switch c.Name {
	case "open", "creat", "openat2", "pwritev2", "truncate", "mknod", "mknodat", "io_uring_setup", "splice", "writev", "pwritev",
		"rename", "link", "symlink", "unlink", "rmdir", "mkdir":
		// Go's library makes none of these calls on files on this platform, but
		// for writev, on sockets.
		if c.Name == "writev" && r.node(c, 0) == none {
			return r.send(c, u)
		}
		return fmt.Errorf("%w: %s", errUnseen, c.Name)
	case "mmap":
		const shared, write = unix.MAP_SHARED, unix.PROT_WRITE
		if c.Args[3]&shared != 0 && c.Args[2]&write != 0 && r.node(c, 4) != none {
			return fmt.Errorf("%w: %s", errUnseen, c.Name)
		}
	case "openat":
		if flags := c.Args[2]; flags&(unix.O_CREAT|unix.O_TRUNC) != 0 {
			if flags&unix.O_TMPFILE == unix.O_TMPFILE {
				break // without a name nobody misses it
			}
			u.truncate = flags&unix.O_TRUNC != 0
			u.to, err = r.place(c, 0, 1)
		}
	case "write", "pwrite64":
		if u.node = r.node(c, 0); u.node == none {
			return r.send(c, u)
		}
		if u.at = int64(c.Args[3]); c.Name == "write" {
			u.at, err = c.FDOffset(c.Int(0))
		}
		if err == nil && c.Fail == 0 {
			u.data, err = c.Bytes(c.Args[1], c.Args[2])
		}
	case "sendto", "sendmsg":
		return r.send(c, u)
	case "copy_file_range":
		if u.node = r.node(c, 2); u.node != none {
			if c.Args[3] != 0 {
				return fmt.Errorf("%w: %s with an offset", errUnseen, c.Name)
			}
			u.at, err = c.FDOffset(c.Int(2))
		}
	case "sendfile":
		if u.node = r.node(c, 0); u.node != none {
			u.at, err = c.FDOffset(c.Int(0))
		}
	case "ftruncate", "fallocate", "fsync", "fdatasync":
		u.node = r.node(c, 0)
	case "renameat", "renameat2":
		if u.from, err = r.place(c, 0, 1); err == nil {
			u.to, err = r.place(c, 2, 3)
		}
		if c.Name == "renameat2" && c.Args[4]&^unix.RENAME_NOREPLACE != 0 {
			err = fmt.Errorf("%w: renameat2 with flags %#x", errUnseen, c.Args[4])
		}
	case "linkat":
		if u.from, err = r.place(c, 0, 1); err == nil {
			u.to, err = r.place(c, 2, 3)
		}
	case "symlinkat":
		if u.target, err = c.String(0); err == nil {
			u.to, err = r.place(c, 1, 2)
		}
	case "mkdirat", "unlinkat":
		u.to, err = r.place(c, 0, 1)
	case "exit_group":
		r.add(Event{Kind: Exit, Status: c.Int(0), What: "exit"})
	}
	return err
}

// send notes what goes to a socket.
func (r *Recorder) send(c *filetrace.Call, u *under) error {
	info, err := os.Stat(c.FD(c.Int(0)))
	if err != nil || info.Mode().Type() != fs.ModeSocket {
		return nil
	}
	if c.Name != "write" && c.Name != "sendto" {
		return fmt.Errorf("%w: %s to a socket", errUnseen, c.Name)
	}
	data, err := c.Bytes(c.Args[1], c.Args[2])
	if err != nil {
		return err
	}
	r.add(Event{Kind: Send, Data: data, What: "send"})
	return nil
}

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

// node is the file or directory that an argument has open, none if it is not
// below the root.
func (r *Recorder) node(c *filetrace.Call, arg int) int {
	info, err := os.Stat(c.FD(c.Int(arg)))
	if err != nil {
		return none
	}
	if id, ok := r.inodes[inodeOf(info)]; ok {
		return id
	}
	return none
}

// place finds the directory of a path; it is none if that is not below the root.
func (r *Recorder) place(c *filetrace.Call, dirfd, arg int) (place, error) {
	name, err := c.String(arg)
	if err != nil {
		return place{dir: none}, err
	}
	path := filepath.Clean(c.Path(c.Int(dirfd), name))
	info, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return place{dir: none}, nil // as the call will find out
	}
	if id, ok := r.inodes[inodeOf(info)]; ok {
		return place{id, filepath.Base(path)}, nil
	}
	return place{dir: none}, nil
}

func (r *Recorder) at(p place) (int, bool) {
	if p.dir == none {
		return none, false
	}
	id, ok := r.names[p.dir][p.name]
	return id, ok
}

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
