package chain

import (
	"github.com/pgbasin/pgbasin/backupset"
	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/incremental"
	"github.com/pgbasin/pgbasin/tarstream"
)

// incremental begins to read an incremental file.
func (m *members) incremental(h *tarstream.Header, target string) error {
	var err error
	if m.slot, err = m.pending.find(target, &m.record); err != nil {
		return err
	}
	switch {
	case m.slot != nil && m.slot.number() == m.b.number && !m.slot.done():
		return twiceError(m.b, m.path)
	case m.slot != nil && m.slot.number() == m.b.number:
		return bothError(m.b, target)
	case m.newest():
		m.record.path, m.record.name = target, target[len(m.prefix):]
		m.record.mode, m.record.uid, m.record.gid, m.record.time = uint32(h.Mode), h.UID, h.GID, h.ModTime
	case m.slot == nil || m.slot.done():
		return nil // of no use, and still to be compared
	}
	m.todo = layered
	m.source = source{kind: inScratch, backup: m.b.number, archive: m.archive}
	switch {
	case m.b.set.Form == backupset.Plain:
		m.source.kind, m.source.size, m.source.modified = inFile, h.Size, h.ModTime
	case m.b.set.Archives[m.archive].Compression == codec.None:
		m.source.kind = inTar
	}
	m.decoder = incremental.NewDecoder(m.layout, m.path, h.Size, m)
	return nil
}

// Header implements incremental.Handler.
func (m *members) Header(h *incremental.Header) error {
	p := m.record.plan
	if m.newest() {
		p.begin(h)
	}
	m.kept = p.wanted(h, m.kept)
	size := int64(m.layout.BlockSize)
	start := m.layout.HeaderSize(len(h.Blocks))
	limit := p.limit
	switch {
	case len(m.kept) == 0:
		p.add(h, nil, int(size), source{}, nil)
	case m.source.kind == inScratch:
		var err error
		if m.base, err = m.temp.reserve(int64(len(m.kept)) * size); err != nil {
			return err
		}
		p.add(h, m.kept, int(size), m.source, func(_, kept int) int64 { return m.base + int64(kept)*size })
	default:
		if m.source.kind == inTar {
			start += m.at
		}
		p.add(h, m.kept, int(size), m.source, func(index, _ int) int64 { return start + int64(index)*size })
	}
	switch {
	case m.slot == nil:
		return m.pending.add(&m.record, m.b.number)
	case len(m.kept) == 0 && p.limit == limit:
		return m.pending.update(m.slot, nil, m.b.number)
	}
	return m.pending.update(m.slot, &m.record, m.b.number)
}

// Data implements incremental.Handler: it keeps the blocks of a compressed tar
// that are wanted.
func (m *members) Data(at int64, p []byte) error {
	if m.source.kind != inScratch {
		return nil
	}
	size := int64(m.layout.BlockSize)
	for len(p) > 0 && len(m.kept) > 0 {
		index, in := at/size, at%size
		n := min(size-in, int64(len(p)))
		switch {
		case int64(m.kept[0]) < index:
			m.kept = m.kept[1:]
			m.base += size
			continue
		case int64(m.kept[0]) == index:
			if err := m.temp.writeAt(p[:n], m.base+in); err != nil {
				return err
			}
		}
		at, p = at+n, p[n:]
	}
	return nil
}
