package manifest_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/pgbasin/pgbasin/manifest"
)

func TestDisregardKeepsWhatItIsNotAskedToLeaveOut(t *testing.T) {
	all := &manifest.VerifyErrors{Total: 2, Errors: []*manifest.VerifyError{
		{Path: "a", Problem: manifest.Missing}, {Path: "b", Problem: manifest.Extra},
	}}
	is := func(paths ...string) func(string) bool {
		return func(path string) bool { return slices.Contains(paths, path) }
	}
	var left *manifest.VerifyErrors
	if err := manifest.Disregard(all, is("a")); !errors.As(err, &left) || left.Total != 1 || left.Errors[0].Path != "b" {
		t.Errorf("without a: %v", err)
	}
	if err := manifest.Disregard(all, is("a", "b")); err != nil {
		t.Errorf("without both: %v", err)
	}
	// There may be others among those that are only counted.
	many := &manifest.VerifyErrors{Total: 3, Errors: all.Errors}
	if err := manifest.Disregard(many, is("a", "b")); err != many {
		t.Errorf("of more than are kept: %v", err)
	}
	other := errors.New("another error")
	if err := manifest.Disregard(other, is("a")); err != other {
		t.Errorf("%v", err)
	}
}
