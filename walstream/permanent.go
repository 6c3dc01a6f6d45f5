package walstream

import (
	"errors"

	"github.com/pgbasin/pgbasin/internal/durable"
	"github.com/pgbasin/pgbasin/replproto"
)

// final marks an error that ends an archive.
type final struct{ error }

func (f *final) Unwrap() error { return f.error }

// permanent tells whether another attempt would end in the same way.
func permanent(err error) bool {
	var (
		marked      *final
		diverged    *DivergedError
		slot        *SlotError
		unsupported *replproto.UnsupportedError
		server      *replproto.ServerError
		special     *durable.NotRegularError // a link or a pipe where a segment goes
	)
	switch {
	case errors.As(err, &marked), errors.As(err, &diverged), errors.As(err, &slot), errors.As(err, &unsupported), errors.As(err, &special),
		errors.Is(err, ErrSystemChanged):
		return true
	case errors.As(err, &server):
		switch server.Code {
		case replproto.CodeUndefinedFile, replproto.CodeUndefinedObject, replproto.CodeNotInState,
			replproto.CodeInsufficientRight, replproto.CodeInvalidAuthorization, replproto.CodeInvalidPassword:
			return true
		}
	}
	return false
}

// broken tells whether err is a failed sync: what should be durable may not be.
func broken(err error) bool {
	var marked *final
	return errors.As(err, &marked)
}
