package verify

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/manifest"
	"github.com/pgbasin/pgbasin/pgdata"
	"github.com/pgbasin/pgbasin/tarstream"
	"github.com/pgbasin/pgbasin/wal"
)

// archive is one of the tar files of a backup in tar format.
type archive struct {
	name      string // of the file
	oid       uint32 // of the tablespace; 0 if it is another archive
	algorithm codec.Algorithm
	size      int64 // bytes, as stored
}

// prefix stands in front of the names of the archive's members.
func (a *archive) prefix() string {
	if a.oid == 0 {
		return ""
	}
	return tarstream.TablespaceDir + "/" + strconv.FormatUint(uint64(a.oid), 10) + "/"
}

// parseArchiveName understands the names that pg_basebackup gives to archives.
// isWAL is true for that of pg_wal.
func parseArchiveName(name string) (a archive, isWAL, ok bool) {
	a.name = name
	suffix := ""
	switch digits := len(name) - len(strings.TrimLeft(name, "0123456789")); {
	case strings.HasPrefix(name, "base"):
		suffix = name[len("base"):]
	case strings.HasPrefix(name, "pg_wal"):
		suffix, isWAL = name[len("pg_wal"):], true
	case digits > 0:
		oid, err := strconv.ParseUint(name[:digits], 10, 32)
		if err != nil || oid == 0 {
			return a, false, false
		}
		a.oid, suffix = uint32(oid), name[digits:]
	}
	switch suffix {
	case ".tar":
	case ".tgz", ".tar.gz":
		a.algorithm = codec.Gzip
	case ".tar.lz4":
		a.algorithm = codec.LZ4
	case ".tar.zst":
		a.algorithm = codec.Zstd
	default:
		return a, false, false
	}
	return a, isWAL, true
}

// runTar verifies a backup in tar format.
func (v *verifier) runTar(ctx context.Context) error {
	archives, err := v.listArchives()
	if err != nil {
		return err
	}
	if v.o.PageChecksums {
		// The control file comes last. Nearly all clusters have the sizes that
		// are the default.
		v.pages = newPageChecker(nil, v.start())
	}
	v.read(0)
	t := &tarVerifier{verifier: v}
	if err := v.eachArchive(ctx, archives, t.readArchive); err != nil {
		return err
	}
	v.finished()
	// What was in the rest of a broken archive is not missing, but not known.
	if !t.broken {
		if err := v.reportMissing(); err != nil {
			return err
		}
	}
	if err := v.checkPagesAgain(ctx, archives); err != nil {
		return err
	}
	if err := v.checkWAL(ctx); err != nil {
		return err
	}
	return v.conclude(ctx)
}

// eachArchive calls read for the archives, for several at a time.
func (v *verifier) eachArchive(ctx context.Context, archives []archive, read func(context.Context, *archive) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(v.o.jobs())
	for i := range archives {
		group.Go(func() error { return read(ctx, &archives[i]) })
	}
	return group.Wait()
}

// checkPagesAgain reads the archives again if the control file has turned out to
// be that of a cluster with other sizes than the default ones.
func (v *verifier) checkPagesAgain(ctx context.Context, archives []archive) error {
	if v.pages == nil {
		return nil
	}
	if err := v.checkPageSizes(); err != nil || v.pages.fits(v.control) {
		return err
	}
	v.pages = newPageChecker(v.control, v.start())
	return v.eachArchive(ctx, archives, func(ctx context.Context, a *archive) error {
		return v.readMembers(ctx, a, &pageMembers{v: v, a: a}, func(int64) {})
	})
}

// pageMembers checks the pages of an archive's members.
type pageMembers struct {
	v     *verifier
	a     *archive
	pages *pageFile
}

// Member implements tarstream.Visitor.
func (m *pageMembers) Member(h *tarstream.Header) error {
	name := path.Clean(m.a.prefix() + h.Name)
	m.pages = nil
	if h.Type == tarstream.Regular && !m.v.ignore.has(name) {
		m.pages = m.v.pages.file(name, m.a.name, 0)
	}
	return nil
}

// Content implements tarstream.Visitor.
func (m *pageMembers) Content(p []byte) error {
	m.pages.write(p)
	return nil
}

// EndMember implements tarstream.Visitor.
func (m *pageMembers) EndMember() error {
	m.pages.close()
	return nil
}

