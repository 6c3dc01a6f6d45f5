//go:build linux

package combine_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/combine"
)

func TestUnchangedFilesAreLinked(t *testing.T) {
	list, want := sample()
	paths := store(t, list, false, 0)
	o := options(t, paths, false)
	o.Method = combine.Link
	if _, err := combine.Run(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	got := tree(t, o.Output)
	delete(got, "backup_manifest")
	same(t, got, want)
	verified(t, o.Output)
	for name, from := range map[string]string{
		"base/5/4": paths[0], "base/5/4_fsm": paths[2], "base/5/new": paths[2], "global/pg_control": paths[2],
		"base/5/1": "", "base/5/3": "", "backup_label": "", space + "9": "",
	} {
		info, err := os.Stat(filepath.Join(o.Output, name))
		if err != nil {
			t.Fatal(err)
		}
		if from == "" {
			if n := info.Sys().(*syscall.Stat_t).Nlink; n != 1 {
				t.Errorf("%s has %d links", name, n)
			}
			continue
		}
		source, err := os.Stat(filepath.Join(from, name))
		if err != nil || !os.SameFile(info, source) {
			t.Errorf("%s is not the file in %s: %v", name, from, err)
		}
	}
}

func TestFilesAreCopiedByTheKernel(t *testing.T) {
	list, want := sample()
	paths := store(t, list, false, 0)
	for _, m := range []combine.Method{combine.CopyFileRange, combine.Clone} {
		o := options(t, paths, false)
		o.Method = m
		_, err := combine.Run(context.Background(), o)
		if err != nil {
			// Not every file system can; what must hold then is that it is said, and nothing is left.
			if !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EXDEV) && !errors.Is(err, unix.EINVAL) ||
				m == combine.Clone && !strings.Contains(err.Error(), "error while cloning file \"") {
				t.Errorf("%v: %v", m, err)
			}
			if _, err := os.Lstat(o.Output); !os.IsNotExist(err) {
				t.Errorf("%v: something is left: %v", m, err)
			}
			continue
		}
		got := tree(t, o.Output)
		delete(got, "backup_manifest")
		same(t, got, want)
		verified(t, o.Output)
	}
}

func TestDamageIsFoundWhateverTheMethod(t *testing.T) {
	list, _ := sample()
	for _, m := range []combine.Method{combine.Link, combine.CopyFileRange} {
		paths := store(t, list, false, 0)
		changeFile(t, filepath.Join(paths[2], "base/5/new"))
		o := options(t, paths, false)
		o.Method = m
		if _, err := combine.Run(context.Background(), o); err == nil || !strings.Contains(err.Error(), `"base/5/new"`) {
			t.Errorf("%v: %v", m, err)
		}
		if _, err := os.Lstat(o.Output); !os.IsNotExist(err) {
			t.Errorf("%v: something is left: %v", m, err)
		}
		// What was linked is untouched by the removal.
		if b, err := os.ReadFile(filepath.Join(paths[2], "base/5/new")); err != nil || len(b) != blockSize {
			t.Errorf("%v: the backup's own file: %d bytes, %v", m, len(b), err)
		}
	}
}

func TestMethodsThatNeedDirectoriesAreRefusedForTars(t *testing.T) {
	list, _ := sample()
	paths := store(t, list, true, codec.None)
	o := options(t, paths, true)
	o.Method = combine.Link
	_, err := combine.Run(context.Background(), o)
	var method *combine.MethodError
	if !errors.As(err, &method) || !strings.Contains(err.Error(), "cannot use link: backup ") {
		t.Errorf("%v", err)
	}
	plain := store(t, list, false, 0)
	o = options(t, plain, false)
	o.Method, o.Format = combine.Clone, combine.Tar
	if _, err := combine.Run(context.Background(), o); err == nil || err.Error() != "cannot use clone: the output is in tar format" {
		t.Errorf("%v", err)
	}
}
