package backupset

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/internal/durable"
	"github.com/pgbasin/pgbasin/pgdata"
	"github.com/pgbasin/pgbasin/tarstream"
)

// openTablespaces makes an archive of each tablespace that a link in pg_tblspc
// leads to and that belongs to the backup.
func (s *Set) openTablespaces(root *os.Root) error {
	entries, err := readDir(root, TablespaceDir)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a very old or a damaged directory; nothing leads anywhere
		}
		return err
	}
	// A tablespace_map comes with a backup that has its tablespaces elsewhere, in tar files. In a copy made by hand the links beside
	// it are those of the cluster that was copied, and what they lead to now is in use, or is what it became since.
	mapped := map[uint32]string{}
	if content, err := readSmall(root, TablespaceMapName, maxSmall); err == nil {
		if links, err := pgdata.ParseTablespaceMap(content); err == nil {
			for _, l := range links {
				mapped[l.OID] = l.Location
			}
		}
	}
	for _, e := range entries {
		oid, ok := pgdata.ParseOID(e.Name())
		if !ok || e.Type()&fs.ModeSymlink == 0 {
			continue
		}
		name := TablespaceDir + "/" + e.Name()
		target, err := root.Readlink(filepath.FromSlash(name))
		if err != nil {
			return fmt.Errorf("could not read symbolic link %q: %w", filepath.Join(s.Path, name), err)
		}
		path := target
		if !filepath.IsAbs(path) {
			path = filepath.Join(s.Path, TablespaceDir, path)
		}
		if location, ok := mapped[oid]; ok && filepath.Clean(location) == filepath.Clean(target) {
			s.absent = append(s.absent, absent{oid, target, "was copied as a link to the tablespace of the cluster, without what is in it"})
			continue
		}
		if info, err := os.Stat(path); err != nil || !info.IsDir() {
			reason := "is a link to what is not a directory"
			if err != nil {
				reason = "is a link that leads nowhere"
			}
			s.absent = append(s.absent, absent{oid, target, reason})
			continue
		}
		s.Archives = append(s.Archives, Archive{Kind: Tablespace, OID: oid, Name: name, Compression: codec.None, Stored: -1, Content: -1, path: path})
	}
	slices.SortFunc(s.Archives[1:], func(a, b Archive) int { return int(int64(a.OID) - int64(b.OID)) })
	return nil
}

// maxSmall bounds the files that are read whole, in bytes. A tablespace_map of a
// thousand tablespaces has 1 MB at most.
const maxSmall = 4 << 20

// readSmall reads a file of root whole, if it has no more than limit bytes.
func readSmall(root *os.Root, name string, limit int64) ([]byte, error) {
	f, info, err := openRegular(root, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info.Size() > limit {
		return nil, fmt.Errorf("file %q has %d bytes, which is too many", filepath.Join(root.Name(), name), info.Size())
	}
	b, err := io.ReadAll(io.LimitReader(f, limit))
	if err != nil {
		return nil, fmt.Errorf("could not read file %q: %w", filepath.Join(root.Name(), name), err)
	}
	return b, nil
}

// openRegular opens a regular file. One that has become something else since its
// directory was read is not opened for long: a FIFO would block.
func openRegular(root *os.Root, name string) (*os.File, fs.FileInfo, error) {
	return openRegularAt(root, name, filepath.Join(root.Name(), name))
}

// openRegularAt is openRegular for a root whose own name does not tell where it
// is: errors name path.
func openRegularAt(root *os.Root, name, path string) (*os.File, fs.FileInfo, error) {
	info, err := root.Lstat(filepath.FromSlash(name))
	if err == nil && !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%q is not a regular file", path)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("could not open file %q: %w", path, err)
	}
	f, err := root.OpenFile(filepath.FromSlash(name), os.O_RDONLY|durable.NoWait, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("could not open file %q: %w", path, err)
	}
	info, err = f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is not a regular file")
	}
	if err != nil {
		f.Close()
		return nil, nil, fmt.Errorf("could not open file %q: %w", path, err)
	}
	return f, info, nil
}

