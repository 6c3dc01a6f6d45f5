package codec

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// maxWorkers is libzstd's limit for the worker count (ZSTDMT_NBWORKERS_MAX on 64-bit systems).
const maxWorkers = 256

// Writer compresses a stream: several workers compress blocks of the input, which are written in order.
//
// Every Writer must be closed or aborted, after an error, too: that is what ends its goroutines. It is not safe for concurrent use.
// Its memory is bounded by the number of workers, see the package documentation.
type Writer struct {
	w       io.Writer
	name    Algorithm
	format  format
	workers int

	cur  *block // being filled; nil if none is
	any  bool   // a block has been dispatched
	size int64  // bytes of input dispatched

	made  int           // blocks made so far: at most one for each worker, one to fill and one to write out
	free  chan *block   // not in use
	todo  chan *block   // for the workers
	order chan *block   // the same for the goroutine that writes, in the order of the stream
	ended chan struct{} // closed when all goroutines have returned; nil before they were started

	closed bool
	failed atomic.Bool // err is set
	mu     sync.Mutex
	err    error // the first one
}

// NewWriter returns a Writer that compresses to w as s says; with None it passes everything through.
// Nothing is written to w before the first block is full or Close is called. An error says what is wrong with s.
func NewWriter(w io.Writer, s Spec) (*Writer, error) {
	z := &Writer{w: w, name: s.Algorithm, workers: runtime.GOMAXPROCS(0)}
	if s.WorkersSet {
		z.workers = max(s.Workers, 1)
	}
	z.workers = min(z.workers, maxWorkers)
	if err := s.checkLevel(); err != nil {
		return nil, err
	}
	switch s.Algorithm {
	case None:
		return z, nil
	case Gzip:
		z.format = gzipFormat(s)
	case LZ4:
		z.format = lz4Format(s)
	case Zstd:
		z.format = zstdFormat(s)
	default:
		return nil, fmt.Errorf("unknown compression algorithm %d", int(s.Algorithm))
	}
	n := z.workers + 2
	z.free, z.todo, z.order = make(chan *block, n), make(chan *block, n), make(chan *block, n)
	return z, nil
}

// Write takes in p and keeps nothing of it. An error of the underlying writer is returned by the first call that notices it and by all
// that follow.
func (z *Writer) Write(p []byte) (n int, err error) {
	if z.closed {
		return 0, fmt.Errorf("%s: write to a closed writer", z.name)
	}
	if z.failed.Load() {
		return 0, z.firstError()
	}
	if z.name == None {
		if n, err = writeAll(z.w, p); err != nil {
			z.fail(err)
		}
		return n, err
	}
	for len(p) > 0 {
		b := z.current()
		m := min(len(p), z.format.blockSize-len(b.data()))
		b.buf = append(b.buf, p[:m]...)
		p = p[m:]
		n += m
		if len(b.data()) == z.format.blockSize {
			z.dispatch(false)
			if z.failed.Load() {
				return n, z.firstError()
			}
		}
	}
	return n, nil
}

// Flush compresses what has been written so far, passes all of it on to the underlying writer, and waits for that. A stream that is cut
// off here can be read up to here, and may look whole. It costs some compression, so it is for the rare points from which something is
// to be safe.
func (z *Writer) Flush() error {
	if z.closed {
		return fmt.Errorf("%s: flush of a closed writer", z.name)
	}
	if z.name == None {
		return z.firstError()
	}
	z.current().flush = true
	z.dispatch(false)
	// A block is free when it has been written.
	blocks := make([]*block, 0, z.made)
	for range z.made {
		blocks = append(blocks, <-z.free)
	}
	for _, b := range blocks {
		z.free <- b
	}
	return z.firstError()
}

// Boundary tells that something begins with the next byte that readers may want without what is before it, as a member of a tar. Zstandard's current
// block ends here if it holds enough, and at its end the stream gets a seek table, so that a Seekable decompresses little else. For other formats it does
// nothing.
func (z *Writer) Boundary() {
	if z.closed || z.format.table == nil {
		return
	}
	z.format.table.wanted = true
	if z.cur != nil && len(z.cur.data()) >= z.format.boundary {
		z.dispatch(false)
	}
}

// Close compresses and writes what is left and the trailer, and waits until all is written; it does not close the underlying writer.
// It returns the first error of the whole stream. A second call does nothing and returns the same.
func (z *Writer) Close() error {
	if !z.closed {
		z.closed = true
		if z.name != None {
			z.current()
			z.dispatch(true)
			z.wait()
		}
	}
	return z.firstError()
}

