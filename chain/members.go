package chain

import (
	"fmt"
	"io/fs"
	"strings"

	"github.com/pgbasin/pgbasin/backupset"
	"github.com/pgbasin/pgbasin/incremental"
	"github.com/pgbasin/pgbasin/pgdata"
	"github.com/pgbasin/pgbasin/tarstream"
)

// members is the visitor of an archive of one backup.
type members struct {
	*stream
	passOptions
	b       *backup
	archive int // index in Set.Archives
	prefix  string
	sums    *summer
	at      int64 // where the content is in an uncompressed tar; -1 = not known

	path string
	size int64
	todo fate
	slot *slot
	// Of an incremental file.
	decoder *incremental.Decoder
	source  source
	base    int64 // where its kept blocks are in the temporary file
	kept    []uint32
	// small is the content of the label or the control file.
	small []byte
}

// fate is what happens to a member.
type fate int

const (
	ignored  fate = iota // not even compared with the manifest
	entry                // a directory or link that is passed on
	compared             // and nothing else
	passed
	inMemory // label and control file
	composed
	layered // an incremental file
	isManifest
)

func (m *members) newest() bool { return m.b == m.last() }

// ContentAt implements backupset.Locator.
func (m *members) ContentAt(offset int64) { m.at = offset }

// Member implements tarstream.Visitor.
func (m *members) Member(h *tarstream.Header) error {
	m.path, m.size, m.slot, m.decoder = m.prefix+h.Name, h.Size, nil, nil
	if h.Type == tarstream.Directory || h.Type == tarstream.Symlink {
		m.todo = ignored
		if !m.newest() {
			return nil
		}
		m.todo = entry
		return m.out.v.Member(h)
	}
	if m.below != "" && !strings.HasPrefix(m.path, m.below) {
		m.todo = ignored
		return nil
	}
	m.sums.begin()
	m.todo = compared
	return m.file(h)
}

// file decides what happens to a file.
func (m *members) file(h *tarstream.Header) error {
	switch m.path {
	case backupset.ManifestName:
		m.todo = isManifest
		switch {
		case m.b.manifest > 0:
			return twiceError(m.b, m.path)
		case m.b.ledger == nil:
			m.todo = ignored
		}
		return nil
	case backupset.LabelName, backupset.ControlName:
		if !m.newest() && m.path == backupset.LabelName {
			return nil
		}
		m.todo, m.small = inMemory, m.small[:0]
		if h.Size > maxLabel {
			return fmt.Errorf("file %q of backup %q is too large", m.path, m.b.path)
		}
		if m.newest() {
			m.header = *h
		}
		return nil
	}
	if target, ok := incremental.Target(m.path); ok {
		if m.b.number == 0 {
			return fullError(m.b, m.path)
		}
		return m.incremental(h, target)
	}
	var err error
	if m.slot, err = m.pending.find(m.path, &m.record); err != nil {
		return err
	}
	switch {
	case m.slot != nil && m.slot.number() == m.b.number && !m.slot.done():
		return bothError(m.b, m.path)
	case m.slot != nil && m.slot.number() == m.b.number:
		return twiceError(m.b, m.path)
	case m.newest():
		if err := m.seen(); err != nil {
			return err
		}
		m.todo = passed
		return m.out.begin(h, m.sums.has(m.o.Checksums))
	case m.slot != nil && !m.slot.done():
		return m.compose(h)
	}
	return nil
}

// seen remembers a whole file of the newest backup where there could be an
// incremental one, too.
func (m *members) seen() error {
	if _, ok := incremental.Target(incremental.Name(m.path)); !ok {
		return nil
	}
	m.record = record{path: m.path, plan: m.record.plan}
	m.record.plan.begin(&incremental.Header{})
	return m.pending.addDone(&m.record, m.b.number)
}

// compose begins to pass on the file of which this is the whole version.
func (m *members) compose(h *tarstream.Header) error {
	m.pending.finish(m.slot, m.b.number)
	r := &m.record
	member := tarstream.Header{Name: r.name, Type: tarstream.Regular, Mode: fs.FileMode(r.mode), UID: r.uid, GID: r.gid,
		Size: int64(r.plan.length) * int64(m.layout.BlockSize), ModTime: r.time}
	known := false
	if incremental.VisibilityMap(r.path) {
		r.plan.blank()
	}
	if r.plan.unchanged(h.Size, m.layout.BlockSize) {
		known = m.sums.has(m.o.Checksums)
	}
	m.todo = composed
	m.composer.begin(r.plan, h.Size)
	return m.out.begin(&member, known)
}

// Content implements tarstream.Visitor.
func (m *members) Content(p []byte) error {
	switch m.todo {
	case ignored:
		return nil
	case isManifest:
		_, err := m.b.temp.add(p)
		m.b.manifest += int64(len(p))
		return err
	}
	m.sums.write(p)
	switch m.todo {
	case passed:
		return m.out.content(p)
	case composed:
		return m.composer.write(p, false)
	case inMemory:
		m.small = append(m.small, p...)
	case layered:
		_, err := m.decoder.Write(p)
		return inBackup(m.b, err)
	}
	return nil
}

// EndMember implements tarstream.Visitor.
func (m *members) EndMember() error {
	switch m.todo {
	case ignored, isManifest:
		return nil
	case entry:
		return m.out.v.EndMember()
	}
	if !m.again {
		if err := m.sums.end(m.path, m.size); err != nil {
			return err
		}
	}
	switch m.todo {
	case passed:
		return m.out.end(m.sums.sum)
	case composed:
		if err := m.composer.end(); err != nil {
			return err
		}
		if err := m.closeSources(); err != nil {
			return err
		}
		return m.out.end(m.sums.sum)
	case layered:
		return inBackup(m.b, m.decoder.Close())
	case inMemory:
		return m.endSmall()
	}
	return nil
}

// endSmall deals with the label and the control file.
func (m *members) endSmall() error {
	if m.path == backupset.LabelName {
		content := stripLabel(m.small)
		member := m.header
		member.Size = int64(len(content))
		return m.out.file(&member, content)
	}
	control, err := pgdata.ParseControl(m.small)
	if err != nil {
		return fmt.Errorf("%s/%s: %w", m.b.path, backupset.ControlName, err)
	}
	if m.newest() {
		m.control = append([]byte(nil), m.small...)
	}
	return m.checkControl(m.b, control)
}
