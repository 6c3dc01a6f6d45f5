package walfiles

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/getopt"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/usage"
	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/walarchive"
)

type pushOptions struct {
	to          usage.Optional
	compression codec.Spec
	path        string
}

// parsePush reads the command line of wal-push. The error is one that
// usage.Answered knows.
func parsePush(args []string) (*pushOptions, error) {
	o := &pushOptions{}
	operands, err := getopt.Parse(append(usage.HelpAndVersion(),
		getopt.Option{Long: "to", Arg: true, Set: o.to.Set},
		getopt.Option{Long: "compress", Short: 'Z', Arg: true, Set: o.setCompression},
	), args)
	if err != nil {
		return nil, err
	}
	if err := count(operands, "PATH"); err != nil {
		return nil, err
	}
	o.path = operands[0]
	switch {
	case o.to.Text == "":
		return nil, usage.RefuseWithHelp("no archive directory specified (--to)")
	case !walarchive.IsName(filepath.Base(o.path)):
		return nil, usage.RefuseWithHelp("\"%s\" is not the path of a WAL file", o.path)
	}
	return o, checkPath(o.path)
}

func (o *pushOptions) setCompression(v string) (err error) {
	_, method, detail, hasDetail := codec.ParseOption(v)
	if strings.HasPrefix(v, "client-") || strings.HasPrefix(v, "server-") {
		// There is but one place here: the prefix belongs to the name.
		method, detail, hasDetail = strings.Cut(v, ":")
	}
	a, err := codec.ParseAlgorithm(method)
	if err != nil {
		return usage.Refuse("%s", err)
	}
	o.compression = codec.Spec{Algorithm: a}
	if hasDetail {
		if o.compression, err = codec.ParseDetail(a, detail); err != nil {
			return usage.Refuse("%s", err)
		}
	}
	return nil
}

type fetchOptions struct {
	from       usage.Optional
	name, path string
}

// parseFetch reads the command line of wal-fetch, with errors as parsePush.
func parseFetch(args []string) (*fetchOptions, error) {
	o := &fetchOptions{}
	operands, err := getopt.Parse(append(usage.HelpAndVersion(),
		getopt.Option{Long: "from", Arg: true, Set: o.from.Set},
	), args)
	if err != nil {
		return nil, err
	}
	if err := count(operands, "NAME", "PATH"); err != nil {
		return nil, err
	}
	o.name, o.path = operands[0], operands[1]
	switch {
	case o.from.Text == "":
		return nil, usage.RefuseWithHelp("no archive directory specified (--from)")
	case !walarchive.IsName(o.name):
		return nil, usage.RefuseWithHelp("\"%s\" is not the name of a WAL file", o.name)
	}
	return o, checkPath(o.path)
}

// count refuses operands that are too few or too many.
func count(operands []string, names ...string) error {
	if n := len(operands); n < len(names) {
		return usage.RefuseWithHelp("no %s specified", names[n])
	}
	if len(operands) > len(names) {
		return usage.RefuseWithHelp("too many command-line arguments (first is \"%s\")", operands[len(names)])
	}
	return nil
}

// checkPath takes what a server puts for %p: a path below the data directory,
// which is the current one, or a full one. Neither has detours.
func checkPath(path string) error {
	elements := strings.Split(filepath.ToSlash(path), "/")
	if slices.Contains(elements, "..") || slices.Contains(elements[1:], "") || filepath.Base(path) == "." {
		return usage.RefuseWithHelp("\"%s\" is not the path of a file without \"..\" in it", path)
	}
	return nil
}
