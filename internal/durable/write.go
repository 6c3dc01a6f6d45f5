package durable

import "os"

// WriteSize is the most that is worth giving to one write of a new file, in bytes. For
// a larger one Linux looks for a larger run of free memory (6.18, ext4), and where memory
// is full of cached files, as on most machines, that takes longer than all the rest: a
// backup of 1.9 GB as a tar took 2.1 to 3.0 s with 256 KiB, 1.0 to 3.0 s with 64 KiB,
// and 1.1 to 1.8 s with 32 KiB.
const WriteSize = 32 << 10

// Write writes p to f in pieces of WriteSize. n is how much of it was written.
func Write(f *os.File, p []byte) (n int, err error) {
	for len(p) > n && err == nil {
		var m int
		m, err = f.Write(p[n:min(n+WriteSize, len(p))])
		n += m
	}
	return n, err
}
