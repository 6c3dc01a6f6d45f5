//go:build !linux

package durable

import (
	"errors"
	"os"
)

// SyncfsSupported tells whether SyncTree knows Syncfs here.
const SyncfsSupported = false

func syncfs(*os.Root) error { return errors.ErrUnsupported }

// Datasync makes the contents of f durable.
func Datasync(f *os.File) error { return f.Sync() }

const hasWriteback = false

// StartWriteback does nothing on this system.
func StartWriteback(*os.File, int64, int64) {}

func allocate(*os.File, int64) error { return errors.ErrUnsupported }

func allocateUnsupported(err error) bool { return errors.Is(err, errors.ErrUnsupported) }
