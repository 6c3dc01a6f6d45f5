package backupset

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/manifest"
	"github.com/pgbasin/pgbasin/pgdata"
	"github.com/pgbasin/pgbasin/tarstream"
	"github.com/pgbasin/pgbasin/wal"
)

// Peek finds out what is to be known before a backup is read, and remembers it.
//
// Of a plain backup it looks at every name and size, of an uncompressed tar at every header. Of a compressed one it reads the
// beginning if a server or pgbasin made it and the version is told by the manifest or by another archive; otherwise it
// reads as far as it has to, which for a compressed tar that was made by hand is to the end. Of standard input it sees the
// first 2 MiB, which Read passes on again.
//
// With an *ArchiveError there is also a Head: what was seen before the damage.
func (s *Set) Peek(ctx context.Context) (*Head, error) {
	if s.head != nil {
		return s.head, nil
	}
	h := &Head{}
	if s.manifest != "" {
		var err error
		if h.Manifest, h.Version, err = s.summarizeFile(); err != nil {
			return nil, err
		}
	}
	var err error
	switch {
	case s.Form == Plain:
		err = s.peekPlain(ctx, h)
	case s.stdin != nil:
		err = s.peekStdin(h)
	default:
		err = s.peekTar(ctx, h)
	}
	var damaged *ArchiveError
	if err != nil && !errors.As(err, &damaged) {
		return nil, err
	}
	s.judgeManifest(h)
	if h.SystemID == 0 && h.Manifest != nil {
		h.SystemID = h.Manifest.SystemID
	}
	if h.Version == 0 && h.Control != nil {
		h.Version, _ = h.Control.Version()
	}
	if err != nil {
		return h, err
	}
	s.head = h
	return h, nil
}

// judgeManifest tells a manifest that a directory got with an older backup: a
// server never removes it, and its WAL range starts where that backup did.
func (s *Set) judgeManifest(h *Head) {
	if s.Form == TarDirectory || h.Manifest == nil {
		return
	}
	switch {
	case h.Label != nil:
		h.StaleManifest = !h.Belongs(h.Manifest.WALRanges)
	case h.Control != nil:
		// A backup that a server has run on since, or the copy of one that was shut down.
		h.StaleManifest = h.Control.State == pgdata.ShutDown || h.Control.State == pgdata.ShutDownInRecovery
	}
	if h.StaleManifest {
		h.Manifest = nil
	}
}

func (s *Set) peekPlain(ctx context.Context, h *Head) error {
	v := newScan()
	v.found = true
	if err := s.readPlain(ctx, s.Data(), v, true); err != nil {
		return err
	}
	for name, limit := range kept {
		b, err := s.readSmall(name)
		switch {
		case err == nil && int64(len(b)) <= limit:
			v.small[name] = b
		case err == nil:
			return fmt.Errorf("file %q of %q has %d bytes, which is too many", name, s.Path, len(b))
		case !errors.Is(err, fs.ErrNotExist):
			return err
		default:
			delete(v.small, name)
		}
	}
	if err := v.fill(h, true); err != nil {
		return fmt.Errorf("backup %q: %w", s.Path, err)
	}
	s.Data().Content = v.bytes
	for i := range s.Archives[1:] {
		a := &s.Archives[1+i]
		inner := newScan()
		inner.found = true
		if err := s.readPlain(ctx, a, inner, true); err != nil {
			return err
		}
		a.Content = inner.bytes
	}
	for _, a := range s.absent {
		setTablespace(h, a.oid, Nowhere, a.location, a.reason)
	}
	s.place = &place{}
	s.setArchives(h)
	return nil
}

// setArchives notes which tablespaces have archives.
func (s *Set) setArchives(h *Head) {
	for i := range s.Archives {
		if a := &s.Archives[i]; a.Kind == Tablespace {
			setTablespace(h, a.OID, InArchive, "", "")
		}
	}
	slices.SortFunc(h.Tablespaces, func(a, b TablespaceInfo) int { return int(int64(a.OID) - int64(b.OID)) })
}

func setTablespace(h *Head, oid uint32, where Where, location, reason string) {
	for i := range h.Tablespaces {
		if t := &h.Tablespaces[i]; t.OID == oid {
			t.Where, t.Reason = where, reason
			return
		}
	}
	h.Tablespaces = append(h.Tablespaces, TablespaceInfo{pgdata.TablespaceLink{OID: oid, Location: location}, where, reason})
}

func (s *Set) peekStdin(h *Head) error {
	v := newScan()
	err := s.scanStdin(v)
	all := err == nil
	if err != nil && err != errEnough {
		return err
	}
	s.place = &v.at
	return s.filled(v, h, all)
}

// filled puts a scan into h and names the backup in errors.
func (s *Set) filled(v *scan, h *Head, all bool) error {
	version := h.Version
	if err := v.fill(h, all); err != nil {
		return &ArchiveError{s.Data().path, err}
	}
	if h.Version == 0 {
		h.Version = version
	}
	if all {
		s.Data().Content = v.bytes
	}
	s.setArchives(h)
	return nil
}