// tarVerifier is what the readers of the archives share.
type tarVerifier struct {
	*verifier
	index sync.Mutex // guards the index's flags, matchedFiles and broken

	broken bool // an archive was not read to its end
}

// listArchives looks through the backup's directory.
func (v *verifier) listArchives() ([]archive, error) {
	dir, err := os.Open(v.dir)
	if err != nil {
		return nil, fmt.Errorf("could not open directory \"%s\": %w", v.dir, systemError(err))
	}
	defer dir.Close()
	var archives []archive
	for {
		names, err := dir.Readdirnames(batch)
		for _, name := range names {
			if v.ignore.has(name) {
				continue
			}
			a, isWAL, problem := v.lookAtArchive(name)
			switch {
			case problem != nil:
				if err := v.problem(problem); err != nil {
					return nil, err
				}
			case isWAL:
				v.walArchive = &a
			default:
				archives = append(archives, a)
				v.progress.Total += a.size
			}
		}
		if err == io.EOF {
			slices.SortFunc(archives, func(a, b archive) int { return strings.Compare(a.name, b.name) })
			return archives, nil
		}
		if err != nil {
			return nil, fmt.Errorf("could not read directory \"%s\": %w", v.dir, systemError(err))
		}
	}
}

// lookAtArchive tells which archive a file is, or what is wrong with it.
func (v *verifier) lookAtArchive(name string) (a archive, isWAL bool, problem *Problem) {
	info, err := os.Stat(v.dir + "/" + name)
	switch {
	case err != nil:
		return a, false, &Problem{Kind: Unreadable, Path: name, Err: systemError(err), action: "could not stat file or directory"}
	case !info.Mode().IsRegular():
		return a, false, &Problem{Kind: NotRegular, Path: name, Archive: name}
	}
	a, isWAL, ok := parseArchiveName(name)
	if !ok {
		return a, false, &Problem{Kind: Unexpected, Path: name}
	}
	a.size = info.Size()
	return a, isWAL, nil
}

// open returns what the archive holds, decompressed.
func (v *verifier) open(a *archive, read func(int64)) (io.ReadCloser, error) {
	f, err := os.Open(v.dir + "/" + a.name)
	if err != nil {
		return nil, &Problem{Kind: Unreadable, Path: a.name, Err: systemError(err), action: "could not open file"}
	}
	z, err := codec.NewReader(&counted{f, read}, a.algorithm)
	if err != nil {
		f.Close()
		return nil, err
	}
	return &opened{z, f}, nil
}

type opened struct {
	*codec.Reader
	file *os.File
}

func (o *opened) Close() error { return errors.Join(o.Reader.Close(), o.file.Close()) }

// counted tells how much is read.
type counted struct {
	r    io.Reader
	read func(int64)
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.read(int64(n))
	return n, err
}

// readArchive compares the members of an archive with the manifest.
func (t *tarVerifier) readArchive(ctx context.Context, a *archive) error {
	m := &members{t: t, a: a, ctx: ctx}
	err := t.readMembers(ctx, a, m, t.read)
	var problem *Problem
	switch {
	case err == nil:
		return nil
	case m.fatal != nil:
		return m.fatal
	case context.Cause(ctx) != nil:
		return context.Cause(ctx)
	case !errors.As(err, &problem):
		problem = &Problem{Kind: BrokenArchive, Path: a.name, Archive: a.name, Err: systemError(err)}
	}
	t.index.Lock()
	t.broken = true
	t.index.Unlock()
	return t.problem(problem)
}

// foundMember counts a file where there is no manifest.
func (v *verifier) foundMember() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.report.Files++
}

// ignoredMember notes an archive that has WAL in it.
func (v *verifier) ignoredMember(a *archive, path string) {
	if name, ok := strings.CutPrefix(path, "pg_wal/"); ok && wal.IsSegmentName(name) {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.fetchedWAL = a
	}
}

// readMembers reads all of an archive. read is told of each piece of the file.
func (v *verifier) readMembers(ctx context.Context, a *archive, visit tarstream.Visitor, read func(int64)) error {
	src, err := v.open(a, read)
	if err != nil {
		return err
	}
	defer src.Close()
	p := tarstream.NewLenientParser(visit, tarstream.LenientOptions{Unterminated: true})
	if _, err := io.Copy(&cancelable{ctx, p}, src); err != nil {
		return err
	}
	return p.Close()
}

// cancelable is a writer that ends with a context.
type cancelable struct {
	ctx context.Context
	w   io.Writer
}

