package codec

import (
	"bufio"
	"io"
	"runtime"
)

// piece is a part of the output of a Reader on its way from the goroutine that makes it.
type piece struct {
	buf  []byte // memory, used again
	in   []byte // of what is decompressed by a worker: the input; its memory is used again
	data []byte // decompressed, in buf
	sum  uint32 // of data, if the worker computes it
	err  error  // what comes after data
	done chan struct{}
}

// pieces are what a Reader's goroutine and the reader pass to and fro. Their number bounds the memory.
type pieces struct {
	free  chan *piece
	order chan *piece // as they follow one another; closed when all goroutines have returned
	stop  chan struct{}
	made  int
}

func newPieces(a Algorithm) *pieces {
	n := readAhead
	if a == Zstd || a == Gzip {
		n = max(n, readWorkers()+2)
	}
	p := &pieces{free: make(chan *piece, n), order: make(chan *piece, n+1), stop: make(chan struct{})}
	if a == Gzip { // only some streams have work for all
		n = readAhead
	}
	p.add(n)
	return p
}

func (p *pieces) add(n int) {
	for ; n > 0; n-- {
		p.free <- &piece{done: make(chan struct{}, 1)}
		p.made++
	}
}

// addRest makes as many pieces as there can be.
func (p *pieces) addRest() { p.add(cap(p.free) - p.made) }

// run runs a decompressor in the goroutine that it is called in.
func (p *pieces) run(src *source, decompress func(io.Reader, *pieces) error) {
	defer close(p.order)
	br := bufio.NewReaderSize(src, 16)
	var err error
	if _, err = br.Peek(1); err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err == nil {
		err = decompress(br, p)
	}
	if err != nil {
		end := &piece{err: err, done: make(chan struct{}, 1)}
		end.done <- struct{}{}
		p.order <- end // there is room for one more than are made
	}
}

// get gives a piece to fill, or nil when the reader wants no more.
func (p *pieces) get() *piece {
	select {
	case <-p.stop:
		return nil
	case x := <-p.free:
		x.data, x.err = nil, nil
		return x
	}
}

// put passes on a piece that is filled.
func (p *pieces) put(x *piece) {
	x.done <- struct{}{}
	p.order <- x
}

// promise passes on a piece that a worker fills and puts into done.
func (p *pieces) promise(x *piece) { p.order <- x }

// next waits for the next piece. Behind the one that has an error there is none.
func (p *pieces) next() *piece {
	x := <-p.order
	<-x.done
	return x
}

// abandon ends the goroutines and waits for them.
func (p *pieces) abandon() {
	close(p.stop)
	for range p.order {
	}
}

// fill passes on what r reads.
func (p *pieces) fill(r io.Reader) error {
	for {
		x := p.get()
		if x == nil {
			return nil
		}
		if cap(x.buf) < readChunk {
			x.buf = make([]byte, readChunk)
		}
		n := 0
		var err error
		for n < readChunk && err == nil {
			var m int
			m, err = r.Read(x.buf[n:readChunk])
			n += m
		}
		x.data = x.buf[:n]
		p.put(x)
		if err != nil {
			return err
		}
	}
}

// readWorkers is how many frames or sections are decompressed at the same time.
func readWorkers() int { return min(runtime.GOMAXPROCS(0), 8) }
