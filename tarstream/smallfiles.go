package tarstream

import (
	"os"
	"runtime"

	"github.com/pgbasin/pgbasin/internal/durable"
)

const (
	// smallFile is the size, in bytes, up to which files are written in batches: most
	// of their time goes into the calls for each. What is larger is written as it comes.
	smallFile = 64 << 10
	// smallBatch is how many files a batch has at most, and smallBatchBytes how much
	// content.
	smallBatch      = 32
	smallBatchBytes = 256 << 10
	// smallBatches is how many there are at most: that of who creates files, and those
	// of as many goroutines as keep up with it.
	smallBatches = 4
)

// smallFiles writes small files that were created, several at a time, in goroutines of
// its own. They are created by one goroutine, because a file system lets one at a time
// into a directory: where several did, 100,000 files took 40 % more CPU time (Linux 6.18,
// ext4).
type smallFiles struct {
	done  func(f *os.File, path string, size int64) error // closes a file
	batch *smallFilesBatch                                // being filled; nil if none is
	free  chan *smallFilesBatch
	crew
}

type smallFilesBatch struct {
	files   []smallFileEntry
	content []byte // of the files, one behind the other
}

type smallFileEntry struct {
	*os.File
	path string
	size int
}

func newSmallFiles(done func(*os.File, string, int64) error) *smallFiles {
	s := &smallFiles{done: done, free: make(chan *smallFilesBatch, smallBatches)}
	for range smallBatches {
		s.free <- new(smallFilesBatch)
	}
	return s
}

// room makes sure that there is a batch for a file of size bytes. The error may be of a
// file before.
func (s *smallFiles) room(size int) error {
	if b := s.batch; b != nil && (len(b.files) == smallBatch || len(b.content)+size > smallBatchBytes) {
		if err := s.dispatch(); err != nil {
			return err
		}
	}
	if s.batch == nil {
		s.batch = <-s.free
	}
	return nil
}

// write adds content to the file that is added next.
func (s *smallFiles) write(p []byte) { s.batch.content = append(s.batch.content, p...) }

// add takes over a file, of which all content was given to write.
func (s *smallFiles) add(f *os.File, path string, size int) {
	s.batch.files = append(s.batch.files, smallFileEntry{f, path, size})
}

// dispatch hands the batch over. The error may be of one before.
func (s *smallFiles) dispatch() error {
	b := s.batch
	if b == nil {
		return nil
	}
	s.batch = nil
	err := s.start(func() error {
		err := b.write(s.done)
		b.files, b.content = b.files[:0], b.content[:0]
		s.free <- b
		return err
	})
	runtime.Gosched() // or the runtime takes who does nothing but system calls for stuck
	return err
}

// end waits until all that were added are written.
func (s *smallFiles) end() error {
	err := s.dispatch()
	if waitErr := s.wait(); err == nil {
		err = waitErr
	}
	return err
}

// write returns the first error, but closes all files.
func (b *smallFilesBatch) write(done func(*os.File, string, int64) error) (err error) {
	content := b.content
	for _, f := range b.files {
		if err != nil {
			f.Close()
			continue
		}
		if _, err = durable.Write(f.File, content[:f.size]); err != nil {
			f.Close()
			err = fileError("could not write to file", f.path, err)
			continue
		}
		err = done(f.File, f.path, int64(f.size))
		content = content[f.size:]
	}
	return err
}
