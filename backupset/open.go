package backupset

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/pgdata"
)

// Open looks at path and tells what form of backup is there. It reads
// directories and the beginnings of files; "-" is standard input, of which it
// reads nothing yet.
//
// The error is a *NotBackupError for what is something else, an
// *IncompleteError for what was never finished, an *AmbiguousError for a
// directory that holds a tar file twice.
func Open(path string, o Options) (*Set, error) {
	s := &Set{Path: path, o: o}
	if path == "-" {
		if o.Stdin == nil {
			return nil, errors.New("no standard input to read the backup from")
		}
		s.Form = Tar
		s.stdin = &replay{src: o.Stdin}
		s.Archives = []Archive{{Kind: Data, Name: "-", Stored: -1, Content: -1, path: "-"}}
		return s, nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("could not open backup %q: %w", path, err)
	}
	switch {
	case info.Mode().IsRegular():
		err = s.openFile()
	case info.IsDir():
		err = s.openDirectory()
	default:
		err = &NotBackupError{path, describeMode(info.Mode())}
	}
	if err != nil {
		return nil, err
	}
	if s.Incomplete != nil && !o.AllowIncomplete {
		return nil, s.Incomplete
	}
	return s, nil
}

func describeMode(m fs.FileMode) string {
	switch {
	case m&fs.ModeNamedPipe != 0:
		return "a named pipe; use \"-\" and redirect standard input from it"
	case m&fs.ModeSocket != 0:
		return "a socket"
	case m&fs.ModeDevice != 0:
		return "a device; use \"-\" and redirect standard input from it"
	case m&fs.ModeSymlink != 0:
		return "a symbolic link"
	}
	return "neither a file nor a directory"
}

// openFile takes a file as one tar.
func (s *Set) openFile() error {
	a, err := s.openTar(s.Path, Data, 0)
	if err != nil {
		return err
	}
	a.Name = filepath.Base(s.Path)
	s.Form, s.Archives = Tar, []Archive{a}
	if filepath.Base(s.Path) != "" && strings.HasSuffix(s.Path, ".tar"+heldSuffix) {
		s.Incomplete = &IncompleteError{s.Path, a.Name, "whose name is provisional until a backup is complete"}
	}
	if k, _, ok := archiveOf(a.Name); ok {
		if k != Data {
			return &NotBackupError{s.Path, fmt.Sprintf("the %s archive of a backup; name the directory that holds all of it", k)}
		}
		s.noteNeighbours()
	}
	return nil
}

// noteNeighbours tells of what belongs to a base.tar that is opened by itself.
func (s *Set) noteNeighbours() {
	dir := filepath.Dir(s.Path)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	var rest []string
	for _, e := range entries {
		if k, _, ok := archiveOf(e.Name()); ok && k != Data || e.Name() == ManifestName {
			rest = append(rest, e.Name())
		}
	}
	if len(rest) > 0 {
		s.note("%q holds more of this backup, which is left out: %s; name the directory to use it", dir, list(rest))
	}
}

