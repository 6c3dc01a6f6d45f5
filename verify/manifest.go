package verify

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/pgbasin/pgbasin/manifest"
)

// ManifestError says that the manifest is not one to go by. It unwraps to a
// *manifest.FormatError, which has the place, if it is malformed.
type ManifestError struct {
	Path string
	Err  error
}

// Error is PostgreSQL's message, which does not name the file.
func (e *ManifestError) Error() string {
	var format *manifest.FormatError
	var read *readError
	switch {
	case errors.As(e.Err, &format):
		return format.Msg
	case errors.As(e.Err, &read):
		return read.Error()
	}
	return e.Err.Error()
}

func (e *ManifestError) Unwrap() error { return e.Err }

// errManifestChanged is returned when the manifest is not the same on its second
// reading.
var errManifestChanged = errors.New("manifest changed while the backup was verified")

// readManifest reads the whole manifest into the index.
func (v *verifier) readManifest() error {
	v.index = newIndex()
	r, err := v.eachFile(func(f *manifest.File) error {
		v.index.add(f, v.ignore.has(f.Path))
		return nil
	})
	// Of several errors PostgreSQL finds the first, and a path that is listed
	// again is seen before what follows it.
	if v.index.seal() {
		if again := v.repeatedPath(); again != nil {
			return again
		}
	}
	if err != nil {
		return err
	}
	v.ranges = r.WALRanges()
	v.report.ManifestVersion, v.report.SystemID = r.Version(), r.SystemIdentifier()
	v.report.Files = v.index.files
	return nil
}

// repeatedPath returns the error for the first file in the manifest's order that
// is listed again.
func (v *verifier) repeatedPath() error {
	_, err := v.eachFile(func(f *manifest.File) error {
		_, flags := v.index.find(f.Path)
		switch {
		case flags == nil || *flags&repeated == 0:
		case *flags&matched != 0: // a second time
			return &RepeatedPathError{f.Path}
		default:
			*flags |= matched
		}
		return nil
	})
	var twice *RepeatedPathError
	if errors.As(err, &twice) {
		return &ManifestError{v.manifestPath, twice}
	}
	return nil
}

// RepeatedPathError says that the manifest lists a file again.
type RepeatedPathError struct{ Path string }

func (e *RepeatedPathError) Error() string {
	return fmt.Sprintf("duplicate path name in backup manifest: \"%s\"", e.Path)
}

// eachFile reads the manifest and calls f for each file. Errors of f are
// returned as they are.
func (v *verifier) eachFile(f func(*manifest.File) error) (*manifest.Reader, error) {
	src, err := openManifest(v.manifestPath)
	if err != nil {
		return nil, &ManifestError{v.manifestPath, err}
	}
	defer src.Close()
	r := manifest.NewReader(named{src, v.manifestPath})
	for r.Next() {
		file := r.File()
		if err := f(&file); err != nil {
			return r, err
		}
	}
	if err := r.Err(); err != nil {
		return r, &ManifestError{v.manifestPath, err}
	}
	return r, nil
}

// openManifest opens a manifest, which is read more than once.
func openManifest(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		return nil, &readError{path, errors.New("it is not a regular file")}
	}
	src, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("could not open file \"%s\": %w", path, err)
	}
	return src, nil
}

// named makes a file's errors say which file it was.
type named struct {
	r    io.Reader
	path string
}

func (n named) Read(p []byte) (int, error) {
	k, err := n.r.Read(p)
	if err != nil && err != io.EOF {
		err = &readError{n.path, systemError(err)}
	}
	return k, err
}

type readError struct {
	path string
	err  error
}

func (e *readError) Error() string {
	return fmt.Sprintf("could not read file \"%s\": %v", e.path, e.err)
}
func (e *readError) Unwrap() error { return e.err }

// reportMissing reports what the manifest lists and the backup does not have.
func (v *verifier) reportMissing() error {
	if v.report.NoManifest || v.matchedFiles == v.index.files && !v.ignoredMore {
		return nil
	}
	_, err := v.eachFile(func(f *manifest.File) error {
		_, flags := v.index.find(f.Path)
		switch {
		case flags == nil:
			return errManifestChanged
		case *flags&(matched|ignored) != 0 || v.ignore.has(f.Path):
			return nil
		}
		return v.problem(&Problem{Kind: Missing, Path: f.Path})
	})
	return err
}