// readDir lists a directory of root, sorted by name.
func readDir(root *os.Root, name string) ([]fs.DirEntry, error) {
	d, err := root.Open(filepath.FromSlash(name))
	if err != nil {
		return nil, fmt.Errorf("could not open directory %q: %w", filepath.Join(root.Name(), name), err)
	}
	defer d.Close()
	entries, err := d.ReadDir(-1)
	if err != nil {
		return nil, fmt.Errorf("could not read directory %q: %w", filepath.Join(root.Name(), name), err)
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, nil
}

// walker presents what is below a directory as members. Names of one directory
// at a time are in memory.
type walker struct {
	ctx      context.Context
	root     *os.Root // that name is in
	v        tarstream.Visitor
	note     func(format string, args ...any)
	progress func(int)
	below    bool // root is not the data directory, and has no links
	// sizesOnly leaves out the contents, and the calls for them.
	sizesOnly bool
	// only are the members to be shown, below under; nil = all.
	only  selection
	under string
	// here is the directory that is walked, so that a file in it takes one step
	// to reach; nil = root.
	here *os.Root

	header tarstream.Header
	buf    []byte
}

// walkBuffer is how much of a file is read at once, in bytes.
const walkBuffer = 256 << 10

// readPlain walks one archive of a plain backup.
func (s *Set) readPlain(ctx context.Context, a *Archive, v tarstream.Visitor, sizesOnly bool) error {
	note := s.note
	if sizesOnly {
		note = func(string, ...any) {}
	}
	return s.walk(ctx, a, v, walker{sizesOnly: sizesOnly, note: note})
}

// walk walks an archive as w says.
func (s *Set) walk(ctx context.Context, a *Archive, v tarstream.Visitor, w walker) error {
	root, err := os.OpenRoot(a.path)
	if err != nil {
		return fmt.Errorf("could not open directory %q: %w", a.path, err)
	}
	defer root.Close()
	w.ctx, w.root, w.v, w.progress = ctx, root, v, s.o.Progress
	if a.Kind == Tablespace {
		w.below = true
		return s.walkTablespace(&w)
	}
	return w.data()
}

// wants tells whether a member is to be shown.
func (w *walker) wants(name string) bool { return w.only == nil || w.only.has(w.under+name) }

// leads tells whether a member is to be shown, or one below it.
func (w *walker) leads(name string) bool { return w.only == nil || w.only.leads(w.under+name) }

// data walks the data directory: what a reader needs first comes first, and
// pg_control, without which no server starts, last.
func (w *walker) data() error {
	entries, err := readDir(w.root, ".")
	if err != nil {
		return err
	}
	first := []string{LabelName, TablespaceMapName}
	for _, name := range first {
		if w.wants(name) && slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == name }) {
			if err := w.file(name); err != nil {
				return err
			}
		}
	}
	for _, e := range entries {
		name := e.Name()
		switch {
		case slices.Contains(first, name), name == ManifestName:
			continue
		}
		if err := w.entry(name, e); err != nil {
			return err
		}
	}
	if !w.wants(ControlName) {
		return nil
	}
	if _, err := w.root.Lstat(filepath.FromSlash(ControlName)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return w.file(ControlName)
}

// entry passes on what a directory lists.
func (w *walker) entry(name string, e fs.DirEntry) error {
	switch mode := e.Type(); {
	case !w.leads(name):
		return nil
	case mode.IsDir():
		return w.dir(name)
	case mode.IsRegular():
		if name == ControlName || !w.wants(name) {
			return nil // the first comes last
		}
		return w.file(name)
	case mode&fs.ModeSymlink != 0:
		return w.link(name)
	}
	w.note("special file %q was left out", filepath.Join(w.root.Name(), name))
	return nil
}

// dir passes on a directory and what is below it.
func (w *walker) dir(name string) error {
	if err := w.ctx.Err(); err != nil {
		return context.Cause(w.ctx)
	}
	info, err := w.root.Lstat(filepath.FromSlash(name))
	if err != nil {
		return fmt.Errorf("could not open directory %q: %w", filepath.Join(w.root.Name(), name), err)
	}
	if err := w.directory(name, info); err != nil {
		return err
	}
	return w.inside(name)
}

