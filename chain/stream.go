package chain

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/pgbasin/pgbasin/backupset"
	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/incremental"
	"github.com/pgbasin/pgbasin/tarstream"
)

// stream puts the files of one archive together while the backups pass, the
// newest first.
type stream struct {
	*Chain
	out      *output
	temp     scratch
	pending  *pending
	record   record // of the file that was looked up last
	composer composer
	tars     map[tarKey]*tarFile
	opened   map[int32]layer // sources of the file that is being put together
	control  []byte          // of the newest backup, which comes last
	header   tarstream.Header
}

// tarKey is an archive: the number of the backup, and the index there.
type tarKey struct{ backup, archive int }

// tarFile is an uncompressed tar that blocks are read from.
type tarFile struct {
	f    *os.File
	info os.FileInfo
}

// readStream reads an archive when not all backups are data directories.
func (c *Chain) readStream(ctx context.Context, a *backupset.Archive, v tarstream.Visitor) (err error) {
	b := c.last()
	if !b.take(a) {
		return fmt.Errorf("archive %q of backup %q was read before", a.Name, b.path)
	}
	if a.Kind == backupset.WAL {
		return b.set.Read(ctx, a, v) // no manifest lists it
	}
	s := &stream{Chain: c, out: newOutput(v, c.o.Checksums), tars: map[tarKey]*tarFile{}}
	s.temp.dir = c.o.TempDir
	s.record.plan = &plan{}
	s.composer = composer{blockSize: int64(c.layout.BlockSize), buf: make([]byte, readSize), emit: s.out.content, read: s.readSource}
	defer func() {
		if closeErr := s.close(); err == nil {
			err = closeErr
		}
	}()
	if s.pending, err = newPending(&s.temp); err != nil {
		return err
	}
	if err := s.pass(ctx, b, a, passOptions{}); err != nil {
		return err
	}
	for i := len(c.backups) - 2; i >= 0; i-- {
		if err := s.older(ctx, c.backups[i], a); err != nil {
			return err
		}
	}
	if err := s.unchanged(); err != nil {
		return err
	}
	if s.control != nil {
		return s.out.file(&s.header, s.control)
	}
	return nil
}

// older reads what an older backup has of the archive.
func (s *stream) older(ctx context.Context, b *backup, a *backupset.Archive) error {
	if s.o.NoVerify && s.pending.waiting() == 0 {
		return nil
	}
	switch counterpart := b.set.Archive(a.Kind, a.OID); {
	case counterpart != nil:
		if err := s.pass(ctx, b, counterpart, passOptions{}); err != nil {
			return err
		}
	case s.pending.waiting() > 0:
		// The tablespace may be in the data directory there.
		o := passOptions{below: prefix(a), again: true}
		if err := s.pass(ctx, b, b.set.Data(), o); err != nil {
			return err
		}
	}
	if a.Kind == backupset.Data {
		// And what is in the data directory here may be in an archive there.
		for i := range b.set.Archives {
			other := &b.set.Archives[i]
			if other.Kind == backupset.Tablespace && s.last().set.Archive(backupset.Tablespace, other.OID) == nil {
				if err := s.pass(ctx, b, other, passOptions{}); err != nil {
					return err
				}
			}
		}
	}
	if s.pending.waiting() == 0 {
		return nil
	}
	missing, err := s.pending.unfound(b.number)
	if err == nil && missing != "" {
		err = missingError(b, missing)
	}
	return err
}

// passOptions say how an archive is read.
type passOptions struct {
	below string // only members below it count
	again bool   // the archive is also read for itself, and compared with its manifest then
}

// pass reads an archive of a backup.
func (s *stream) pass(ctx context.Context, b *backup, a *backupset.Archive, o passOptions) error {
	if !o.again && b != s.last() && !b.take(a) {
		return fmt.Errorf("archive %q of backup %q was read before", a.Name, b.path)
	}
	m := &members{stream: s, b: b, prefix: prefix(a), passOptions: o, sums: b.summer(), at: -1}
	for i := range b.set.Archives {
		if &b.set.Archives[i] == a {
			m.archive = i
		}
	}
	if b.set.Form != backupset.Plain && a.Compression == codec.None {
		t, err := openTar(a.Path())
		if err != nil {
			return err
		}
		s.tars[tarKey{b.number, m.archive}] = t
	}
	return b.set.Read(ctx, a, m)
}

func openTar(path string) (*tarFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("could not open file %q: %w", path, err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("could not stat file %q: %w", path, err)
	}
	return &tarFile{f, info}, nil
}

// unchanged sees that the tars are what they were when they were opened.
func (s *stream) unchanged() error {
	for _, t := range s.tars {
		info, err := t.f.Stat()
		if err != nil {
			return fmt.Errorf("could not stat file %q: %w", t.f.Name(), err)
		}
		if err := sameFile(t.f.Name(), t.info.Size(), t.info.ModTime(), info); err != nil {
			return err
		}
	}
	return nil
}

func (s *stream) close() error {
	s.closeSources()
	for _, t := range s.tars {
		t.f.Close()
	}
	return s.temp.close()
}

// readSource reads blocks of the file that is being put together.
func (s *stream) readSource(n int32, p []byte, at int64) error {
	src := &s.record.plan.sources[n]
	var err error
	switch src.kind {
	case inScratch:
		_, err = s.temp.ReadAt(p, at)
		return noEOF(err)
	case inTar:
		t := s.tars[tarKey{src.backup, src.archive}]
		if _, err = t.f.ReadAt(p, at); err != nil {
			err = fmt.Errorf("could not read file %q: %w", t.f.Name(), noEOF(err))
		}
		return err
	}
	l, err := s.openSource(n, src)
	if err != nil {
		return err
	}
	if _, err := l.f.ReadAt(p, at); err != nil {
		return fmt.Errorf("could not read file %q: %w", l.path, noEOF(err))
	}
	return nil
}

// openSource opens an incremental file of a data directory again, if it is what
// it was when it passed.
func (s *stream) openSource(n int32, src *source) (layer, error) {
	if l, ok := s.opened[n]; ok {
		return l, nil
	}
	files, name, err := s.backups[src.backup].locate(incremental.Name(s.record.path))
	if err != nil {
		return layer{}, err
	}
	f, info, err := files.Open(name)
	if err != nil {
		return layer{}, err
	}
	l := layer{f, info, files.Path(name)}
	if s.opened == nil {
		s.opened = map[int32]layer{}
	}
	s.opened[n] = l
	return l, sameFile(l.path, src.size, src.modified, info)
}

// closeSources ends the reading of incremental files for one file. They may have
// been written to meanwhile.
func (s *stream) closeSources() error {
	var err error
	for n, l := range s.opened {
		err = errors.Join(err, l.unchanged())
		l.f.Close()
		delete(s.opened, n)
	}
	return err
}
