package basebackup

import (
	"bytes"
	"crypto/sha256"
	"strings"
	"testing"
	"time"

	"github.com/pgbasin/pgbasin/manifest"
)

func TestVisibilityMapsAreLeftOutOfTheManifestThatIsUploaded(t *testing.T) {
	kept := []string{
		"PG_VERSION", "base/5/1249", "base/5/1249_fsm", "base/5/1249.1", "base/5/INCREMENTAL.1249",
		"pg_tblspc/16384/PG_18_202506291/5/16390_init", "base/5/vm", "base/5_vm/1",
	}
	dropped := []string{
		"base/5/1249_vm", "base/5/1249_vm.1", "global/1262_vm", "base/5/INCREMENTAL.1249_vm",
		"pg_tblspc/16384/PG_18_202506291/5/16390_vm",
	}
	ranges := []manifest.WALRange{{Timeline: 1, Start: 0x2000028, End: 0x2000100}}
	of := func(paths ...string) string {
		var text bytes.Buffer
		w := manifest.NewWriter(&text, 7)
		for i, path := range paths {
			sum := sha256.Sum256([]byte(path))
			f := manifest.File{Path: path, Size: int64(i), ModTime: manifest.FormatModTime(time.Unix(1, 0)), Algorithm: manifest.SHA256, Checksum: sum[:]}
			if err := w.Add(f); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(ranges); err != nil {
			t.Fatal(err)
		}
		return text.String()
	}
	var got strings.Builder
	if err := withoutVisibilityMaps(&got, strings.NewReader(of(append(kept, dropped...)...))); err != nil {
		t.Fatal(err)
	}
	if want := of(kept...); got.String() != want {
		t.Errorf("uploaded:\n%s\nwant:\n%s", got.String(), want)
	}
	damaged := strings.Replace(of(kept...), "1249", "1250", 1)
	if err := withoutVisibilityMaps(&got, strings.NewReader(damaged)); err == nil {
		t.Error("a manifest whose checksum is wrong is taken")
	}
}
