package verify

import (
	"fmt"
	"hash"
	"path"

	"github.com/pgbasin/pgbasin/manifest"
	"github.com/pgbasin/pgbasin/pgdata"
	"github.com/pgbasin/pgbasin/tarstream"
)

// maxKept is more than a control file and a backup_label have, in bytes.
const maxKept = 2 * pgdata.ControlSize

// members looks at the members of one archive.
type members struct {
	t     *tarVerifier
	a     *archive
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
	m.t.files.Lock()
	said, fl := m.t.index.find(name)
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
	m.t.files.Unlock()
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
