package verify

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/pgdata"
	"github.com/pgbasin/pgbasin/wal"
)

// PageReport is what the checksums of pages told.
//
// A server writes to its files while they are copied, so that a copy may have
// pages that were written half: their checksums are wrong, and nothing is wrong
// with the backup, because the first change of a page after the backup's start
// puts all of the page into WAL, and recovery begins with that. A page with a
// wrong checksum is therefore good if the backup's WAL has an image of it, or
// makes it anew. Without that WAL a page whose last change is not older than the
// backup's start cannot be judged, and any other one is taken to be broken; this
// is what the server goes by when it checks the pages that it sends
// (basebackup.c), except that it reads them again first.
type PageReport struct {
	Enabled  bool  // the cluster has page checksums; else the rest is 0
	Checked  int64 // pages
	New      int64 // of them without content and so without a checksum
	Replaced int64 // with a wrong checksum, of which WAL has an image
	Unknown  int64 // with a wrong checksum, which could not be judged without WAL
	Broken   int64
}

// maxSuspects is how many pages with wrong checksums are kept to be looked for
// in WAL. There are few in a backup that is good: as many as the server was
// writing at the moment that they were read.
const maxSuspects = 1 << 14

// What a cluster has unless its server was built otherwise.
const (
	defaultBlockSize = 8192
	defaultSegment   = 131072 // blocks in a file of a relation

	minBlockSize, maxBlockSize = 1 << 10, 32 << 10
)

// checksumsOn is pg_control's data_checksum_version when all pages have
// checksums. A server that is just turning them on has another one.
const checksumsOn = 1

// pageID names a page as WAL does.
type pageID struct {
	tablespace, database, relation uint32
	fork                           uint8
	block                          uint32
}

// suspect is a page with a wrong checksum.
type suspect struct {
	path, archive    string
	block            uint32 // in the file
	changed          lsn.LSN
	computed, stored uint16
	cut              bool // the file ends within it
}

// pageChecker checks the pages of all files of a backup.
type pageChecker struct {
	blockSize  int    // bytes
	perSegment int    // blocks in a file of a relation
	zero       []byte // a page

	mu       sync.Mutex
	report   PageReport
	suspects map[pageID]suspect
	more     []suspect // beyond the limit; only as many as are reported
	moreNew  int64     // and how many there are: changed before the start of the backup, or not
	moreOld  int64
	start    lsn.LSN // of the backup
}

func newPageChecker(control *pgdata.Control, start lsn.LSN) *pageChecker {
	c := &pageChecker{blockSize: defaultBlockSize, perSegment: defaultSegment, start: start, suspects: map[pageID]suspect{}}
	if control != nil {
		c.blockSize, c.perSegment = int(control.BlockSize), int(control.RelSegSize)
	}
	c.zero = make([]byte, c.blockSize)
	return c
}

// checkPageSizes says why the control file does not tell enough to check pages.
func (v *verifier) checkPageSizes() error {
	const cannot = "page checksums cannot be checked: \"" + pgdata.ControlFile + "\" "
	c := v.control
	switch {
	case c == nil:
		return errors.New(cannot + "is missing or damaged")
	case !c.Complete:
		return fmt.Errorf(cannot+"has version %d, which is not known", c.PGControlVersion)
	case c.BlockSize < minBlockSize || c.BlockSize > maxBlockSize || c.BlockSize&(c.BlockSize-1) != 0 || c.RelSegSize == 0:
		return fmt.Errorf(cannot+"tells of blocks of %d bytes, and of %d in a file", c.BlockSize, c.RelSegSize)
	}
	return nil
}

// setStart tells where the backup started, if that was not known before.
func (c *pageChecker) setStart(start lsn.LSN) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.start = start
}

// fits tells whether the checker has worked with the sizes of that cluster.
func (c *pageChecker) fits(control *pgdata.Control) bool {
	return c.blockSize == int(control.BlockSize) && c.perSegment == int(control.RelSegSize)
}

// pageFile checks the pages of one file, or of a part of it.
type pageFile struct {
	*pageChecker
	relationFile
	path, archive string

	next    uint32 // number in the file of the page that comes next
	rest    []byte // of a page that has not come to its end
	counted PageReport
}

// file returns a checker for a file, which begins with the page that is at
// offset in bytes; nil if the file has no pages.
func (c *pageChecker) file(path, archive string, offset int64) *pageFile {
	if c == nil {
		return nil
	}
	f, ok := parseRelationFile(path)
	if !ok {
		return nil
	}
	return &pageFile{pageChecker: c, relationFile: f, path: path, archive: archive, next: uint32(offset / int64(c.blockSize))}
}

// write takes the next bytes of the file. It may be called for nil.
func (f *pageFile) write(p []byte) {
	if f == nil {
		return
	}
	if len(f.rest) > 0 {
		n := min(len(p), f.blockSize-len(f.rest))
		f.rest = append(f.rest, p[:n]...)
		if p = p[n:]; len(f.rest) < f.blockSize {
			return
		}
		f.page(f.rest)
		f.rest = f.rest[:0]
	}
	for ; len(p) >= f.blockSize; p = p[f.blockSize:] {
		f.page(p[:f.blockSize])
	}
	f.rest = append(f.rest, p...)
}

