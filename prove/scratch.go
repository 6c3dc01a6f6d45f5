package prove

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/pgbasin/pgbasin/internal/durable"
)

// scratch is the directory of one throwaway server: data, tablespaces, its
// configuration, socket and log.
type scratch struct {
	dir    string
	socket string // the socket's directory; outside dir where that has too long a name
	owner  owner
}

// maxSocketPath is how long the path of a socket may be, in bytes: sun_path less
// its end, of 108 bytes on Linux and of 104 on the BSDs and macOS.
const maxSocketPath = 103

// newScratch makes the directory below parent; "" is the system's for temporary
// files.
func newScratch(parent string, o owner) (*scratch, error) {
	dir, err := os.MkdirTemp(parent, "pgbasin-prove-")
	if err != nil {
		return nil, fmt.Errorf("could not create a scratch directory: %w", err)
	}
	s := &scratch{owner: o}
	if s.dir, err = filepath.Abs(dir); err != nil {
		s.dir = dir
		return nil, errors.Join(err, s.remove())
	}
	if err := s.populate(); err != nil {
		return nil, errors.Join(fmt.Errorf("could not prepare the scratch directory: %w", err), s.remove())
	}
	return s, nil
}

func (s *scratch) populate() error {
	for _, dir := range []string{s.etc(), s.tablespaces()} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
	}
	s.socket = filepath.Join(s.dir, "socket")
	if len(s.socket)+len("/.s.PGSQL.65535") <= maxSocketPath {
		if err := os.Mkdir(s.socket, 0o700); err != nil {
			return err
		}
	} else {
		var err error
		if s.socket, err = shortTempDir("pgbasin-"); err != nil {
			return err
		}
		if err := s.owner.give(s.socket); err != nil {
			return err
		}
	}
	return s.owner.give(s.dir)
}

// shortTempDir makes a directory with a name that a socket's path can begin
// with.
func shortTempDir(prefix string) (string, error) {
	dir, err := os.MkdirTemp("", prefix)
	if err == nil && len(dir)+len("/.s.PGSQL.65535") > maxSocketPath {
		if err = os.Remove(dir); err == nil {
			dir, err = os.MkdirTemp("/tmp", prefix)
		}
	}
	return dir, err
}

func (s *scratch) data() string        { return filepath.Join(s.dir, "data") }
func (s *scratch) tablespaces() string { return filepath.Join(s.dir, "tablespaces") }
func (s *scratch) etc() string         { return filepath.Join(s.dir, "etc") }
func (s *scratch) log() string         { return filepath.Join(s.dir, "log") }

// tablespace is where the tablespace with that OID goes.
func (s *scratch) tablespace(oid uint32) string {
	return filepath.Join(s.tablespaces(), strconv.FormatUint(uint64(oid), 10))
}

// write makes a file of the server's in place of one that is there. The server's
// user, who is another one than root, has had the directory since an earlier
// attempt: a link is replaced, not followed, and no directory leads outside.
func (s *scratch) write(path, text string) error {
	root, err := os.OpenRoot(s.dir)
	if err != nil {
		return err
	}
	defer root.Close()
	name, err := filepath.Rel(s.dir, path)
	if err != nil {
		return err
	}
	if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err == nil && s.owner.other {
		err = f.Chown(int(s.owner.uid), int(s.owner.gid))
	}
	return errors.Join(err, f.Close())
}

// openLog opens the log, which write has made, and no link in its place.
func (s *scratch) openLog() (*os.File, error) {
	root, err := os.OpenRoot(s.dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return durable.OpenWrite(root, filepath.Base(s.log()))
}

// remove removes everything, also what a server that is still ending writes.
func (s *scratch) remove() error {
	var errs []error
	for _, dir := range []string{s.dir, s.socket} {
		if dir == "" {
			continue
		}
		if err := os.RemoveAll(dir); err != nil {
			errs = append(errs, fmt.Errorf("could not remove scratch directory \"%s\": %w", dir, err))
		}
	}
	return errors.Join(errs...)
}