// Abort gives the stream up: it writes nothing more, so that what has been written is visibly cut off, and releases what the Writer
// holds. It waits for a Write of the underlying writer that is under way. After Close it does nothing.
func (z *Writer) Abort() {
	if z.closed {
		return
	}
	z.closed = true
	z.fail(fmt.Errorf("%s: compression was aborted", z.name))
	z.wait()
}

// current returns the block to fill.
func (z *Writer) current() *block {
	if z.cur != nil {
		return z.cur
	}
	select {
	case z.cur = <-z.free:
	default:
		if z.made < cap(z.free) {
			z.made++
			z.cur = &block{done: make(chan struct{}, 1)}
		} else {
			z.cur = <-z.free
		}
	}
	b := z.cur
	if b.buf == nil {
		b.buf = make([]byte, 0, z.format.blockSize)
		b.out = make([]byte, 0, z.format.blockSize+z.format.blockSize/512) // what cannot be compressed grows by less
	}
	b.buf = b.buf[:0]
	b.flush, b.err = false, nil
	return b
}

// dispatch hands the current block over.
func (z *Writer) dispatch(last bool) {
	if z.ended == nil {
		z.start()
	}
	b := z.cur
	z.cur = nil
	b.first, b.last = !z.any, last
	z.any = true
	z.size += int64(len(b.data()))
	// Neither blocks: there are no more blocks than the channels hold.
	z.order <- b
	z.todo <- b
}

// start starts the workers and the goroutine that writes.
func (z *Writer) start() {
	z.ended = make(chan struct{})
	var workers sync.WaitGroup
	for range z.workers {
		workers.Go(z.work)
	}
	go func() {
		defer close(z.ended)
		z.writeOut()
		workers.Wait()
	}()
}

// wait lets the goroutines finish the blocks that were dispatched and waits for them.
func (z *Writer) wait() {
	if z.ended == nil {
		return
	}
	close(z.todo)
	close(z.order)
	<-z.ended
	z.cur, z.free = nil, nil
}

// work compresses blocks until there are no more. After an error blocks only pass through.
func (z *Writer) work() {
	var enc blockEncoder
	for b := range z.todo {
		if !z.failed.Load() {
			if enc == nil {
				enc, b.err = z.format.encoder()
			}
			if b.err == nil {
				b.out, b.err = enc.encode(slices.Grow(b.out[:0], z.format.hold)[:z.format.hold], b)
			}
		}
		b.done <- struct{}{}
	}
}

// writeOut writes the header, the compressed blocks and the trailer.
func (z *Writer) writeOut() {
	f := &z.format
	held := make([]byte, 0, f.hold)
	z.write(f.header)
	for b := range z.order {
		<-b.done
		if b.err != nil {
			z.fail(fmt.Errorf("%s: %w", z.name, b.err))
		}
		last := b.last
		if !z.failed.Load() {
			if f.sum != nil {
				f.sum.Write(b.data())
			}
			if f.table != nil {
				f.table.add(len(b.out)-f.hold, len(b.data()))
			}
			// The encoder has left room for what was held back of the block before.
			out := b.out[f.hold-len(held):]
			copy(out, held)
			if b.flush {
				held = held[:0]
			} else if !last {
				n := max(0, len(out)-f.hold)
				held = append(held[:0], out[n:]...)
				out = out[:n]
			}
			if last && f.table != nil {
				// In one write: a stream that was not finished ends inside of a block.
				out = append(out, f.table.frame()...)
			}
			z.write(out)
		}
		if last {
			if f.trailer != nil {
				z.write(f.trailer(f.sum, z.size))
			}
			return
		}
		z.free <- b
	}
}

// write writes p, unless there was an error.
func (z *Writer) write(p []byte) {
	if len(p) == 0 || z.failed.Load() {
		return
	}
	if _, err := writeAll(z.w, p); err != nil {
		z.fail(err)
	}
}

func (z *Writer) fail(err error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.err == nil {
		z.err = err
		z.failed.Store(true)
	}
}

func (z *Writer) firstError() error {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.err
}

// writeAll makes an error of a short write.
func writeAll(w io.Writer, p []byte) (n int, err error) {
	n, err = w.Write(p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return n, err
}
