package tarstream

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"

	"github.com/pgbasin/pgbasin/internal/durable"
)

// ExtractOptions say where and how an Extractor makes files.
type ExtractOptions struct {
	// Dir is the directory to extract to, which must exist.
	Dir string
	// Mounts are other directories that stand in for directories of the archive:
	// "pg_wal" to the target of --waldir. The caller makes the symbolic link in
	// Dir and the directory; members below the name go to the directory, and a
	// directory member of the name is accepted when the link, or a directory, is
	// there.
	Mounts map[string]string
	// Open opens Dir and the Mounts, for who has them open already and wants no
	// other directory that may have their path by now. The Extractor closes what
	// it returns. Nil opens what the path leads to.
	Open func(path string) (*os.Root, error)
	// Link maps the target of a symbolic link to the target to make; an empty
	// one leaves the link out. It is asked about links that CheckLink accepts,
	// and about pg_wal or pg_xlog, which hand-made archives can have as a link.
	// If nil, symbolic links are refused.
	Link func(name, target string) (string, error)
	// DirMode and FileMode are what directories and files get, whatever the
	// archive says and whatever the umask is. Zero means 0700 and 0600.
	DirMode, FileMode fs.FileMode
	// Exists names directories that may be there already. Nil means none.
	Exists func(name string) bool
	// OnFile is called with the name of each member when it begins. It may be
	// nil.
	OnFile func(name string)
	// Stored is called with each regular file that has all of its content, before it
	// is closed. It may be nil.
	Stored func(name string, info fs.FileInfo)
	// Writeback asks the operating system to start writing large files to disk
	// while they are extracted, which leaves less to do for a later sync.
	Writeback bool
	// Sync makes each file durable, in a few goroutines, while the next ones are
	// written. What is left to sync is the directories.
	Sync bool
	// Concurrent makes small files in a few goroutines while the archive is read on.
	// What is wrong with one of these may be told by a later call, at the latest by
	// Close; one that the archive lacks the end of is not made. With Stored it has no
	// effect.
	Concurrent bool
}

// Extractor is a Visitor that makes files below a directory. Nothing is made
// outside of it and of the Mounts, whatever the archive holds: names are
// checked, symbolic links in the way of a member are an error rather than
// followed, and nothing that exists is replaced, a member that comes twice least
// of all. Modification times and owners
// are not restored.
//
// Files are written and closed, and synced only with ExtractOptions.Sync. Errors
// stay; those about files are a *FileError.
type Extractor struct {
	opt  ExtractOptions
	dirs dirCache
	err  error

	inFile bool     // the member is a regular file that lacks its end
	file   *os.File // which is being written; nil if it goes to small
	name   string
	size   int64 // of the member, in bytes
	toCome int64 // what Content did not bring of these
	out    fileWriter
	small  *smallFiles // nil unless Concurrent
	syncs  *syncer
}

// NewExtractor opens opt.Dir. Close releases it.
func NewExtractor(opt ExtractOptions) (*Extractor, error) {
	if opt.DirMode &= fs.ModePerm; opt.DirMode == 0 {
		opt.DirMode = 0o700
	}
	if opt.FileMode &= fs.ModePerm; opt.FileMode == 0 {
		opt.FileMode = 0o600
	}
	e := &Extractor{opt: opt, syncs: newSyncer(), dirs: dirCache{openRoot: os.OpenRoot}}
	e.out.writeback = opt.Writeback
	if opt.Concurrent && opt.Stored == nil {
		e.small = newSmallFiles(e)
	}
	if opt.Open != nil {
		e.dirs.openRoot = opt.Open
	}
	if err := e.dirs.open(opt.Dir, opt.Mounts); err != nil {
		return nil, err
	}
	return e, nil
}

// Close releases what the Extractor holds open and returns the error that it
// stopped at, if any. It waits for files that are being written or synced. It is an
// error if the last member was not complete; what there is of its file stays.
func (e *Extractor) Close() error {
	if e.err == os.ErrClosed {
		return nil
	}
	err := e.err
	if e.file != nil {
		e.file.Close()
	}
	// What failed of a file before may be why the last one is not complete.
	if e.small != nil {
		if smallErr := e.small.end(); err == nil {
			err = smallErr
		}
	}
	if syncErr := e.syncs.end(); err == nil {
		err = syncErr
	}
	if e.inFile && err == nil {
		err = fmt.Errorf("file %s is not complete: %w", quote(e.path(e.name)), io.ErrUnexpectedEOF)
	}
	e.dirs.close()
	e.out.buf = nil
	e.err = os.ErrClosed
	return err
}

// Member implements Visitor.
func (e *Extractor) Member(h *Header) error {
	if e.err == nil {
		e.err = e.member(h)
	}
	return e.err
}

// Content implements Visitor.
func (e *Extractor) Content(p []byte) error {
	if e.err != nil {
		return e.err
	}
	if !e.inFile || int64(len(p)) > e.toCome {
		e.err = fmt.Errorf("content of tar member %s is longer than its header says", quote(e.name))
		return e.err
	}
	e.toCome -= int64(len(p))
	if e.file == nil {
		e.small.write(p)
		return nil
	}
	if err := e.out.write(e.file, p, e.toCome == 0); err != nil {
		e.err = fileError("could not write to file", e.path(e.name), err)
	}
	return e.err
}

