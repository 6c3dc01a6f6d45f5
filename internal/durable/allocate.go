package durable

import (
	"fmt"
	"os"
)

var zeroes [256 << 10]byte

// Preallocate makes the empty file f size bytes long, all zero, with the space
// really reserved: later writes within it cannot run out of disk.
func Preallocate(f *os.File, size int64) error {
	err := allocate(f, size)
	if err == nil {
		return nil
	}
	if !allocateUnsupported(err) {
		return fmt.Errorf("could not allocate %d bytes for file %q: %w", size, f.Name(), err)
	}
	for at := int64(0); at < size; {
		n, err := f.WriteAt(zeroes[:min(int64(len(zeroes)), size-at)], at)
		if err != nil {
			return fmt.Errorf("could not write to file %q: %w", f.Name(), err)
		}
		at += int64(n)
	}
	return nil
}