// close ends the file. It may be called for nil.
func (f *pageFile) close() {
	if f == nil {
		return
	}
	if len(f.rest) > 0 {
		s := suspect{cut: true}
		if len(f.rest) >= pageHeaderSize {
			s.changed = pageLSN(f.rest)
		}
		f.suspect(s)
		f.counted.Checked++
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.report.Checked += f.counted.Checked
	f.report.New += f.counted.New
}

func pageLSN(page []byte) lsn.LSN {
	return lsn.LSN(uint64(binary.LittleEndian.Uint32(page[pageLSNHigh:]))<<32 | uint64(binary.LittleEndian.Uint32(page[pageLSNLow:])))
}

// page checks one page.
func (f *pageFile) page(page []byte) {
	f.counted.Checked++
	stored := binary.LittleEndian.Uint16(page[pageSumOffset:])
	if binary.LittleEndian.Uint16(page[pageUpper:]) == 0 && bytes.Equal(page, f.zero) {
		f.counted.New++
	} else if computed := pageChecksum(page, f.number()); computed != stored {
		f.suspect(suspect{changed: pageLSN(page), computed: computed, stored: stored})
	}
	f.next++
}

// number is that of the next page in its relation.
func (f *pageFile) number() uint32 { return f.segment*uint32(f.perSegment) + f.next }

// suspect notes that the next page has a wrong checksum.
func (f *pageFile) suspect(s suspect) {
	s.path, s.archive, s.block = f.path, f.archive, f.next
	id := pageID{f.tablespace, f.database, f.relation, f.fork, f.number()}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case len(f.suspects) < maxSuspects:
		f.suspects[id] = s
	case s.changed >= f.start:
		f.moreNew++
	default:
		f.moreOld++
		if len(f.more) < MaxProblems {
			f.more = append(f.more, s)
		}
	}
}

// judgePages reports the pages that are broken, after the WAL was checked.
func (v *verifier) judgePages(ctx context.Context) error {
	c := v.pages
	if c == nil {
		return nil
	}
	v.report.Pages = &c.report
	if c.report.Enabled = v.control.DataChecksumVersion == checksumsOn; !c.report.Enabled {
		c.report = PageReport{}
		return nil
	}
	allWAL := len(v.wal) > 0
	for _, w := range v.wal {
		allWAL = allWAL && w.Err == nil
	}
	if len(c.suspects) > 0 && len(v.wal) > 0 {
		if err := v.acquitPages(ctx); err != nil {
			return err
		}
	}
	broken := slices.SortedFunc(maps.Values(c.suspects), func(a, b suspect) int {
		if a.path != b.path {
			if a.path < b.path {
				return -1
			}
			return 1
		}
		return int(int64(a.block) - int64(b.block))
	})
	for _, s := range slices.Concat(broken, c.more) {
		// A server makes a free space map anew that it cannot read, and changes
		// it without WAL.
		id, _ := parseRelationFile(s.path)
		if s.changed >= c.start && (!allWAL || id.fork == fsmFork) || v.o.ShutDown && id.fork == fsmFork {
			c.report.Unknown++
			continue
		}
		c.report.Broken++
		if err := v.problem(s.problem(c)); err != nil {
			return err
		}
	}
	c.report.Unknown += c.moreNew
	c.report.Broken += c.moreOld - int64(len(c.more))
	return nil
}

func (s *suspect) problem(c *pageChecker) *Problem {
	p := &Problem{Kind: BrokenPage, Path: s.path, Archive: s.archive, Block: s.block, Computed: s.computed, Stored: s.stored}
	if s.cut {
		p.Err = fmt.Errorf("the file ends within the block of %d bytes", c.blockSize)
	}
	return p
}

// acquitPages looks for the suspects in all of the backup's WAL.
func (v *verifier) acquitPages(ctx context.Context) error {
	src, closeSource, err := v.walSource(ctx)
	if err != nil {
		return nil // checkWAL has said so
	}
	defer closeSource()
	for _, w := range v.wal {
		if err := v.pages.acquit(ctx, src, v.walOptions(w.WALRange)); err != nil {
			return err
		}
	}
	return nil
}

// acquit removes the suspects that a range of WAL has images of, or makes anew.
func (c *pageChecker) acquit(ctx context.Context, src wal.Source, o wal.ReaderOptions) error {
	reader := wal.NewReader(src, o)
	defer reader.Close()
	for n := 0; reader.Next() && len(c.suspects) > 0; n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		rec := reader.Record()
		if database, tablespace, ok := copiedDatabase(rec); ok {
			c.replaced(func(id pageID) bool { return id.database == database && id.tablespace == tablespace })
			continue
		}
		for b := range rec.Blocks() {
			if b.HasImage && b.ApplyImage || b.WillInit {
				id := pageID{b.Tablespace, b.Database, b.Relation, b.Fork, b.Number}
				if _, ok := c.suspects[id]; ok {
					delete(c.suspects, id)
					c.report.Replaced++
				}
			}
		}
	}
	return nil // checkWAL has told what is wrong with it
}

func (c *pageChecker) replaced(by func(pageID) bool) {
	for id := range c.suspects {
		if by(id) {
			delete(c.suspects, id)
			c.report.Replaced++
		}
	}
}

// Records of the resource manager for databases (dbcommands_xlog.h).
const (
	rmgrDatabase       = 4
	databaseCopied     = 0x00 // CREATE DATABASE that copies files; up to 14 the only way
	databaseInfoMask   = 0xf0
	databaseRecordSize = 16
)

// copiedDatabase tells whether a record makes recovery copy all files of a
// database from its template.
func copiedDatabase(rec *wal.Record) (database, tablespace uint32, ok bool) {
	if rec.RmgrID != rmgrDatabase || rec.Info&databaseInfoMask != databaseCopied || len(rec.MainData) < databaseRecordSize {
		return 0, 0, false
	}
	return binary.LittleEndian.Uint32(rec.MainData), binary.LittleEndian.Uint32(rec.MainData[4:]), true
}
