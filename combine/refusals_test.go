package combine_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/combine"
	"github.com/pgbasin/pgbasin/internal/backuptest"
	"github.com/pgbasin/pgbasin/manifest"
)

// listing is what a directory holds.
func listing(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

func TestWhatCannotBeDoneIsRefusedBeforeAnythingIsWritten(t *testing.T) {
	list, _ := sample()
	paths := store(t, list, false, 0)
	tars := store(t, list, true, 0)
	for name, c := range map[string]struct {
		tar    bool
		change func(o *combine.Options)
		says   string
	}{
		"no mapping": {false, func(o *combine.Options) { o.Tablespaces = nil },
			`tablespace at "` + backuptest.Location(paths[2], 16400) + `" has no tablespace mapping`},
		"no mapping for tars":          {true, func(o *combine.Options) { o.Tablespaces[0].Old = "/elsewhere" }, `tablespace at "/srv/space" has no tablespace mapping`},
		"output that is not empty":     {false, func(o *combine.Options) { o.Output = paths[1] }, "exists but is not empty"},
		"tablespace that is not empty": {false, func(o *combine.Options) { o.Tablespaces[0].New = paths[1] }, "exists but is not empty"},
		"output in a backup":           {false, func(o *combine.Options) { o.Output = filepath.Join(paths[0], "new") }, "lie one in the other"},
		"output in a tablespace":       {false, func(o *combine.Options) { o.Output = backuptest.Location(paths[2], 16400) + "/new" }, "lie one in the other"},
		"tablespace in the output":     {false, func(o *combine.Options) { o.Tablespaces[0].New = filepath.Join(o.Output, "space") }, "lie one in the other"},
		"the same twice":               {false, func(o *combine.Options) { o.Tablespaces[0].New = o.Output }, "would be used twice"},
		"wrong order":                  {false, func(o *combine.Options) { o.Backups = []string{paths[1], paths[0]} }, "only the first backup should be a full backup"},
		"none":                         {false, func(o *combine.Options) { o.Backups = nil }, "no backups were given"},
		"nowhere":                      {false, func(o *combine.Options) { o.Backups = []string{filepath.Join(paths[0], "nowhere")} }, "could not open backup"},
		"not a backup":                 {false, func(o *combine.Options) { o.Backups = []string{filepath.Join(paths[0], "base")} }, "is not a base backup"},
	} {
		t.Run(name, func(t *testing.T) {
			given := paths
			if c.tar {
				given = tars
			}
			o := options(t, given, c.tar)
			out, beside := o.Output, listing(t, filepath.Dir(o.Output))
			c.change(&o)
			for _, dry := range []bool{true, false} {
				o.DryRun = dry
				if _, err := combine.Run(context.Background(), o); err == nil || !strings.Contains(err.Error(), c.says) {
					t.Errorf("%v", err)
				}
			}
			if got := listing(t, filepath.Dir(out)); got != beside {
				t.Errorf("there is %q", got)
			}
		})
	}
	if got := listing(t, filepath.Dir(paths[0])); strings.Count(got, " ") != 5 {
		t.Errorf("the backups became %s", got)
	}
}

func TestADryRunWritesNothing(t *testing.T) {
	list, _ := sample()
	paths := store(t, list, false, 0)
	o := options(t, paths, false)
	o.DryRun = true
	result, err := combine.Run(context.Background(), o)
	if err != nil || result.Start != 0x3000000 || len(result.Tablespaces) != 1 {
		t.Errorf("%+v, %v", result, err)
	}
	if got := listing(t, filepath.Dir(o.Output)); got != "" {
		t.Errorf("there is %q", got)
	}
}

func TestTheManifestIsAsAsked(t *testing.T) {
	list, want := sample()
	paths := store(t, list, false, 0)
	for _, a := range []manifest.ChecksumAlgorithm{manifest.None, manifest.CRC32C, manifest.SHA256} {
		o := options(t, paths, false)
		o.Checksums = a
		if _, err := combine.Run(context.Background(), o); err != nil {
			t.Fatal(err)
		}
		verified(t, o.Output)
		f, err := os.Open(filepath.Join(o.Output, "backup_manifest"))
		if err != nil {
			t.Fatal(err)
		}
		m := manifest.NewReader(f)
		n := 0
		for m.Next() {
			n++
			if m.File().Algorithm != a || m.File().ModTime != manifest.FormatModTime(backuptest.Modified) {
				t.Errorf("%v: %+v", a, m.File())
			}
		}
		f.Close()
		if m.Err() != nil || n != len(want)-1 || m.SystemIdentifier() != 77 || len(m.WALRanges()) != 1 || m.WALRanges()[0].Start != 0x3000000 {
			t.Errorf("%v: %d files, %v, %v", a, n, m.WALRanges(), m.Err())
		}
	}
	for _, format := range []combine.Format{combine.Plain, combine.Tar} {
		o := options(t, paths, false)
		o.NoManifest, o.Format = true, format
		if _, err := combine.Run(context.Background(), o); err != nil {
			t.Fatal(err)
		}
		if got := listing(t, o.Output); strings.Contains(got, "backup_manifest") || strings.Contains(got, ".tmp") {
			t.Errorf("%v: there is %s", format, got)
		}
	}
}

func TestWithoutAManifestOfTheLastThereCanBeNone(t *testing.T) {
	list, want := sample()
	list[2].NoManifest = true
	paths := store(t, list, false, 0)
	o := options(t, paths, false)
	if _, err := combine.Run(context.Background(), o); err == nil || err.Error() != "cannot generate a manifest because no manifest is available for the final input backup" {
		t.Errorf("%v", err)
	}
	if got := listing(t, filepath.Dir(o.Output)); got != "" {
		t.Errorf("there is %q", got)
	}
	o.NoManifest = true
	if _, err := combine.Run(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	same(t, tree(t, o.Output), want)
}

func TestAnInterruptedRunLeavesNothing(t *testing.T) {
	list, _ := sample()
	for _, tar := range []bool{false, true} {
		paths := store(t, list, tar, 0)
		o := options(t, paths, tar)
		if err := os.Mkdir(o.Output, 0o700); err != nil { // it was there, and stays
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancelCause(context.Background())
		gone := errors.New("gone")
		o.Observer.Debug = func(m string) {
			if strings.Contains(m, "base/5/1") || strings.Contains(m, "base\"") {
				cancel(gone)
			}
		}
		if _, err := combine.Run(ctx, o); !errors.Is(err, gone) {
			t.Errorf("%v", err)
		}
		if got := listing(t, filepath.Dir(o.Output)); got != "out" || listing(t, o.Output) != "" {
			t.Errorf("there is %q and in it %q", got, listing(t, o.Output))
		}
	}
}

func TestAccessForTheGroupIsKept(t *testing.T) {
	list, _ := sample()
	paths := store(t, list, false, 0)
	if err := os.Chmod(paths[2], 0o750); err != nil {
		t.Fatal(err)
	}
	o := options(t, paths, false)
	if _, err := combine.Run(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]os.FileMode{"": 0o750, "base": 0o750, "base/5/1": 0o640, "global/pg_control": 0o640, "backup_manifest": 0o640} {
		if info, err := os.Stat(filepath.Join(o.Output, name)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}
