//go:build linux && amd64

package powercut

import (
	"errors"
	"fmt"
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
