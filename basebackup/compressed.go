package basebackup

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/internal/durable"
)

// compressedFile is a file with a compressor in front.
type compressedFile struct {
	file *os.File

	mu     sync.Mutex // sync comes from another goroutine than Write
	codec  *codec.Writer
	buf    *bufio.Writer
	closed bool

	size   int64 // bytes in the file
	begun  int64 // writeback has been started up to here
	failed error // of a sync: what it was for may be lost, whatever a later one says
}

func compressTo(f *os.File, spec codec.Spec) (*compressedFile, error) {
	c := &compressedFile{file: f}
	// It gathers the small writes of tar headers and of compressors.
	c.buf = bufio.NewWriterSize((*writebackFile)(c), durable.WriteSize)
	var err error
	if c.codec, err = codec.NewWriter(c.buf, spec); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return c, nil
}

func (c *compressedFile) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, err := c.codec.Write(p)
	return n, c.writeError(err)
}

// Boundary implements tarstream.Boundary.
func (c *compressedFile) Boundary() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.codec.Boundary()
}

// sync makes durable what was written before. It may be called while another
// goroutine writes.
func (c *compressedFile) sync() error {
	c.mu.Lock()
	err := c.failed
	if err == nil {
		err = c.codec.Flush()
	}
	if err == nil {
		err = c.buf.Flush()
	}
	c.mu.Unlock()
	if err != nil {
		return c.writeError(err)
	}
	if err := durable.Datasync(c.file); err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.failed = fmt.Errorf("could not fsync file %q: %w", c.file.Name(), err)
		return c.failed
	}
	return nil
}

// Close is part of the write: what the compressor and the buffer still hold
// must reach the file. Closing again does nothing.
func (c *compressedFile) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	err := c.codec.Close()
	if err == nil {
		err = c.buf.Flush()
	}
	return c.writeError(errors.Join(err, c.file.Close()))
}

// abort ends the file as it is, visibly cut off, unless it was closed.
func (c *compressedFile) abort() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.closed = true
		c.codec.Abort()
		c.file.Close()
	}
}

func (c *compressedFile) writeError(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("could not write to file %q: %w", c.file.Name(), err)
}

// writebackFile starts writing to the device early, so that the sync at the
// end finds little left to do.
type writebackFile compressedFile

const writebackStep = 8 << 20

func (w *writebackFile) Write(p []byte) (int, error) {
	n, err := durable.Write(w.file, p)
	if w.size += int64(n); w.size-w.begun >= writebackStep {
		durable.StartWriteback(w.file, w.begun, w.size-w.begun)
		w.begun = w.size
	}
	return n, err
}
