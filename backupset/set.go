// Package backupset opens a stored base backup, whatever its form, and reads it
// as the members of tar archives.
//
// Forms are told by content: a data directory, a directory of tar files as
// pg_basebackup -Ft and pgbasin make it, or one tar, which may be a stream with
// WAL and manifest in it, or made by hand of a data directory. Compression is
// told by the first bytes of a file. Names say only which tablespace a tar file
// is for.
//
// Nothing is ever written, and nothing that a backup says is taken for true:
// what leads outside is refused, sizes are bounded.
package backupset

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/pgbasin/pgbasin/codec"
)

// Form is how a backup is stored.
type Form int

const (
	Plain        Form = iota // a data directory
	TarDirectory             // a directory of tar files
	Tar                      // one tar, in a file or as a stream
)

// String names the form.
func (f Form) String() string {
	switch f {
	case Plain:
		return "plain"
	case TarDirectory:
		return "tar"
	case Tar:
		return "single tar"
	}
	return fmt.Sprintf("form %d", int(f))
}

// Kind is what an archive holds.
type Kind int

const (
	Data       Kind = iota // the data directory
	Tablespace             // what is at one tablespace's location
	WAL                    // pg_wal.tar: the WAL that was streamed beside the backup, without a directory in front
)

// String names the kind.
func (k Kind) String() string {
	switch k {
	case Data:
		return "data directory"
	case Tablespace:
		return "tablespace"
	case WAL:
		return "WAL"
	}
	return fmt.Sprintf("kind %d", int(k))
}

// Archive is a part of a backup.
type Archive struct {
	Kind        Kind
	OID         uint32 // of the tablespace, else 0
	Name        string // the file's name; of a plain backup "." or "pg_tblspc/<oid>"; "-" is standard input
	Compression codec.Algorithm
	// Stored is what it takes on disk, in bytes: of a tar the file's size; -1 if that is not known.
	Stored int64
	// Content is the size of all its files, in bytes; -1 if that is not known. Peek finds it where no archive has to be decompressed for it.
	Content int64

	path string // of the file or directory
}

// Path is where the archive is: a file, or a directory of a plain backup. Of a
// tablespace it is where the link leads. It is "-" for standard input.
func (a *Archive) Path() string { return a.path }

// Options are what Open needs to know. The zero value opens files and
// directories.
type Options struct {
	// Stdin is read when the path is "-".
	Stdin io.Reader
	// AllowIncomplete opens what an unfinished backup or restore left behind:
	// Set.Incomplete says so then. Without it Open returns an *IncompleteError.
	AllowIncomplete bool
	// Note is told what is odd and left out, or does no harm. It may be nil;
	// Reads at the same time call it at the same time.
	Note func(message string)
	// Progress is told how many more bytes were taken from storage, compressed
	// as they are there. It may be nil; Reads at the same time call it at the
	// same time.
	Progress func(n int)
}

// Set is an open backup. Its methods other than Read are not for use by several
// goroutines at once.
type Set struct {
	Path     string
	Form     Form
	Archives []Archive // the data directory first, then tablespaces by OID, then WAL
	// Unknown are names of files beside the archives that belong to no backup.
	Unknown []string
	// Incomplete says why this is not a whole backup; nil if nothing is known
	// against it.
	Incomplete *IncompleteError

	o        Options
	head     *Head
	place    *place // of the data directory in the data archive; nil = not known yet
	stdin    *replay
	absent   []absent
	manifest string // path of the manifest's file; "" = none
}

// absent is a tablespace of a plain backup that is not part of it.
type absent struct {
	oid      uint32
	location string
	reason   string
}

// Data is the archive of the data directory.
func (s *Set) Data() *Archive { return &s.Archives[0] }

// Archive is the archive of a kind, of the tablespace with an OID, else 0; nil if there is none.
func (s *Set) Archive(kind Kind, oid uint32) *Archive {
	for i := range s.Archives {
		if a := &s.Archives[i]; a.Kind == kind && a.OID == oid {
			return a
		}
	}
	return nil
}

// OpenManifest opens the backup's manifest. The error wraps fs.ErrNotExist when there is none of its own: a single tar has it
// as a member, which Read shows, and a data directory that was copied by hand may hold that of an older backup, which
// counts for nothing here. A plain backup's manifest is not among the members that Read shows.
func (s *Set) OpenManifest() (io.ReadCloser, error) {
	if s.manifest == "" {
		return nil, fmt.Errorf("backup %q has no file %q: %w", s.Path, ManifestName, fs.ErrNotExist)
	}
	if s.Form == Plain {
		h, err := s.Peek(context.Background())
		if err != nil {
			return nil, err
		}
		if h.StaleManifest {
			return nil, fmt.Errorf("the manifest in %q is that of another backup: %w", s.Path, fs.ErrNotExist)
		}
	}
	return s.openManifestFile()
}

func (s *Set) openManifestFile() (io.ReadCloser, error) {
	f, err := os.Open(s.manifest)
	if err != nil {
		return nil, fmt.Errorf("could not open file %q: %w", s.manifest, err)
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		f.Close()
		return nil, errors.Join(fmt.Errorf("%q is not a regular file", s.manifest), err)
	}
	return manifestFile{f}, nil
}

// manifestFile names the file in errors: a reader of manifests does not know it.
type manifestFile struct{ *os.File }

func (m manifestFile) Read(p []byte) (int, error) {
	n, err := m.File.Read(p)
	if err != nil && err != io.EOF {
		err = fmt.Errorf("could not read file %q: %w", m.Name(), err)
	}
	return n, err
}

// Close ends the use of the set and lets go of what was read ahead of standard
// input, which is not closed.
func (s *Set) Close() error {
	if s.stdin != nil {
		s.stdin.head, s.stdin.begun = nil, true
	}
	return nil
}

func (s *Set) note(format string, args ...any) {
	if s.o.Note != nil {
		s.o.Note(fmt.Sprintf(format, args...))
	}
}
