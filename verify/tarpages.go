package verify

import (
	"context"
	"path"

	"github.com/pgbasin/pgbasin/tarstream"
)

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