// inside passes on what the directory at name holds.
func (w *walker) inside(name string) error {
	entries, err := readDir(w.root, name)
	if err != nil {
		return err
	}
	here, err := w.root.OpenRoot(filepath.FromSlash(name))
	if err != nil {
		return fmt.Errorf("could not open directory %q: %w", filepath.Join(w.root.Name(), name), err)
	}
	defer here.Close()
	outer := w.here
	w.here = here
	defer func() { w.here = outer }()
	for _, e := range entries {
		if err := w.entry(name+"/"+e.Name(), e); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) member(name string, t tarstream.Type, info fs.FileInfo, target string) error {
	w.header = tarstream.Header{Name: name, Type: t, Mode: info.Mode().Perm(), ModTime: info.ModTime(), Linkname: target}
	if t == tarstream.Regular {
		w.header.Size = info.Size()
	}
	return w.v.Member(&w.header)
}

// directory passes on a directory's own member.
func (w *walker) directory(name string, info fs.FileInfo) error {
	if !w.wants(name) {
		return nil
	}
	if err := w.member(name, tarstream.Directory, info, ""); err != nil {
		return err
	}
	return w.v.EndMember()
}

// file passes on a file with its content.
func (w *walker) file(name string) error {
	if err := w.ctx.Err(); err != nil {
		return context.Cause(w.ctx)
	}
	path := filepath.Join(w.root.Name(), name)
	dir, base := w.root, name
	if w.here != nil {
		dir, base = w.here, name[strings.LastIndexByte(name, '/')+1:]
	}
	if w.sizesOnly {
		info, err := dir.Lstat(filepath.FromSlash(base))
		if err != nil {
			return fmt.Errorf("could not stat file %q: %w", path, err)
		}
		if err := w.member(name, tarstream.Regular, info, ""); err != nil {
			return err
		}
		return w.v.EndMember()
	}
	f, info, err := openRegularAt(dir, base, path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := w.member(name, tarstream.Regular, info, ""); err != nil {
		return err
	}
	if w.buf == nil {
		w.buf = make([]byte, walkBuffer)
	}
	for left := info.Size(); left > 0; {
		n, err := f.Read(w.buf[:min(left, walkBuffer)])
		if n > 0 {
			left -= int64(n)
			if w.progress != nil {
				w.progress(n)
			}
			if err := w.v.Content(w.buf[:n]); err != nil {
				return err
			}
			if w.ctx.Err() != nil {
				return context.Cause(w.ctx)
			}
		}
		if err == io.EOF && left > 0 {
			return fmt.Errorf("file %q shrank while it was read, from %d bytes to %d: %w", path, info.Size(), info.Size()-left, io.ErrUnexpectedEOF)
		}
		if err != nil && err != io.EOF {
			return fmt.Errorf("could not read file %q: %w", path, err)
		}
	}
	return w.v.EndMember()
}

// link deals with a symbolic link. That of the WAL is followed (initdb --waldir).
func (w *walker) link(name string) error {
	path := filepath.Join(w.root.Name(), name)
	info, err := w.root.Lstat(filepath.FromSlash(name))
	if err != nil {
		return fmt.Errorf("could not read symbolic link %q: %w", path, err)
	}
	target, err := w.root.Readlink(filepath.FromSlash(name))
	if err != nil {
		return fmt.Errorf("could not read symbolic link %q: %w", path, err)
	}
	target = filepath.ToSlash(target)
	fate := linkRefused
	if !w.below {
		fate = disposition(name, target)
	}
	switch fate {
	case linkWAL:
		return w.followWAL(name)
	case linkSkipped:
		w.note("symbolic link %q, which leads to %q, was left out", path, target)
		return nil
	case linkRefused:
		return fmt.Errorf("%q is a symbolic link: what it leads to, %q, is not in the backup", path, target)
	}
	if err := w.member(name, tarstream.Symlink, info, target); err != nil {
		return err
	}
	return w.v.EndMember()
}

// followWAL presents what a link of the WAL directory leads to as the directory.
func (w *walker) followWAL(name string) error {
	path := filepath.Join(w.root.Name(), name)
	root, err := os.OpenRoot(path)
	if err != nil {
		return fmt.Errorf("could not open the directory that %q leads to: %w", path, err)
	}
	defer root.Close()
	info, err := root.Stat(".")
	if err != nil {
		return fmt.Errorf("could not open the directory that %q leads to: %w", path, err)
	}
	if err := w.directory(name, info); err != nil {
		return err
	}
	inner := *w
	inner.under += name + "/"
	inner.root, inner.here, inner.below, inner.v = root, nil, true, &prefixed{next: w.v, prefix: name + "/"}
	err = inner.tree()
	w.buf = inner.buf
	return err
}

// tree walks everything below root.
func (w *walker) tree() error {
	entries, err := readDir(w.root, ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := w.entry(e.Name(), e); err != nil {
			return err
		}
	}
	return nil
}

// walkTablespace walks what a tablespace's location holds for this cluster: clusters of several versions can share a location, each with a
// directory of its own (pg_upgrade).
func (s *Set) walkTablespace(w *walker) error {
	var own string
	if content, err := s.readSmall(VersionName); err == nil {
		if v, err := pgdata.ParseVersion(content); err == nil {
			own = "PG_" + v.Major() + "_"
		}
	}
	entries, err := readDir(w.root, ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if own != "" && !strings.HasPrefix(e.Name(), own) {
			w.note("%q is not part of the tablespace and was left out", filepath.Join(w.root.Name(), e.Name()))
			continue
		}
		if err := w.entry(e.Name(), e); err != nil {
			return err
		}
	}
	return nil
}

// readSmall reads a small file of a plain backup.
func (s *Set) readSmall(name string) ([]byte, error) {
	root, err := os.OpenRoot(s.Path)
	if err != nil {
		return nil, fmt.Errorf("could not open directory %q: %w", s.Path, err)
	}
	defer root.Close()
	return readSmall(root, name, maxSmall)
}

// prefixed passes members on below a directory.
type prefixed struct {
	next   tarstream.Visitor
	prefix string
	header tarstream.Header
}

func (p *prefixed) Member(h *tarstream.Header) error {
	p.header = *h
	p.header.Name = p.prefix + h.Name
	return p.next.Member(&p.header)
}

func (p *prefixed) Content(b []byte) error { return p.next.Content(b) }
func (p *prefixed) EndMember() error       { return p.next.EndMember() }
