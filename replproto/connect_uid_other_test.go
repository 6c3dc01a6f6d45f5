//go:build !unix

package replproto_test

import "errors"

func fileUID(string) (int, error) { return 0, errors.ErrUnsupported }
