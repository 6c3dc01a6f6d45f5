package restore

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/pgbasin/pgbasin/internal/claim"
)

// target is a directory that the restore fills.
type target struct {
	what string // "data directory", "WAL directory", `tablespace 16385`
	path string
	real string // with the links of what exists resolved
}

// OverlapError says that two directories lie in one another.
type OverlapError struct {
	What, Path           string
	OtherWhat, OtherPath string
}

func (e *OverlapError) Error() string {
	if e.Path == e.OtherPath {
		return fmt.Sprintf("%s and %s would both be %q", e.What, e.OtherWhat, e.Path)
	}
	return fmt.Sprintf("%s %q and %s %q lie one in the other", e.What, e.Path, e.OtherWhat, e.OtherPath)
}

// checkOverlaps refuses directories that lie in one another, by whatever names.
func checkOverlaps(targets []target) error {
	for i := range targets {
		t := &targets[i]
		t.real = claim.Resolve(t.path)
		for _, other := range targets[:i] {
			if claim.Overlap(t.real, other.real) {
				return &OverlapError{other.what, other.path, t.what, t.path}
			}
		}
	}
	return nil
}

// existing is the nearest directory above path, or path itself, that exists.
func existing(path string) string {
	for path = claim.Resolve(path); ; path = filepath.Dir(path) {
		if _, err := os.Stat(path); err == nil || path == filepath.Dir(path) {
			return path
		}
	}
}
