package combine

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/pgbasin/pgbasin/backupset"
	"github.com/pgbasin/pgbasin/internal/durable"
	"github.com/pgbasin/pgbasin/manifest"
)

const heldSuffix = ".tmp" // of what gets its final name at the end

// listing notes the files of the result, in a manifest if there is to be one. It
// is for several goroutines.
type listing struct {
	mu    sync.Mutex
	files int64
	bytes int64

	algorithm manifest.ChecksumAlgorithm
	path      string
	file      *os.File // nil = no manifest
	buffer    *bufio.Writer
	manifest  *manifest.Writer
}

// open begins a manifest.
func (l *listing) open(dir *os.Root, mode fs.FileMode, systemID uint64, a manifest.ChecksumAlgorithm) error {
	const name = backupset.ManifestName + heldSuffix
	l.path, l.algorithm = filepath.Join(dir.Name(), name), a
	var err error
	if l.file, err = durable.Create(dir, name, mode); err != nil {
		return err
	}
	l.buffer = bufio.NewWriterSize(l.file, 64<<10)
	l.manifest = manifest.NewWriter(l.buffer, systemID)
	return nil
}

// add notes a file. What is in pg_wal no manifest lists.
func (l *listing) add(path string, size int64, modified time.Time, sum []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.files++
	l.bytes += size
	if l.manifest == nil || strings.HasPrefix(path, "pg_wal/") {
		return nil
	}
	return l.failed(l.manifest.Add(manifest.File{
		Path: path, Size: size, ModTime: manifest.FormatModTime(modified), Algorithm: l.algorithm, Checksum: sum,
	}))
}

func (l *listing) failed(err error) error {
	if err != nil {
		return fmt.Errorf("could not write to file %q: %w", l.path, err)
	}
	return nil
}

// finish ends the manifest.
func (l *listing) finish(ranges []manifest.WALRange) error {
	err := errors.Join(l.manifest.Close(ranges), l.buffer.Flush())
	if err == nil {
		err = l.file.Close()
		l.file = nil
	}
	return l.failed(err)
}

// close gives an unfinished manifest up.
func (l *listing) close() {
	if l.file != nil {
		l.file.Close()
	}
}
