package prove

import (
	"errors"

	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/restore"
	"github.com/pgbasin/pgbasin/prove"
)

// hints say what can be done about the error of a check.
func hints(err error) []string {
	var (
		none  *prove.NoServerError
		wrong *prove.WrongVersionError
	)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, prove.ErrRoot):
		return []string{"Run this as another user, or name one with --run-as."}
	case errors.As(err, &none):
		return []string{"Install PostgreSQL " + none.Major + ", or say with --bindir where its programs are."}
	case errors.As(err, &wrong):
		return []string{"Leave out --bindir, or give the directory of the programs of PostgreSQL " + wrong.Directory + "."}
	}
	return restore.Hints(err)
}
