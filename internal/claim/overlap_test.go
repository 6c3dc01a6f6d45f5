package claim_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/pgbasin/pgbasin/internal/claim"
)

func TestDirectoriesOverlapByWhateverNames(t *testing.T) {
	dir := t.TempDir()
	join := func(name string) string { return filepath.Join(dir, name) }
	if err := os.MkdirAll(join("a/b"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(join("a/b"), join("link")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"a", "a", true},
		{"a", "a/b/new", true},
		{"link/new", "a", true},
		{"a", "ab", false},
		{"a/new", "a/b", false},
		{"link", "new", false},
	} {
		a, b := claim.Resolve(join(c.a)), claim.Resolve(join(c.b))
		if claim.Overlap(a, b) != c.want || claim.Overlap(b, a) != c.want {
			t.Errorf("%s and %s: overlap should be %t", c.a, c.b, c.want)
		}
	}
	root := filepath.VolumeName(dir) + string(filepath.Separator)
	if !claim.Overlap(claim.Resolve(root), claim.Resolve(dir)) {
		t.Errorf("%s should overlap %s", root, dir)
	}
}
