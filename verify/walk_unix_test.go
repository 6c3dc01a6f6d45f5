//go:build unix

package verify

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/pgbasin/pgbasin/manifest"
)

func TestLinksThatLeadBackEnd(t *testing.T) {
	m := newMade(t)
	m.add("base/1/1", []byte("x"), manifest.CRC32C)
	for _, name := range []string{"base/1/up", "base/1/again"} {
		if err := os.Symlink("..", filepath.Join(m.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	report, err := m.run(Options{})
	if err != nil || report.Total != 2 || report.Problems[0].Kind != Unreadable || report.Problems[1].Kind != Unreadable {
		t.Errorf("%+v, %v", report, err)
	}
}
