package combine

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/pgbasin/pgbasin/backupset"
	"github.com/pgbasin/pgbasin/internal/claim"
	"github.com/pgbasin/pgbasin/internal/durable"
	"github.com/pgbasin/pgbasin/tarstream"
)

// heldControl is the name of pg_control until the result is complete and durable:
// a server does not start without pg_control.
const heldControl = backupset.ControlName + heldSuffix

// writePlain writes an archive's files into a directory.
func (r *run) writePlain(ctx context.Context, a *backupset.Archive) error {
	p := &plainArchive{run: r, prefix: prefix(a), dir: r.o.Output}
	switch a.Kind {
	case backupset.Data:
		if r.chain.Last().Form == backupset.Plain {
			if err := r.begin(0); err != nil {
				return err
			}
		}
	case backupset.WAL:
		p.dir = filepath.Join(r.o.Output, "pg_wal")
	case backupset.Tablespace:
		t := r.tablespace(a.OID)
		if t.InPlace {
			p.dir = filepath.Join(r.o.Output, backupset.TablespaceDir, strconv.FormatUint(uint64(a.OID), 10))
		} else {
			p.dir = t.New
		}
	}
	if below, err := filepath.Rel(r.o.Output, p.dir); err == nil && below != "." && filepath.IsLocal(below) {
		if err := claim.MakeBelow(r.root(), filepath.ToSlash(below), r.dirMode); err != nil {
			return err
		}
	}
	r.o.Observer.debugf("processing directory %q", p.dir)
	err := r.chain.ReadFiles(ctx, a, r.o.Jobs, p.visitor)
	for _, w := range p.writers {
		if closeErr := w.close(); err == nil {
			err = closeErr
		}
	}
	switch {
	case err != nil || a.Kind != backupset.Data:
		return err
	case p.writers[0].out == nil:
		return fmt.Errorf("backup %q is empty", r.chain.Last().Path) // others would wait for ever
	}
	return r.makeLinks()
}

// prefix is what stands before an archive's names in a manifest.
func prefix(a *backupset.Archive) string {
	switch a.Kind {
	case backupset.Tablespace:
		return fmt.Sprintf("%s/%d/", backupset.TablespaceDir, a.OID)
	case backupset.WAL:
		return "pg_wal/"
	}
	return ""
}

// makeLinks makes the links to the tablespaces.
func (r *run) makeLinks() error {
	for _, t := range r.tablespaces {
		if t.InPlace {
			continue
		}
		path := filepath.Join(r.o.Output, backupset.TablespaceDir, strconv.FormatUint(uint64(t.OID), 10))
		r.o.Observer.debugf("creating symbolic link from %q to %q", path, t.New)
		if err := r.root().Symlink(t.New, backupset.TablespaceDir+"/"+strconv.FormatUint(uint64(t.OID), 10)); err != nil {
			return fmt.Errorf("could not create symbolic link from %q to %q: %w", path, t.New, cause(err))
		}
	}
	return nil
}

// plainArchive is an archive that becomes a directory.
type plainArchive struct {
	*run
	prefix  string
	dir     string
	writers []*plainWriter
}

// visitor makes a writer for one goroutine. It is called before any of them
// begins.
func (p *plainArchive) visitor() tarstream.Visitor {
	w := &plainWriter{plainArchive: p}
	p.writers = append(p.writers, w)
	return w
}

// plainWriter makes files, one at a time.
type plainWriter struct {
	*plainArchive
	out    *tarstream.Extractor
	header tarstream.Header
	path   string // in the manifest
	skip   bool
	made   bool // the file, or whatever it is
	linked bool // the file is there without the Extractor
	sum    []byte
}

func (w *plainWriter) open(first *tarstream.Header) error {
	if w.prefix == "" && w.chain.Last().Form != backupset.Plain {
		if err := w.begin(first.Mode); err != nil {
			return err
		}
	}
	var err error
	w.out, err = tarstream.NewExtractor(tarstream.ExtractOptions{
		Dir: w.dir, DirMode: w.dirMode, FileMode: w.fileMode, Exists: w.exists,
		Writeback: w.o.Sync != durable.NoSync, Open: w.dirs.Open,
	})
	return err
}

