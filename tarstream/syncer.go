package tarstream

import (
	"os"
	"sync"

	"github.com/pgbasin/pgbasin/internal/durable"
)

const (
	// syncBatch is how many files are synced together. The device is busy with all
	// of them at once, and the first fsync commits what the file system has to
	// note about the others.
	syncBatch = 64
	// syncBatchBytes is how much they may have together, so that large files do
	// not wait for others.
	syncBatchBytes = 8 << 20
	// syncers is how many batches are synced at the same time.
	syncers = 4
)

// syncer makes files durable and closes them, in goroutines of its own.
type syncer struct {
	mu    sync.Mutex
	batch []syncFile
	bytes int64 // that the batch has
	crew
}

type syncFile struct {
	*os.File
	path string
}

func newSyncer() *syncer {
	s := new(syncer)
	s.group.SetLimit(syncers)
	return s
}

// add takes a file that is written, of so many bytes. The error may be of one that
// was added before. Several goroutines may add files.
func (s *syncer) add(f *os.File, path string, size int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.batch = append(s.batch, syncFile{f, path})
	s.bytes += size
	if len(s.batch) < syncBatch && s.bytes < syncBatchBytes {
		return nil
	}
	return s.dispatch()
}

// dispatch hands the batch over. The error may be of one before.
func (s *syncer) dispatch() error {
	batch := s.batch
	s.batch, s.bytes = nil, 0
	return s.start(func() error { return syncFiles(batch) })
}

// end waits until all that were added are durable.
func (s *syncer) end() error {
	if len(s.batch) > 0 {
		s.dispatch() // wait returns its error
	}
	return s.wait()
}

// syncFiles returns the first error, but closes all.
func syncFiles(batch []syncFile) (err error) {
	if len(batch) > 1 {
		for _, f := range batch {
			durable.StartWriteback(f.File, 0, 0)
		}
	}
	for _, f := range batch {
		var syncErr error
		if err == nil {
			syncErr = f.Sync()
		}
		if closeErr := f.Close(); syncErr == nil {
			syncErr = closeErr
		}
		if err == nil && syncErr != nil {
			err = fileError("could not fsync file", f.path, syncErr)
		}
	}
	return err
}
