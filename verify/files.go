package verify

import (
	"context"
	"errors"
	"hash"
	"hash/crc32"
	"io"
	"math"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/pgbasin/pgbasin/manifest"
)

const (
	// readSize is how much is read at once, in bytes. It is a multiple of every
	// size that pages can have.
	readSize = 256 << 10
	// defaultPartSize is how much of a large file one goroutine reads, so that the last
	// file does not keep only one of them busy. It is a multiple of readSize.
	defaultPartSize = 64 << 20
	// maxBatch is how many small files are handed to a goroutine at once, and
	// batchSize how many bytes.
	maxBatch  = 64
	batchSize = 1 << 20
)

// file is one whose content is compared with the manifest.
type file struct {
	path  string
	said  indexed // by the manifest
	flags flags

	sum    bool     // its checksum is compared
	parts  int      // in which it is read
	crcs   []uint32 // of the parts, if there are several
	left   atomic.Int32
	read   atomic.Int64
	failed atomic.Bool
}

// part is what one goroutine reads of a file.
type part struct {
	*file
	number int
}

// readFiles compares the content of all files that are there, and have the right
// size, with the manifest.
func (v *verifier) readFiles(ctx context.Context) error {
	v.read(0)
	group, ctx := errgroup.WithContext(ctx)
	jobs := v.o.jobs()
	batches := make(chan []part, 2*jobs)
	group.Go(func() error {
		defer close(batches)
		return v.listFiles(ctx, batches)
	})
	for range jobs {
		group.Go(func() error {
			w := &reader{v: v, buf: make([]byte, readSize)}
			for batch := range batches {
				for _, p := range batch {
					if err := w.readPart(ctx, p); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	v.finished()
	return nil
}

// listFiles sends the parts of all files that are to be read, many small ones at
// once.
func (v *verifier) listFiles(ctx context.Context, batches chan<- []part) error {
	var batch []part
	var size int64
	send := func() error {
		select {
		case batches <- batch:
			batch, size = make([]part, 0, maxBatch), 0
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	err := v.eachToRead(ctx, func(f *file) error {
		if f.said.size > 2*v.partSize && (!f.sum || f.flags.algorithm() == manifest.CRC32C) {
			f.parts = int((f.said.size + v.partSize - 1) / v.partSize)
			f.crcs = make([]uint32, f.parts)
		}
		f.left.Store(int32(f.parts))
		for i := range f.parts {
			batch, size = append(batch, part{f, i}), size+min(f.said.size, v.partSize)
			if len(batch) == maxBatch || size >= batchSize {
				if err := send(); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return send()
}

// eachToRead calls emit for the files that are to be read: those of the manifest,
// or without one those that have pages.
func (v *verifier) eachToRead(ctx context.Context, emit func(*file) error) error {
	if v.report.NoManifest {
		v.list = func(f *file) error {
			if v.pages.file(f.path, "", 0) == nil {
				return nil
			}
			return emit(f)
		}
		return v.walk(ctx)
	}
	_, err := v.eachFile(func(m *manifest.File) error {
		said, flags := v.index.find(m.Path)
		switch {
		case flags == nil:
			return errManifestChanged
		case *flags&(matched|bad|ignored) != matched || v.ignore.has(m.Path):
			return nil
		}
		f := &file{path: m.Path, said: *said, flags: *flags, parts: 1}
		f.sum = f.flags.algorithm() != manifest.None && !v.o.SkipChecksums
		if !f.sum && v.pages.file(f.path, "", 0) == nil {
			return nil
		}
		return emit(f)
	})
	return err
}

// reader is one goroutine that reads files.
type reader struct {
	v      *verifier
	buf    []byte
	hashes [manifest.SHA512 + 1]hash.Hash
	sum    []byte
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// readPart reads a part of a file, and judges the file if it was the last one
// to be read.
func (w *reader) readPart(ctx context.Context, p part) error {
	err := w.sumPart(ctx, p)
	var problem *Problem
	switch {
	case errors.As(err, &problem):
		if !p.failed.Swap(true) {
			if err := w.v.problem(problem); err != nil {
				return err
			}
		}
	case err != nil:
		return err
	}
	if p.left.Add(-1) > 0 || p.failed.Load() {
		return nil
	}
	return w.judge(p.file)
}

// sumPart reads a part, computes its checksum, in p.crcs or else in w.sum, and
// checks its pages.
func (w *reader) sumPart(ctx context.Context, p part) error {
	unreadable := func(action string, err error) error {
		return &Problem{Kind: Unreadable, Path: p.path, Err: systemError(err), action: action}
	}
	f, err := openSource(w.v.dir + "/" + p.path)
	if err != nil {
		return unreadable("could not open file", err)
	}
	defer f.close()
	from, to := int64(p.number)*w.v.partSize, int64(math.MaxInt64)
	if p.number < p.parts-1 {
		to = from + w.v.partSize
	}
	var sum hash.Hash
	if p.sum && p.crcs == nil {
		sum = w.hash(p.flags.algorithm())
	}
	pages := w.v.pages.file(p.path, "", from)
	defer pages.close()
	var crc uint32
	for at := from; at < to; {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		n, err := f.readAt(w.buf[:min(int64(len(w.buf)), to-at)], at)
		b := w.buf[:n]
		switch {
		case sum != nil:
			sum.Write(b)
		case p.sum:
			crc = crc32.Update(crc, castagnoli, b)
		}
		pages.write(b)
		at += int64(n)
		p.read.Add(int64(n))
		w.v.read(int64(n))
		if err == io.EOF {
			break
		}
		if err != nil {
			return unreadable("could not read file", err)
		}
	}
	if p.crcs != nil {
		p.crcs[p.number] = crc
	} else if sum != nil {
		w.sum = sum.Sum(w.sum[:0])
	}
	return nil
}

// hash returns the hash for an algorithm, empty.
func (w *reader) hash(a manifest.ChecksumAlgorithm) hash.Hash {
	if w.hashes[a] == nil {
		w.hashes[a] = a.New()
	}
	w.hashes[a].Reset()
	return w.hashes[a]
}

// judge compares the checksum of a file that was read whole.
func (w *reader) judge(f *file) error {
	if n := f.read.Load(); n != f.said.size {
		return w.v.problem(&Problem{Kind: ReadSizeDiffers, Path: f.path, Size: n, ManifestSize: f.said.size})
	}
	if !f.sum {
		return nil
	}
	w.v.compared(f.said.size)
	if f.crcs != nil {
		crc := f.crcs[0]
		for i, next := range f.crcs[1:] {
			length := min(w.v.partSize, f.said.size-int64(i+1)*w.v.partSize)
			crc = combineCRC(crc, next, length)
		}
		w.sum = append(w.sum[:0], byte(crc), byte(crc>>8), byte(crc>>16), byte(crc>>24))
	}
	if problem := w.v.compare(f.said, f.flags, w.sum); problem != nil {
		problem.Path = f.path
		return w.v.problem(problem)
	}
	return nil
}

// compare compares a file's checksum with the manifest's. It returns nil if they
// are the same.
func (v *verifier) compare(said indexed, fl flags, sum []byte) *Problem {
	if fl&oddLength != 0 {
		return &Problem{Kind: ChecksumLength, Length: int(said.sum), LengthWanted: len(sum)}
	}
	if v.index.sum(sum) != said.sum {
		return &Problem{Kind: ChecksumDiffers}
	}
	return nil
}
