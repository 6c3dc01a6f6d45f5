package basebackup

import (
	"context"
	"fmt"
	"os"
	"sync"
)

// summer reads files that were changed in place, for their checksums, while others
// still come. Whatever has been summed is given to done, by several goroutines.
type summer struct {
	read func(ctx context.Context, k *kept) error

	mu      sync.Mutex
	queue   []*kept
	running int
	err     error
	idle    sync.WaitGroup
	ctx     context.Context
	cancel  context.CancelFunc
}

// summers is how many files are read at the same time.
const summers = 2

func (s *summer) start(ctx context.Context, read func(context.Context, *kept) error) {
	s.read, s.err, s.queue = read, nil, nil
	s.ctx, s.cancel = context.WithCancel(ctx)
}

func (s *summer) add(k *kept) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = append(s.queue, k)
	if s.running < summers {
		s.running++
		s.idle.Go(s.run)
	}
}

func (s *summer) run() {
	for {
		s.mu.Lock()
		if len(s.queue) == 0 || s.err != nil {
			s.running--
			s.mu.Unlock()
			return
		}
		k := s.queue[0]
		s.queue = s.queue[1:]
		s.mu.Unlock()
		if err := s.read(s.ctx, k); err != nil {
			s.mu.Lock()
			if s.err == nil {
				s.err = err
			}
			s.mu.Unlock()
		}
	}
}

// wait waits until all files have been read.
func (s *summer) wait() error {
	s.idle.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// stop gives up.
func (s *summer) stop() {
	if s.cancel != nil {
		s.cancel()
	}
	s.idle.Wait()
}

// sum reads a file that was changed, and notes it in the journal as one that the attempt
// under way has brought.
func (k *keeper) sum(ctx context.Context, f *kept) error {
	file, _, err := k.roots.open(f.path, os.O_RDONLY)
	if err != nil {
		return fmt.Errorf("could not open file %q: %w", f.path, err)
	}
	defer file.Close()
	sum, newest, err := summarize(ctx, file, k.server.algorithm, k.server.blockSize)
	if err != nil {
		return fmt.Errorf("could not read file %q: %w", file.Name(), err)
	}
	f.checksum, f.newest = sum, newest
	return k.arrived(f.arrival)
}
