package tarstream

import (
	"os"

	"github.com/pgbasin/pgbasin/internal/durable"
)

const (
	// smallSize is the size, in bytes, up to which files are written in batches: most
	// of their time goes into the calls for each. What is larger is written as it comes.
	smallSize = 64 << 10
	// smallBatch is how many files a batch has at most, and smallBatchBytes how much
	// content.
	smallBatch      = 32
	smallBatchBytes = 256 << 10
	// smallBatches is how many there are at most: those that are filled, that wait for
	// their files to be created, and that are written.
	smallBatches = 4
)

// smallFiles makes small files, several at a time, in goroutines of its own: one creates
// files, and others write them. Not more than one creates them, because a file system lets
// one at a time into a directory: where several did, 100,000 files took 40 % more CPU time
// (Linux 6.18, ext4).
type smallFiles struct {
	create  func(name string) (*os.File, error)
	finish  func(f *os.File, name string, size int64) error // closes a file
	path    func(name string) string                        // for errors
	batch   *smallFilesBatch                                // being filled; nil if none is
	free    chan *smallFilesBatch
	created chan struct{} // closed when all files that were dispatched are created
	crew
}

type smallFilesBatch struct {
	files   []smallFile
	content []byte // of the files, one behind the other
}

type smallFile struct {
	*os.File // nil until it is created
	name     string
	size     int
}

func newSmallFiles(x *Extractor) *smallFiles {
	s := &smallFiles{create: x.create, finish: x.finish, path: x.path}
	s.free, s.created = make(chan *smallFilesBatch, smallBatches), make(chan struct{})
	for range smallBatches {
		s.free <- new(smallFilesBatch)
	}
	close(s.created)
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

// add adds a file, of which all content was given to write.
func (s *smallFiles) add(name string, size int) {
	s.batch.files = append(s.batch.files, smallFile{nil, name, size})
}

// dispatch hands the batch over. The error may be of one before.
func (s *smallFiles) dispatch() error {
	b := s.batch
	if b == nil {
		return nil
	}
	s.batch = nil
	before, created := s.created, make(chan struct{})
	s.created = created
	return s.start(func() error {
		<-before
		createErr := s.createAll(b)
		close(created)
		err := s.writeAll(b)
		b.files, b.content = b.files[:0], b.content[:0]
		s.free <- b
		if err == nil {
			err = createErr
		}
		return err
	})
}

// settle waits until all that were added are created: the directories are the caller's
// then, until the next dispatch. The error is of a file before.
func (s *smallFiles) settle() error {
	s.dispatch() // firstError returns its error
	<-s.created
	return s.firstError()
}

// end waits until all that were added are written.
func (s *smallFiles) end() error {
	s.dispatch() // wait returns its error
	return s.wait()
}

// createAll leaves in the batch what could be created before the error.
func (s *smallFiles) createAll(b *smallFilesBatch) (err error) {
	for i := range b.files {
		if b.files[i].File, err = s.create(b.files[i].name); err != nil {
			b.files = b.files[:i]
			return err
		}
	}
	return nil
}

// writeAll returns the first error, but closes all files.
func (s *smallFiles) writeAll(b *smallFilesBatch) (err error) {
	content := b.content
	for _, f := range b.files {
		if err != nil {
			f.Close()
			continue
		}
		if _, err = durable.Write(f.File, content[:f.size]); err != nil {
			f.Close()
			err = fileError("could not write to file", s.path(f.name), err)
			continue
		}
		err = s.finish(f.File, f.name, int64(f.size))
		content = content[f.size:]
	}
	return err
}
