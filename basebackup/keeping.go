package basebackup

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"github.com/pgbasin/pgbasin/incremental"
	"github.com/pgbasin/pgbasin/manifest"
	"github.com/pgbasin/pgbasin/pgdata"
	"github.com/pgbasin/pgbasin/tarstream"
)

// keeping is a Visitor in front of the one that makes the files of an archive. It notes
// in the journal which are whole, and in an attempt that builds on others it changes the
// files that are there.
type keeping struct {
	*keeper
	next   tarstream.Visitor
	prefix string // of paths in the manifest
	dir    string // where the files are

	// The member under way is one of these, or none.
	path   string // of a file for the journal
	pages  newestPage
	patch  *patch
	header *tarstream.Header // of backup_label
	text   []byte
}

// Member implements Visitor.
func (v *keeping) Member(h *tarstream.Header) error {
	v.path, v.patch, v.header = "", nil, nil
	if h.Type == tarstream.Directory {
		if left := v.dirs[v.dir]; left[h.Name] {
			left[h.Name] = false
		}
		return v.next.Member(h)
	}
	if h.Type != tarstream.Regular {
		return v.next.Member(h)
	}
	path := v.prefix + h.Name
	if v.resumed() {
		switch target, ok := incremental.Target(path); {
		case ok:
			return v.begin(target, path, h.Size)
		case path == pgdata.LabelFile:
			if h.Size > maxLabelSize {
				return fmt.Errorf("%s has %d bytes", path, h.Size)
			}
			label := *h
			v.header, v.text = &label, v.text[:0]
			return nil
		}
		if err := v.replaced(path, h.Name); err != nil {
			return err
		}
	}
	if comesInBlocks(path) && h.Size > 0 {
		v.path = path
		v.pages.begin()
	}
	return v.next.Member(h)
}

// maxLabelSize is more than backup_label ever has.
const maxLabelSize = 64 << 10

// replaced makes way for a file that comes whole although it is there.
func (v *keeping) replaced(path, name string) error {
	k := v.stock.get(path)
	switch {
	case k == nil:
		return nil
	case k.come:
		return fmt.Errorf("server sent file %q twice", path)
	}
	if dir, _ := v.roots.locate(path); dir != v.dir {
		return fmt.Errorf("server sent file %q in an archive that it does not belong to", path)
	}
	if err := v.forget(path); err != nil {
		return err
	}
	return v.roots.remove(path)
}

// Content implements Visitor.
func (v *keeping) Content(p []byte) error {
	switch {
	case v.patch != nil:
		return v.patch.write(p)
	case v.header != nil:
		v.text = append(v.text, p...)
		return nil
	case v.path != "":
		v.pages.write(p)
	}
	return v.next.Content(p)
}

// EndMember implements Visitor.
func (v *keeping) EndMember() error {
	switch {
	case v.patch != nil:
		return v.end()
	case v.header != nil:
		text := fullLabel(v.text)
		sum := v.server.algorithm.New()
		sum.Write(text)
		v.label = manifest.File{Path: pgdata.LabelFile, Size: int64(len(text)), Algorithm: v.server.algorithm, Checksum: sum.Sum(nil)}
		v.header.Size = v.label.Size
		return tarstream.WriteFile(v.next, v.header, text)
	}
	if err := v.next.EndMember(); err != nil || v.path == "" {
		return err
	}
	if v.passedPath != v.path {
		return fmt.Errorf("file %q has passed without a checksum", v.path)
	}
	return v.arrived(arrival{path: v.path, size: v.passedSize, modTime: v.storedAt, newest: v.pages.newest, checksum: v.passedSum})
}

// fullLabel is a backup_label without the lines that make it that of an incremental
// backup.
func fullLabel(text []byte) []byte {
	var out []byte
	for line := range bytes.Lines(text) {
		if !bytes.HasPrefix(line, []byte("INCREMENTAL FROM ")) {
			out = append(out, line...)
		}
	}
	return out
}

// patch changes a file in place while an incremental file for it comes.
type patch struct {
	kept    *kept
	file    *os.File
	decoder *incremental.Decoder
	applier incremental.Applier
}

func (v *keeping) begin(target, path string, size int64) error {
	k := v.stock.get(target)
	if k == nil || k.come {
		return fmt.Errorf("server sent %q for a file that it was not told of", path)
	}
	if dir, _ := v.roots.locate(target); dir != v.dir {
		return fmt.Errorf("server sent file %q in an archive that it does not belong to", path)
	}
	f, info, err := v.roots.open(target, os.O_RDWR)
	if err != nil {
		return fmt.Errorf("could not open file %q: %w", target, err)
	}
	p := &patch{kept: k, file: f}
	k.come = true
	p.applier = incremental.Applier{File: f, BlockSize: v.layout.BlockSize, Size: info.Size(), Before: func() error {
		k.changed = true
		return v.journal.Add(forgetRecord(target))
	}}
	p.decoder = incremental.NewDecoder(v.layout, path, size, &p.applier)
	v.patch = p
	v.s.onFile(v.dir + "/" + target[len(v.prefix):])
	return nil
}

func (p *patch) write(b []byte) error {
	_, err := p.decoder.Write(b)
	return fileErrorOf(p.file, err)
}

// fileErrorOf names the file in errors of the system.
func fileErrorOf(f *os.File, err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return fmt.Errorf("could not write to file %q: %w", f.Name(), path.Err)
	}
	return err
}

// end is for a file that has all of its changes.
func (v *keeping) end() error {
	p := v.patch
	v.patch = nil
	err := p.decoder.Close()
	info, statErr := p.file.Stat()
	if closeErr := p.file.Close(); err == nil {
		err = errors.Join(statErr, closeErr)
	}
	if err != nil {
		return err
	}
	p.kept.modTime, p.kept.size = info.ModTime().UnixNano(), info.Size()
	if p.kept.changed {
		v.sums.add(p.kept)
		return nil
	}
	return v.arrived(p.kept.arrival)
}

func (v *keeping) release() {
	if v.patch != nil {
		v.patch.file.Close()
		v.patch = nil
	}
}
