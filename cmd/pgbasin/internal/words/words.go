// Package words puts errors into the words of PostgreSQL's tools.
package words

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// Of is the text of an error with what the operating system had to say in
// the C library's words: 'could not create file "x": Permission denied' and not
// '...: open x: permission denied'. Messages name their object by themselves.
func Of(err error) string {
	text := err.Error()
	eachSystemError(err, func(whole string, errno syscall.Errno) {
		said := errno.Error()
		if said == "" {
			return
		}
		if whole == text {
			whole = said // nothing else names the object
		}
		text = strings.ReplaceAll(text, whole, strings.ToUpper(said[:1])+said[1:])
	})
	return text
}

// eachSystemError calls f for every system error in err's tree, with the text
// that Go made of it.
func eachSystemError(err error, f func(whole string, errno syscall.Errno)) {
	switch e := err.(type) {
	case nil:
		return
	case *fs.PathError, *os.LinkError, *os.SyscallError:
		var errno syscall.Errno
		if errors.As(err, &errno) {
			f(err.Error(), errno)
			return
		}
	case syscall.Errno:
		f(e.Error(), e)
		return
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		eachSystemError(e.Unwrap(), f)
	case interface{ Unwrap() []error }:
		for _, err := range e.Unwrap() {
			eachSystemError(err, f)
		}
	}
}