func (c *cancelable) Write(p []byte) (int, error) {
	if err := context.Cause(c.ctx); err != nil {
		return 0, err
	}
	return c.w.Write(p)
}

// maxKept is more than a control file and a backup_label have, in bytes.
const maxKept = 2 * pgdata.ControlSize

// members looks at the members of one archive.
type members struct {
	t     *tarVerifier
	a     *archive
	ctx   context.Context
	fatal error // that ends more than the archive

	path   string // of the current member; "" if nothing is to be done with it
	said   indexed
	flags  flags
	sum    hash.Hash // nil = not to be compared
	hashes [manifest.SHA512 + 1]hash.Hash
	keep   bool   // the content is wanted whole, for what it says
	kept   []byte // of it
	pages  *pageFile
	buf    []byte
	size   int64
}

// Member implements tarstream.Visitor.
func (m *members) Member(h *tarstream.Header) error {
	m.path, m.sum, m.keep, m.pages = "", nil, false, nil
	if h.Type != tarstream.Regular {
		return nil
	}
	name := path.Clean(m.a.prefix() + h.Name)
	if m.t.ignore.has(name) {
		m.t.ignoredMember(m.a, name)
		return nil
	}
	if m.t.report.NoManifest {
		m.path, m.size = name, h.Size
		m.t.foundMember()
		m.pages = m.t.pages.file(name, m.a.name, 0)
		m.keep = name == pgdata.ControlFile || name == pgdata.LabelFile
		m.kept = m.kept[:0]
		return nil
	}
	m.t.index.Lock()
	said, fl := m.t.verifier.index.find(name)
	if said != nil {
		if *fl&matched == 0 {
			*fl |= matched
			m.t.matchedFiles++
		}
		if said.size != h.Size {
			*fl |= bad
		}
		m.said, m.flags = *said, *fl
	}
	m.t.index.Unlock()
	switch {
	case said == nil:
		return m.report(&Problem{Kind: Extra, Path: name, Archive: m.a.name, name: h.Name})
	case m.said.size != h.Size:
		return m.report(&Problem{Kind: SizeDiffers, Path: name, Archive: m.a.name, name: h.Name, Size: h.Size, ManifestSize: m.said.size})
	}
	m.path, m.size = name, h.Size
	if algorithm := m.flags.algorithm(); algorithm != manifest.None && !m.t.o.SkipChecksums {
		if m.hashes[algorithm] == nil {
			m.hashes[algorithm] = algorithm.New()
		}
		m.sum = m.hashes[algorithm]
		m.sum.Reset()
	}
	m.pages = m.t.pages.file(name, m.a.name, 0)
	m.keep = name == pgdata.ControlFile
	m.kept = m.kept[:0]
	return nil
}

// Content implements tarstream.Visitor.
func (m *members) Content(p []byte) error {
	if m.sum != nil {
		m.sum.Write(p)
	}
	m.pages.write(p)
	if m.keep {
		m.kept = append(m.kept, p[:min(len(p), maxKept-len(m.kept))]...)
	}
	return nil
}

// EndMember implements tarstream.Visitor.
func (m *members) EndMember() error {
	m.pages.close()
	if m.sum != nil {
		m.buf = m.sum.Sum(m.buf[:0])
		m.t.compared(m.size)
		if problem := m.t.compare(m.said, m.flags, m.buf); problem != nil {
			problem.Path, problem.Archive = m.path, m.a.name
			if err := m.report(problem); err != nil {
				return err
			}
		}
	}
	switch {
	case !m.keep:
	case m.path == pgdata.LabelFile:
		m.t.readLabel(m.kept)
	default:
		m.fatal = m.checkControl()
	}
	return m.fatal
}

func (m *members) checkControl() error {
	if m.t.report.ManifestVersion != 2 {
		// The manifest's checksum tells that it is damaged, or what is wanted
		// from it is told not to be there.
		_ = m.t.checkControl(m.kept, m.path, m.a.name)
		return nil
	}
	if m.size != pgdata.ControlSize {
		return fmt.Errorf("unexpected control file size %d, expected %d", m.size, pgdata.ControlSize)
	}
	return m.t.checkControl(m.kept, m.path, m.a.name)
}

// report reports a problem; its error is not the archive's.
func (m *members) report(p *Problem) error {
	m.fatal = m.t.problem(p)
	return m.fatal
}