func (w *plainWriter) close() error {
	if w.out == nil {
		return nil
	}
	return w.out.Close()
}

// exists names the directories that may be there before the archive's own entry
// comes, because another archive is for them.
func (w *plainWriter) exists(name string) bool {
	switch w.prefix + name {
	case "pg_wal", "pg_wal/archive_status", "pg_wal/summaries", backupset.TablespaceDir:
		return true
	}
	oid, ok := strings.CutPrefix(name, backupset.TablespaceDir+"/")
	n, err := strconv.ParseUint(oid, 10, 32)
	t := w.tablespace(uint32(n))
	return ok && err == nil && t != nil && t.InPlace
}

// Member implements tarstream.Visitor.
func (w *plainWriter) Member(h *tarstream.Header) error {
	if w.out == nil {
		if err := w.open(h); err != nil {
			return err
		}
	}
	w.header, w.path, w.made, w.linked, w.sum = *h, w.prefix+h.Name, false, false, nil
	// Tablespaces get their links at the end.
	w.skip = h.Type == tarstream.Symlink || w.path == backupset.TablespaceMapName || w.isSpace(h)
	if w.path == backupset.ControlName {
		w.header.Name = heldControl
	}
	if w.skip || w.o.Method != Copy && h.Type == tarstream.Regular {
		return nil // CopyFile may make it
	}
	return w.make()
}

// isSpace tells the empty directory that stands for a tablespace elsewhere.
func (w *plainWriter) isSpace(h *tarstream.Header) bool {
	oid, ok := strings.CutPrefix(w.path, backupset.TablespaceDir+"/")
	n, err := strconv.ParseUint(oid, 10, 32)
	t := w.tablespace(uint32(n))
	return ok && err == nil && h.Type == tarstream.Directory && t != nil && !t.InPlace
}

func (w *plainWriter) make() error {
	w.made = true
	if h := &w.header; h.Type == tarstream.Directory {
		w.o.Observer.debugf("creating directory %q", filepath.Join(w.dir, h.Name))
	} else {
		w.o.Observer.debugf("writing %q", filepath.Join(w.dir, h.Name))
	}
	return w.out.Member(&w.header)
}

// CopyFile implements chain.Copier.
func (w *plainWriter) CopyFile(_ *tarstream.Header, src string) (done bool, err error) {
	if w.o.Method == Copy || w.skip {
		return false, nil
	}
	dst := filepath.Join(w.dir, filepath.FromSlash(w.header.Name))
	w.o.Observer.debugf("copying %q to %q using strategy %v", src, dst, w.o.Method)
	dir, err := w.dirs.Open(filepath.Dir(dst))
	if err != nil {
		return false, fmt.Errorf("could not open directory %q: %w", filepath.Dir(dst), cause(err))
	}
	err = copyFile(w.o.Method, src, dir, filepath.Base(dst), w.fileMode)
	if closeErr := dir.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return false, err
	}
	w.linked = true
	return true, nil
}

// Content implements tarstream.Visitor.
func (w *plainWriter) Content(p []byte) error {
	if w.skip {
		return nil
	}
	if !w.made {
		if err := w.make(); err != nil {
			return err
		}
	}
	return w.out.Content(p)
}

// Sum implements chain.Summer.
func (w *plainWriter) Sum(sum []byte) error {
	w.sum = sum
	return nil
}

// EndMember implements tarstream.Visitor.
func (w *plainWriter) EndMember() error {
	if w.skip {
		return nil
	}
	if !w.linked {
		if !w.made {
			if err := w.make(); err != nil {
				return err
			}
		}
		if err := w.out.EndMember(); err != nil {
			return err
		}
	}
	if w.header.Type == tarstream.Directory {
		return nil
	}
	return w.list.add(w.path, w.header.Size, w.header.ModTime, w.sum)
}
