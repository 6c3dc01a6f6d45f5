//go:build !unix

package verify

import "os"

// source is a file that is read from its beginning or from an offset.
type source struct{ file *os.File }

func openSource(path string) (source, error) {
	f, err := os.Open(path)
	return source{f}, err
}

// readAt reads at an offset until p is full or the file ends, which is io.EOF.
func (s source) readAt(p []byte, offset int64) (n int, err error) { return s.file.ReadAt(p, offset) }

func (s source) close() { s.file.Close() }
