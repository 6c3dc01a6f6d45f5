package usage_test

import (
	"path"
	"testing"

	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/usage"
)

func FuzzTablespaceMapping(f *testing.F) {
	for _, s := range []string{"", "/a=/b", `/a\=b=/c`, "/a==/b", `C:\a=/b`, "=", `\`, "/a/../../b=/.."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		from, to, err := usage.ParseMapping(s)
		if err == nil && (!usage.AbsolutePath(to) || from != path.Clean(from) || len(from) > 1024 || len(to) > 1024) {
			t.Errorf("%q: %q to %q", s, from, to)
		}
	})
}
