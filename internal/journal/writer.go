package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/pgbasin/pgbasin/internal/durable"
)

// Writer appends records to a journal. It may be used by several goroutines at once.
// Errors stay.
//
// A record that was added outlives this program as soon as Add has returned, and the
// host only after Sync.
type Writer struct {
	mu   sync.Mutex
	file *os.File
	buf  []byte
	err  error
}

// Create makes a journal of a kind, at a path where nothing is.
func Create(path, kind string, mode fs.FileMode) (*Writer, error) {
	dir, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("could not open directory %q: %w", filepath.Dir(path), err)
	}
	defer dir.Close()
	f, err := durable.Create(dir, filepath.Base(path), mode)
	if err != nil {
		return nil, err
	}
	w := &Writer{file: f}
	if err := w.write([]byte(firstLine(kind))); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return w, nil
}

// Append opens a journal that was read, and cuts it at end, which is Reader.End:
// what a crash has left behind that is no record.
func Append(path string, end int64) (*Writer, error) {
	dir, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("could not open directory %q: %w", filepath.Dir(path), err)
	}
	defer dir.Close()
	f, err := durable.OpenWrite(dir, filepath.Base(path))
	if err != nil {
		return nil, err
	}
	if err = f.Truncate(end); err == nil {
		_, err = f.Seek(end, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("could not truncate journal %q: %w", path, err), f.Close())
	}
	return &Writer{file: f}, nil
}

// Add appends a record, which is not empty and has MaxRecord bytes at the most.
func (w *Writer) Add(record []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return w.err
	}
	if len(record) == 0 || len(record) > MaxRecord {
		w.err = fmt.Errorf("record of %d bytes does not fit into journal %q", len(record), w.file.Name())
		return w.err
	}
	w.buf = appendFrame(w.buf[:0], record)
	return w.write(w.buf)
}

func (w *Writer) write(b []byte) error {
	if _, err := w.file.Write(b); err != nil {
		w.err = fmt.Errorf("could not write to journal %q: %w", w.file.Name(), err)
	}
	return w.err
}

// Sync makes the records durable that were added so far, and the journal's name.
func (w *Writer) Sync() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return w.err
	}
	if err := w.file.Sync(); err != nil {
		w.err = fmt.Errorf("could not fsync journal %q: %w", w.file.Name(), err)
		return w.err
	}
	w.err = durable.SyncDir(filepath.Dir(w.file.Name()))
	return w.err
}

// Close closes the file.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = fs.ErrClosed
	}
	return w.file.Close()
}
