package combine_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/pgbasin/pgbasin/backupset"
	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/combine"
)

func TestAResultIsNoBackupUntilItIsDurable(t *testing.T) {
	list, want := sample()
	paths := store(t, list, false, 0)
	for _, format := range []combine.Format{combine.Plain, combine.Tar} {
		for _, noManifest := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v %v", format, noManifest), func(t *testing.T) {
				o := options(t, paths, false)
				o.Format, o.NoManifest, o.Sync = format, noManifest, combine.Fsync
				looked := false
				o.Observer.Info = func(string) { // "syncing data to disk ..."
					looked = true
					_, err := backupset.Open(o.Output, backupset.Options{})
					var incomplete *backupset.IncompleteError
					if !errors.As(err, &incomplete) {
						t.Errorf("before the end it is taken for a backup: %v", err)
					}
				}
				if _, err := combine.Run(context.Background(), o); err != nil {
					t.Fatal(err)
				}
				if _, err := backupset.Open(o.Output, backupset.Options{}); err != nil || !looked {
					t.Errorf("at the end: %v, %v", err, looked)
				}
				if format == combine.Plain {
					got := tree(t, o.Output)
					delete(got, "backup_manifest")
					same(t, got, want)
				}
			})
		}
	}
}

func TestTablespacesInPlaceStayThere(t *testing.T) {
	list, want := sample()
	for _, b := range list {
		b.Tablespaces = nil // its files are in the data directory then
	}
	for _, tar := range []bool{false, true} {
		for _, format := range []combine.Format{combine.Plain, combine.Tar} {
			paths := store(t, list, tar, codec.None)
			o := options(t, paths, true)
			o.Format, o.Tablespaces = format, nil
			result, err := combine.Run(context.Background(), o)
			if err != nil {
				t.Fatal(err)
			}
			if len(result.Tablespaces) != 1 || !result.Tablespaces[0].InPlace {
				t.Errorf("%+v", result.Tablespaces)
			}
			verified(t, o.Output)
			if format == combine.Tar {
				continue
			}
			got := tree(t, o.Output)
			delete(got, "backup_manifest")
			same(t, got, want)
		}
	}
	// In the newest backup it is an archive of its own that no tablespace_map lists.
	list[2].InPlace = true
	paths := store(t, list, true, codec.Gzip)
	o := options(t, paths, true)
	o.Tablespaces = nil
	if _, err := combine.Run(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	got := tree(t, o.Output)
	delete(got, "backup_manifest")
	same(t, got, want)
}