// openTar looks at the beginning of a tar file.
func (s *Set) openTar(path string, k Kind, oid uint32) (Archive, error) {
	a := Archive{Kind: k, OID: oid, Name: filepath.Base(path), Content: -1, path: path}
	f, err := os.Open(path)
	if err != nil {
		return a, fmt.Errorf("could not open file %q: %w", path, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return a, fmt.Errorf("could not open file %q: %w", path, err)
	}
	if !info.Mode().IsRegular() {
		return a, fmt.Errorf("%q is not a regular file", path)
	}
	a.Stored = info.Size()
	var found string
	a.Compression, found, err = sniff(f)
	switch {
	case err != nil:
		return a, &ArchiveError{path, err}
	case found != "":
		return a, &NotBackupError{path, found}
	}
	return a, nil
}

// openDirectory tells what a directory is by what is in it.
func (s *Set) openDirectory() error {
	entries, err := os.ReadDir(s.Path)
	if err != nil {
		return fmt.Errorf("could not read directory %q: %w", s.Path, err)
	}
	names := make(map[string]bool, len(entries))
	for _, e := range entries {
		names[e.Name()] = true
	}
	switch {
	case names[VersionName] || names["global"] && names["base"]:
		return s.openPlain(names)
	case slices.ContainsFunc(entries, isBaseTar):
		return s.openTars(entries)
	}
	return &NotBackupError{s.Path, describeDirectory(s.Path, entries)}
}

func isBaseTar(e fs.DirEntry) bool {
	k, _, ok := archiveOf(strings.TrimSuffix(e.Name(), heldSuffix))
	return ok && k == Data
}

// openTars finds the archives in a directory of tar files.
func (s *Set) openTars(entries []fs.DirEntry) error {
	s.Form = TarDirectory
	for _, e := range entries {
		name := e.Name()
		path := filepath.Join(s.Path, name)
		if name == ManifestName {
			s.manifest = path
			continue
		}
		if held, ok := strings.CutSuffix(name, heldSuffix); ok && (held == ManifestName || isBaseTar(e)) {
			s.Incomplete = &IncompleteError{s.Path, name, "whose name is provisional until a backup is complete"}
			if held == ManifestName {
				continue
			}
			name = held
		}
		k, oid, ok := archiveOf(name)
		if !ok || e.IsDir() {
			s.Unknown = append(s.Unknown, e.Name())
			continue
		}
		for _, other := range s.Archives {
			if other.Kind == k && other.OID == oid {
				return &AmbiguousError{s.Path, other.Name, e.Name()}
			}
		}
		a, err := s.openTar(path, k, oid)
		if err != nil {
			return err
		}
		s.Archives = append(s.Archives, a)
	}
	slices.SortFunc(s.Archives, func(a, b Archive) int {
		if a.Kind != b.Kind {
			return int(a.Kind) - int(b.Kind)
		}
		return int(int64(a.OID) - int64(b.OID))
	})
	if len(s.Unknown) > 0 {
		s.note("%q holds files that are no part of a backup: %s", s.Path, list(s.Unknown))
	}
	return nil
}

// openPlain finds the tablespaces of a data directory.
func (s *Set) openPlain(names map[string]bool) error {
	s.Form = Plain
	s.Archives = []Archive{{Kind: Data, Name: ".", Compression: codec.None, Stored: -1, Content: -1, path: s.Path}}
	root, err := os.OpenRoot(s.Path)
	if err != nil {
		return fmt.Errorf("could not open directory %q: %w", s.Path, err)
	}
	defer root.Close()
	exists := func(name string) bool { _, err := root.Lstat(name); return err == nil }
	switch {
	case names[RestoreMarker]:
		s.Incomplete = &IncompleteError{s.Path, RestoreMarker, "which a restore removes when it is done"}
	case names[pgdata.JournalFile]:
		s.Incomplete = &IncompleteError{s.Path, pgdata.JournalFile, "which is gone when a backup is complete; \"pgbasin backup --resume\" goes on with it"}
	case names[ManifestName+heldSuffix]:
		s.Incomplete = &IncompleteError{s.Path, ManifestName + heldSuffix, "whose name is provisional until a backup is complete"}
	case exists(ControlName+heldSuffix) && !exists(ControlName):
		s.Incomplete = &IncompleteError{s.Path, ControlName + heldSuffix, "whose name is provisional until a backup is complete"}
	}
	if names[ManifestName] {
		s.manifest = filepath.Join(s.Path, ManifestName)
	}
	return s.openTablespaces(root)
}

// list names a few of many.
func list(names []string) string {
	const most = 5
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(quoted(names[:most]), ", "), len(names)-most)
	}
	return strings.Join(quoted(names), ", ")
}

func quoted(names []string) []string {
	q := make([]string, len(names))
	for i, n := range names {
		q[i] = fmt.Sprintf("%q", n)
	}
	return q
}
