package chain

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/pgbasin/pgbasin/backupset"
	"github.com/pgbasin/pgbasin/incremental"
	"github.com/pgbasin/pgbasin/manifest"
	"github.com/pgbasin/pgbasin/pgdata"
	"github.com/pgbasin/pgbasin/tarstream"
)

// Options are what Open needs to know.
type Options struct {
	// Note is told what is odd and does no harm. It may be nil, and is called
	// from several goroutines at a time.
	Note func(message string)
	// Warn is told what the user must know. It may be nil.
	Warn func(Warning)
	// Progress is told how many more bytes of the backups were read, as they are
	// stored. It may be nil, and is called from several goroutines at a time.
	Progress func(n int)
	// TempDir is where temporary files go, which have no name where the system
	// allows that: of the blocks of incremental files in compressed tars, and of
	// what is known of very many files. It has to exist when Read is called.
	TempDir string
	// Checksums is the algorithm of what Summer is told.
	Checksums manifest.ChecksumAlgorithm
	// NoVerify leaves out the comparison with the manifests.
	NoVerify bool
	// Jobs is how many files Verify reads at a time; 0 means one for each
	// processor.
	Jobs int
}

// Warning is something that does not keep the chain from being read.
type Warning struct {
	Message string
	Hint    string // "" = none
}

// Chain is an open chain of backups. Reads of different archives may run at the
// same time; everything else is for one goroutine.
type Chain struct {
	o       Options
	backups []*backup // the oldest first
	layout  incremental.Layout
	head    backupset.Head
	direct  bool // all are data directories
}

// Open opens the backups, the oldest first; a single one must be a full backup.
// It reads what Set.Peek reads, or all of a compressed archive that has no manifest
// beside it, and checks that they follow one another. Errors are those of
// backupset.Open and Peek, a *CheckError among others.
func Open(ctx context.Context, paths []string, o Options) (*Chain, error) {
	if len(paths) == 0 {
		return nil, errors.New("no backups were given")
	}
	if len(paths) > maxBackups {
		return nil, fmt.Errorf("%d backups are too many for one chain", len(paths))
	}
	c := &Chain{o: o, layout: incremental.DefaultLayout, direct: true}
	if c.o.Jobs <= 0 {
		c.o.Jobs = runtime.GOMAXPROCS(0)
	}
	err := c.open(ctx, paths)
	if err == nil {
		err = c.check()
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func (c *Chain) open(ctx context.Context, paths []string) error {
	for i, path := range paths {
		set, err := backupset.Open(path, backupset.Options{Note: c.o.Note, Progress: c.progress})
		if err != nil {
			return err
		}
		b := &backup{set: set, path: path, number: i, temp: scratch{dir: c.o.TempDir}}
		c.backups = append(c.backups, b)
		c.direct = c.direct && set.Form == backupset.Plain
		if b.head, err = set.Peek(ctx); err != nil {
			if errors.Is(err, pgdata.ErrChecksum) {
				return failf("%s/%s: CRC is incorrect", path, backupset.ControlName)
			}
			return err
		}
		if b.head.SystemID == 0 || b.head.Version == 0 {
			// What tells them, and the manifest, is at the end of a compressed archive.
			d, err := set.Describe(ctx)
			if err != nil {
				return err
			}
			b.head = &d.Head
		}
	}
	c.head = *c.last().head
	if c.head.Label != nil {
		label := *c.head.Label
		label.IncrementalFromLSN, label.IncrementalFromTLI = 0, 0
		c.head.Label = &label
	}
	return nil
}

func (c *Chain) last() *backup { return c.backups[len(c.backups)-1] }

// Last is the newest backup. Its archives, its tablespaces and its WAL are those
// of the result.
func (c *Chain) Last() *backupset.Set { return c.last().set }

// Sets are the backups, the oldest first.
func (c *Chain) Sets() []*backupset.Set {
	var sets []*backupset.Set
	for _, b := range c.backups {
		sets = append(sets, b.set)
	}
	return sets
}

// Head is that of the newest backup, as if it were a full one: its version, system
// identifier and label are known. Sizes and numbers of files are of what is
// stored. The WAL ranges of its manifest are those of the result.
func (c *Chain) Head() *backupset.Head { return &c.head }

// Size is how many bytes Options.Progress will be told about, as far as that is
// known.
func (c *Chain) Size() int64 {
	var n int64
	for _, b := range c.backups {
		for i := range b.set.Archives {
			a := &b.set.Archives[i]
			switch {
			case b.set.Form == backupset.Plain:
				n += max(a.Content, 0)
			case a.Kind != backupset.WAL || b == c.last():
				n += max(a.Stored, 0)
			}
		}
	}
	return n
}

// Read passes the members of the whole backup to v that stand for an archive of
// the newest one: incremental files under the names of what they are for, put
// together; backup_label without the lines that tell an incremental backup; no
// manifest. global/pg_control comes last.
//
// A Visitor may also be a Summer and a Copier.
func (c *Chain) Read(ctx context.Context, a *backupset.Archive, v tarstream.Visitor) error {
	if c.direct {
		return c.readDirect(ctx, a, 1, func() tarstream.Visitor { return v })
	}
	return c.readStream(ctx, a, v)
}

// ReadFiles is Read for a reader that can take several files at a time: it makes
// a Visitor for each of the workers. The first one that it makes gets all
// directories and links, each before what is in it, and the first and the last
// files; the others get files alone. Backups that are not all data directories
// are read by one worker.
func (c *Chain) ReadFiles(ctx context.Context, a *backupset.Archive, workers int, visitor func() tarstream.Visitor) error {
	if c.direct {
		return c.readDirect(ctx, a, max(workers, 1), visitor)
	}
	return c.readStream(ctx, a, visitor())
}

// Summer is a Visitor that is told, before EndMember of each regular file, the
// file's checksum by Options.Checksums. It is computed once for a file that does
// not change. sum is valid during the call.
type Summer interface {
	Sum(sum []byte) error
}

// Copier is a Visitor that can do without the content of a file that is as it is
// in a data directory: after Member it is shown that file. If done, there are no
// calls of Content.
type Copier interface {
	CopyFile(h *tarstream.Header, src string) (done bool, err error)
}

// Close releases the backups.
func (c *Chain) Close() error {
	var err error
	for _, b := range c.backups {
		err = errors.Join(err, b.close())
	}
	return err
}

func (c *Chain) progress(n int) {
	if c.o.Progress != nil {
		c.o.Progress(n)
	}
}

func (c *Chain) warn(message, hint string) {
	if c.o.Warn != nil {
		c.o.Warn(Warning{message, hint})
	}
}
