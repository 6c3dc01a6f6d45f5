package manifest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Problem is a way in which a file and a manifest can differ.
type Problem int

const (
	Missing Problem = iota + 1 // the manifest lists a file that did not come
	Extra                      // a file came that the manifest does not list
	SizeDiffers
	ChecksumDiffers
	AlgorithmDiffers // the server did not use the algorithm that it was asked for
	ChecksumLength   // the manifest's checksum is not as long as its algorithm makes it
	DuplicateEntry   // the manifest lists a file again
	DuplicateFile    // a file came again
)

// VerifyError is one difference between a backup and its manifest.
type VerifyError struct {
	Path    string // relative to the data directory
	Problem Problem

	// What came and what the manifest says, as far as the Problem is about it.
	Size, ManifestSize           int64 // bytes
	Algorithm, ManifestAlgorithm ChecksumAlgorithm
	ManifestChecksumLength       int64 // bytes
}

// Error is worded after pg_verifybackup's messages, which speak of a disk.
func (e *VerifyError) Error() string {
	path := printable(e.Path)
	switch e.Problem {
	case Missing:
		return fmt.Sprintf("\"%s\" is present in the manifest but not in the backup", path)
	case Extra:
		return fmt.Sprintf("\"%s\" is present in the backup but not in the manifest", path)
	case SizeDiffers:
		return fmt.Sprintf("\"%s\" has size %d in the backup but size %d in the manifest", path, e.Size, e.ManifestSize)
	case ChecksumDiffers:
		return fmt.Sprintf("checksum mismatch for file \"%s\"", path)
	case AlgorithmDiffers:
		if e.ManifestAlgorithm == None {
			return fmt.Sprintf("file \"%s\" has no checksum in the manifest, but %s was requested", path, e.Algorithm)
		}
		return fmt.Sprintf("file \"%s\" has checksum algorithm %s in the manifest, but %s was requested", path, e.ManifestAlgorithm, e.Algorithm)
	case ChecksumLength:
		return fmt.Sprintf("file \"%s\" has checksum of length %d, but expected %d", path, e.ManifestChecksumLength, e.Algorithm.Size())
	case DuplicateEntry:
		return fmt.Sprintf("duplicate path name in backup manifest: \"%s\"", path)
	case DuplicateFile:
		return fmt.Sprintf("\"%s\" is present in the backup more than once", path)
	}
	return fmt.Sprintf("file \"%s\" does not match the manifest", path)
}

// maxReported is how many differences are kept; all are counted.
const maxReported = 100

// VerifyErrors is what Verify found: the differences, sorted by path.
type VerifyErrors struct {
	Errors []*VerifyError // at most 100
	Total  int64          // how many there are
}

// Error is one line for each difference.
func (e *VerifyErrors) Error() string {
	var b strings.Builder
	for i, one := range e.Errors {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(one.Error())
	}
	if more := e.Total - int64(len(e.Errors)); more > 0 {
		fmt.Fprintf(&b, "\nand %d more differences between the backup and its manifest", more)
	}
	return b.String()
}

func (e *VerifyErrors) Unwrap() []error {
	errs := make([]error, len(e.Errors))
	for i, one := range e.Errors {
		errs[i] = one
	}
	return errs
}

func (e *VerifyErrors) add(one *VerifyError) {
	e.Total++
	if len(e.Errors) < maxReported {
		e.Errors = append(e.Errors, one)
	}
}

func (e *VerifyErrors) sort() {
	slices.SortStableFunc(e.Errors, func(a, b *VerifyError) int {
		return strings.Compare(a.Path, b.Path)
	})
}

// Disregard is err without the differences at some paths, if it is a
// *VerifyErrors that has all of them; nil if none are left.
func Disregard(err error, some func(path string) bool) error {
	var all *VerifyErrors
	if !errors.As(err, &all) || all.Total > int64(len(all.Errors)) {
		return err
	}
	kept := &VerifyErrors{}
	for _, e := range all.Errors {
		if !some(e.Path) {
			kept.Errors = append(kept.Errors, e)
		}
	}
	if kept.Total = int64(len(kept.Errors)); kept.Total == 0 {
		return nil
	}
	return kept
}