// EndMember implements Visitor.
func (e *Extractor) EndMember() error {
	if e.err != nil || !e.inFile {
		return e.err
	}
	if e.toCome > 0 {
		e.err = fmt.Errorf("content of tar member %s is shorter than its header says", quote(e.name))
		return e.err
	}
	e.inFile = false
	f := e.file
	if f == nil {
		e.small.add(e.name, int(e.size))
		return nil
	}
	e.file = nil
	e.out.end(f)
	if e.opt.Stored != nil {
		info, err := f.Stat()
		if err != nil {
			f.Close()
			e.err = fileError("could not stat file", e.path(e.name), err)
			return e.err
		}
		e.opt.Stored(e.name, info)
	}
	e.err = e.finish(f, e.name, e.size)
	return e.err
}

// finish closes a file that is written, at once or when it is durable.
func (e *Extractor) finish(f *os.File, name string, size int64) error {
	if e.opt.Sync {
		return e.syncs.add(f, e.path(name), size)
	}
	if err := f.Close(); err != nil {
		return fileError("could not close file", e.path(name), err)
	}
	return nil
}

func (e *Extractor) path(name string) string { return e.opt.Dir + "/" + name }

func (e *Extractor) member(h *Header) error {
	if e.inFile {
		return fmt.Errorf("tar member %s begins before %s ended", quote(h.Name), quote(e.name))
	}
	e.name = h.Name
	if h.Type == Directory && h.Name == "." {
		return nil // opt.Dir itself
	}
	err := CheckName(h.Name)
	if err == nil {
		err = checkLength(h.Name)
	}
	if err != nil {
		return err
	}
	regular := h.Type == Regular || h.Type == 0
	small := e.small != nil && regular && 0 <= h.Size && h.Size <= smallSize
	if e.small != nil && !small {
		if err := e.small.settle(); err != nil {
			return err
		}
	}
	switch {
	case regular:
		err = e.beginFile(h, small)
	case h.Type == Directory:
		err = e.createDir(h.Name)
	case h.Type == Symlink:
		err = e.createLink(h.Name, h.Linkname)
	default:
		err = unsupportedType(byte(h.Type), h.Name)
	}
	if err == nil && e.opt.OnFile != nil {
		e.opt.OnFile(h.Name)
	}
	return err
}

func (e *Extractor) beginFile(h *Header, small bool) (err error) {
	if small {
		err = e.small.room(int(h.Size))
	} else {
		e.file, err = e.create(h.Name)
		e.out.begin()
	}
	e.inFile, e.size, e.toCome = err == nil, h.Size, h.Size
	return err
}

// create makes an empty file. One goroutine at a time does.
func (e *Extractor) create(name string) (*os.File, error) {
	const cannot = "could not create file"
	dir, base, err := e.dirs.parent(name)
	if err != nil {
		return nil, fileError(cannot, e.path(name), err)
	}
	if _, ok := e.opt.Mounts[name]; ok {
		return nil, fileError(cannot, e.path(name), fs.ErrExist)
	}
	f, err := dir.root.OpenFile(base, os.O_WRONLY|os.O_CREATE|os.O_EXCL|durable.NoWait, e.opt.FileMode)
	if err != nil {
		return nil, fileError(cannot, e.path(name), err)
	}
	if err := e.setFileMode(dir, f); err != nil {
		f.Close()
		return nil, fileError("could not set permissions on file", e.path(name), err)
	}
	return f, nil
}

// setFileMode corrects what the umask or an access control list took or gave.
// Files of one directory are created alike, so it looks at the first.
func (e *Extractor) setFileMode(dir *openDir, f *os.File) error {
	if runtime.GOOS == "windows" || dir.modeRight {
		return nil
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Mode().Perm() == e.opt.FileMode {
		dir.modeRight = true
		return nil
	}
	return f.Chmod(e.opt.FileMode)
}

func (e *Extractor) createDir(name string) error {
	const cannot = "could not create directory"
	dir, base, err := e.dirs.parent(name)
	if err != nil {
		return fileError(cannot, e.path(name), err)
	}
	if _, ok := e.opt.Mounts[name]; ok {
		info, err := dir.root.Lstat(base)
		// Irregular is what a junction on Windows is.
		if err == nil && info.Mode()&(fs.ModeDir|fs.ModeSymlink|fs.ModeIrregular) == 0 {
			err = errNotDirectory
		}
		if err != nil {
			return fileError(cannot, e.path(name), err)
		}
		return nil
	}
	err = dir.root.Mkdir(base, e.opt.DirMode)
	exists := errors.Is(err, fs.ErrExist) && e.opt.Exists != nil && e.opt.Exists(name)
	if err != nil && !exists {
		return fileError(cannot, e.path(name), err)
	}
	info, err := dir.root.Lstat(base)
	if err == nil && !info.IsDir() {
		err = errNotDirectory
	}
	if err != nil {
		return fileError(cannot, e.path(name), err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm() != e.opt.DirMode {
		if err := dir.root.Chmod(base, e.opt.DirMode); err != nil {
			return fileError("could not set permissions on directory", e.path(name), err)
		}
	}
	return nil
}

func (e *Extractor) createLink(name, target string) error {
	if err := checkHandMadeLink(name, target); err != nil {
		return err
	}
	if e.opt.Link == nil {
		return &LinkError{name, target, "symbolic links are not expected here"}
	}
	target, err := e.opt.Link(name, target)
	if err != nil || target == "" {
		return err
	}
	dir, base, err := e.dirs.parent(name)
	if err == nil {
		err = dir.root.Symlink(target, base)
	}
	if err != nil {
		return fileError("could not create symbolic link from "+quote(e.path(name))+" to", target, err)
	}
	return nil
}