func (s *Set) peekTar(ctx context.Context, h *Head) error {
	v := newScan()
	a := s.Data()
	var err error
	if a.Compression == codec.None {
		v.manifest = h.Manifest == nil && s.Form == Tar
		err = skimFile(ctx, a, v)
		summary, manifestErr := v.endManifest()
		if err == nil && manifestErr != nil {
			return &ArchiveError{a.path, manifestErr}
		}
		if summary != nil {
			h.Manifest = summary
		}
	} else {
		if h.Version == 0 {
			h.Version = s.versionOfArchives(ctx)
		}
		known := h.Version != 0
		v.enough = func(v *scan) bool {
			_, version := v.small[VersionName]
			return v.serverMade() && (known || version)
		}
		err = s.readTar(ctx, a, v)
	}
	all := err == nil
	if err != nil && err != errEnough {
		s.filled(v, h, false) // what can be told; the damage is what is reported
		return err
	}
	s.place = &v.at
	if err := s.filled(v, h, all); err != nil {
		return err
	}
	return s.peekOthers(ctx, h)
}

// peekOthers finds the sizes of uncompressed tablespaces, and the segments of
// uncompressed WAL.
func (s *Set) peekOthers(ctx context.Context, h *Head) error {
	for i := range s.Archives {
		a := &s.Archives[i]
		if a.Kind == Data || a.Compression != codec.None {
			continue
		}
		v := newScan()
		v.found = true
		if a.Kind == WAL {
			v.under = "pg_wal/"
		}
		if err := skimFile(ctx, a, v); err != nil {
			return err
		}
		a.Content = v.bytes
		if a.Kind == WAL {
			h.WAL = v.wal
		}
	}
	return nil
}

// skimFile shows v the headers of an uncompressed tar.
func skimFile(ctx context.Context, a *Archive, v *scan) error {
	r, err := openRandom(a, nil)
	if err != nil {
		return err
	}
	defer r.close()
	return skim(ctx, a, r, v, v.skips)
}

// versionOfArchives tells the version by a tablespace, whose only directory is
// named after it, or by the first page of WAL.
func (s *Set) versionOfArchives(ctx context.Context) pgdata.Version {
	for i := range s.Archives {
		a := &s.Archives[i]
		if a.Kind == Data {
			continue
		}
		f := &firstMember{}
		if err := s.readTar(ctx, a, f); err != errEnough {
			continue // what is wrong with it is said when it is read
		}
		if a.Kind == WAL {
			if v, known := wal.MagicVersion(f.magic); known && len(f.name) == len("000000010000000000000001") {
				return pgdata.Version(v)
			}
			continue
		}
		if major, _, ok := strings.Cut(strings.TrimPrefix(f.name, "PG_"), "_"); ok && strings.HasPrefix(f.name, "PG_") {
			if v, err := pgdata.ParseVersion([]byte(major + "\n")); err == nil {
				return v
			}
		}
	}
	return 0
}

// firstMember reads the name of the first member, and the first two bytes of the
// first file.
type firstMember struct {
	name  string
	magic uint16
}

func (f *firstMember) Member(h *tarstream.Header) error {
	if h.Name == "." {
		return nil
	}
	f.name = h.Name
	if h.Type == tarstream.Regular && h.Size > 0 {
		return nil
	}
	return errEnough
}

func (f *firstMember) Content(b []byte) error {
	if len(b) >= 2 {
		f.magic = binary.LittleEndian.Uint16(b)
	}
	return errEnough
}

func (f *firstMember) EndMember() error { return nil }

// summarizeFile reads the manifest.
func (s *Set) summarizeFile() (*ManifestSummary, pgdata.Version, error) {
	f, err := s.openManifestFile()
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	m, version, err := summarize(f)
	if err != nil {
		return nil, 0, fmt.Errorf("could not read manifest %q: %w", s.manifest, err)
	}
	return m, version, nil
}

// summarize reads a manifest. The version is told by the checksum of
// PG_VERSION; it is 0 if the manifest has no checksums.
func summarize(src io.Reader) (*ManifestSummary, pgdata.Version, error) {
	r := manifest.NewReader(src)
	m := &ManifestSummary{}
	var version pgdata.Version
	for r.Next() {
		e := r.File()
		m.Files++
		m.Bytes += e.Size
		m.Checksums = e.Algorithm
		if e.Path == VersionName {
			version = versionOfChecksum(e)
		}
	}
	if err := r.Err(); err != nil {
		return nil, 0, err
	}
	m.Version, m.WALRanges, m.SystemID = r.Version(), r.WALRanges(), r.SystemIdentifier()
	return m, version, nil
}

// versionOfChecksum tells what a PG_VERSION holds by its checksum.
func versionOfChecksum(f manifest.File) pgdata.Version {
	if f.Algorithm == manifest.None {
		return 0
	}
	for major := firstManifest; major < 100; major++ {
		content := fmt.Appendf(nil, "%d\n", major)
		sum := f.Algorithm.New()
		sum.Write(content)
		digest := sum.Sum(nil)
		if f.Size == int64(len(content)) && (bytes.Equal(digest, f.Checksum) || f.Algorithm == manifest.CRC32C && bytes.Equal(reversed(digest), f.Checksum)) {
			return pgdata.Version(major * 10000)
		}
	}
	return 0
}

// firstManifest is the first major version whose backups have a manifest.
const firstManifest = 13

// reversed is a checksum as a server of the other byte order prints it.
func reversed(b []byte) []byte {
	b = bytes.Clone(b)
	slices.Reverse(b)
	return b
}
