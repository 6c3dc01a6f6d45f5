package basebackup

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/manifest"
)

// stock is what earlier attempts have brought, as the journal has it. It holds about
// 175 bytes for each file.
type stock struct {
	attempts []attempt
	files    []kept
	index    map[string]int32 // into files, of those that can be used
	end      int64            // of the journal
}

// kept is a file that is there.
type kept struct {
	arrival
	attempt int32
	// come is set when the backup under way has the file, whole or in part, and changed
	// when its content is not that of arrival any more.
	come, changed bool
}

func readStock(path string) (*stock, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s := &stock{index: make(map[string]int32)}
	if s.end, err = readJournal(f, path, s); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *stock) file(a arrival) error {
	if !comesInBlocks(a.path) {
		return errRecord
	}
	k := kept{arrival: a, attempt: int32(len(s.attempts) - 1)}
	if i, ok := s.index[a.path]; ok {
		s.files[i] = k
		return nil
	}
	s.index[a.path] = int32(len(s.files))
	s.files = append(s.files, k)
	return nil
}

func (s *stock) forget(path string) error {
	delete(s.index, path)
	return nil
}

func (s *stock) attempt(a attempt) error {
	if n := len(s.attempts); n > 0 {
		switch first := &s.attempts[0]; {
		case a.systemID != first.systemID, a.major != first.major, a.blockSize != first.blockSize, a.algorithm != first.algorithm:
			return errRecord
		}
	}
	s.attempts = append(s.attempts, a)
	return nil
}

// last is the newest attempt, which has the places of all files. It may be nil.
func (s *stock) last() *attempt {
	if len(s.attempts) == 0 {
		return nil
	}
	return &s.attempts[len(s.attempts)-1]
}

func (s *stock) get(path string) *kept {
	if i, ok := s.index[path]; ok {
		return &s.files[i]
	}
	return nil
}

// each calls f for every file that can be used, in the order in which they came.
func (s *stock) each(f func(*kept) error) error {
	for i := range s.files {
		if j, ok := s.index[s.files[i].path]; !ok || int(j) != i {
			continue
		}
		if err := f(&s.files[i]); err != nil {
			return err
		}
	}
	return nil
}

func (s *stock) bytes() (n int64) {
	s.each(func(k *kept) error { n += k.size; return nil })
	return n
}

// reference is the attempt since whose start the server is to send what changed: the
// oldest one that brought a file which is still used.
//
// A file of an attempt has all changes of before that attempt's start, because the
// checkpoint there had written them, and of later ones an unknown part. Of each block that
// was changed from the reference's start up to the start of the new backup the server
// sends the state that it finds now, and every other block was last changed before the
// reference's start, so that it is here already. For files of younger attempts it
// sends more than is needed, which is again the state of now. Where a file was cut off
// since the reference's start, the server tells the shortest length that it had
// since then, and sends all blocks behind that, because whatever is there was written
// since. That is also what makes it right for a file that an attempt has changed in
// place: it is a file of that attempt. Changes since the start of the new backup are
// for the WAL to bring, as in every backup.
func (s *stock) reference() (a *attempt) {
	oldest := int32(len(s.attempts))
	s.each(func(k *kept) error { oldest = min(oldest, k.attempt); return nil })
	if int(oldest) == len(s.attempts) {
		return nil
	}
	return &s.attempts[oldest]
}

// newest is, by timeline, up to where in the WAL there are changes in the files.
func (s *stock) newest() map[uint32]lsn.LSN {
	at := make(map[uint32]lsn.LSN)
	s.each(func(k *kept) error {
		a := &s.attempts[k.attempt]
		at[a.timeline] = max(at[a.timeline], a.start, k.newest)
		return nil
	})
	return at
}

// upload writes the manifest of the files, which the server takes for that of a backup
// which started at since, on the timeline of the reference. It looks at the paths only.
func (s *stock) upload(w io.Writer, since lsn.LSN) error {
	a := s.reference()
	m := manifest.NewWriter(w, a.systemID)
	if err := s.each(func(k *kept) error { return m.Add(manifest.File{Path: k.path, Size: k.size}) }); err != nil {
		return err
	}
	return m.Close([]manifest.WALRange{{Timeline: a.timeline, Start: since, End: since}})
}

// recheck drops the files that are not as the journal has them: by size and content, or,
// where only this process can have changed them, by size and modification time. tell
// gets those, which come again then.
func (s *stock) recheck(ctx context.Context, r *roots, ours bool, tell func(path string) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	var mu sync.Mutex
	var wrong []string
	err := s.each(func(k *kept) error {
		g.Go(func() error {
			same, err := s.same(ctx, k, r, ours)
			if err != nil || same {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			wrong = append(wrong, k.path)
			return nil
		})
		return ctx.Err()
	})
	if waitErr := g.Wait(); waitErr != nil {
		return waitErr
	}
	if err != nil {
		return err
	}
	slices.Sort(wrong)
	for _, path := range wrong {
		if err := tell(path); err != nil {
			return err
		}
		delete(s.index, path)
	}
	return nil
}

func (s *stock) same(ctx context.Context, k *kept, r *roots, ours bool) (bool, error) {
	f, info, err := r.open(k.path, os.O_RDONLY)
	if err != nil {
		return false, nil // missing, or not a file: it comes again
	}
	defer f.Close()
	if info.Size() != k.size || ours && info.ModTime().UnixNano() != k.modTime {
		return false, nil
	}
	if ours {
		return true, nil
	}
	a := &s.attempts[k.attempt]
	sum, _, err := summarize(ctx, f, a.algorithm, a.blockSize)
	if err != nil {
		return false, fmt.Errorf("could not read file %q: %w", f.Name(), err)
	}
	return bytes.Equal(sum, k.checksum), nil
}

// summarize reads a file for its checksum and for its newest page.
func summarize(ctx context.Context, in io.Reader, algorithm manifest.ChecksumAlgorithm, blockSize int) ([]byte, lsn.LSN, error) {
	hash := algorithm.New()
	pages := newestPage{blockSize: blockSize}
	buf := make([]byte, 256<<10)
	for {
		if ctx.Err() != nil {
			return nil, 0, context.Cause(ctx)
		}
		n, err := in.Read(buf)
		hash.Write(buf[:n])
		pages.write(buf[:n])
		if err == io.EOF {
			return hash.Sum(nil), pages.newest, nil
		}
		if err != nil {
			return nil, 0, err
		}
	}
}

// megabytes is a size as it is told.
func megabytes(n int64) string {
	switch {
	case n >= 10<<30:
		return fmt.Sprintf("%d GB", n>>30)
	case n >= 10<<20:
		return fmt.Sprintf("%d MB", n>>20)
	}
	return fmt.Sprintf("%d kB", n>>10)
}
