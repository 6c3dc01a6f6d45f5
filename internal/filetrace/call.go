//go:build linux && amd64

package filetrace

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Call is a system call of the program. It is valid during the calls of Enter
// and Leave, and is the same object in both.
type Call struct {
	Name string    // "fsync"
	Args [6]uint64 // as the kernel gets them
	// Result is what the call returned, below 0 an error's negative number. It
	// is set when Leave is called.
	Result int64

	// Fail, if Enter sets it, is the error that the call returns without having
	// been carried out.
	Fail syscall.Errno
	// FailAfter, if Enter sets it, is the error that the call returns although
	// it was carried out.
	FailAfter syscall.Errno
	// Short, if Enter sets it, is how many bytes are read or written at most.
	Short uint64
	// Kill, if Enter sets it, ends the program instead of the call, and if Leave
	// sets it, right after.
	Kill bool

	// Data is for whoever sees the call, to be kept from Enter to Leave.
	Data any

	pid, tid int
}

// Int is an argument that is a file descriptor or another signed number.
func (c *Call) Int(arg int) int { return int(int32(c.Args[arg])) }

// Err is the error that the call returned, 0 if it succeeded.
func (c *Call) Err() syscall.Errno {
	if c.Result < 0 && c.Result > -4096 {
		return syscall.Errno(-c.Result)
	}
	return 0
}

// FD is the path of a descriptor in /proc, by which its file can be had whatever
// has become of its name.
func (c *Call) FD(fd int) string { return "/proc/" + strconv.Itoa(c.pid) + "/fd/" + strconv.Itoa(fd) }

// FDName is the name of what a descriptor has open: a path, or "socket:[1234]".
func (c *Call) FDName(fd int) string {
	name, _ := os.Readlink(c.FD(fd))
	return name
}

// FDOffset is where a read or write on a descriptor begins.
func (c *Call) FDOffset(fd int) (int64, error) {
	at, flags, err := c.fdInfo(fd)
	if err == nil && flags&unix.O_APPEND != 0 {
		var info os.FileInfo
		if info, err = os.Stat(c.FD(fd)); err == nil {
			at = info.Size()
		}
	}
	return at, err
}

// FDWritable tells whether a descriptor is a regular file that is open for
// writing.
func (c *Call) FDWritable(fd int) bool {
	info, err := os.Stat(c.FD(fd))
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	_, flags, err := c.fdInfo(fd)
	return err == nil && flags&unix.O_ACCMODE != unix.O_RDONLY
}

func (c *Call) fdInfo(fd int) (pos, flags int64, err error) {
	info, err := os.ReadFile("/proc/" + strconv.Itoa(c.pid) + "/fdinfo/" + strconv.Itoa(fd))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(info)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch key {
		case "pos":
			pos, err = strconv.ParseInt(strings.TrimSpace(value), 10, 64)
		case "flags":
			flags, err = strconv.ParseInt(strings.TrimSpace(value), 8, 64)
		}
		if err != nil {
			return 0, 0, err
		}
	}
	return pos, flags, nil
}

// Path is the path that a directory's descriptor and a name lead to, for this
// process. Links in it are left as they are.
func (c *Call) Path(fd int, name string) string {
	switch {
	case strings.HasPrefix(name, "/"):
		return name
	case fd == unix.AT_FDCWD:
		return "/proc/" + strconv.Itoa(c.pid) + "/cwd/" + name
	}
	return c.FD(fd) + "/" + name
}

// String reads an argument that points to a string.
func (c *Call) String(arg int) (string, error) {
	var text []byte
	for at := c.Args[arg]; len(text) < unix.PathMax; {
		// To the end of the page: the next one may not be there.
		b, err := c.Bytes(at, 4096-at%4096)
		if err != nil {
			return "", err
		}
		if i := bytes.IndexByte(b, 0); i >= 0 {
			return string(append(text, b[:i]...)), nil
		}
		text, at = append(text, b...), at+uint64(len(b))
	}
	return "", fmt.Errorf("%s: a path without an end", c.Name)
}

// Bytes reads the program's memory.
func (c *Call) Bytes(at, n uint64) ([]byte, error) {
	b := make([]byte, n)
	for done := uint64(0); done < n; {
		local := []unix.Iovec{{Base: &b[done], Len: n - done}}
		remote := []unix.RemoteIovec{{Base: uintptr(at + done), Len: int(n - done)}}
		m, err := unix.ProcessVMReadv(c.pid, local, remote, 0)
		if err != nil {
			return nil, fmt.Errorf("could not read the memory of process %d: %w", c.pid, err)
		}
		done += uint64(m)
	}
	return b, nil
}

// Describe is the call with the name of its file, for messages.
func (c *Call) Describe() string {
	switch c.Name {
	case "openat", "mkdirat", "unlinkat", "renameat", "linkat":
		name, _ := c.String(1)
		return c.Name + " " + filepath.Base(name)
	case "renameat2":
		name, _ := c.String(3)
		return c.Name + " to " + filepath.Base(name)
	}
	return c.Name + " " + filepath.Base(c.FDName(c.Int(0)))
}
