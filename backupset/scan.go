package backupset

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/pgbasin/pgbasin/pgdata"
	"github.com/pgbasin/pgbasin/tarstream"
)

// scan is a visitor that finds out what the archive of a data directory holds.
type scan struct {
	at    place
	found bool // at is known

	files, dirs, bytes int64
	incremental        int64
	inData             map[uint32]int64 // bytes below pg_tblspc/<oid>, for directories there
	tablespaceLinks    []pgdata.TablespaceLink
	links              []string
	wal                WALFiles
	first, second      string

	byHand bool // there are files that a server leaves out

	small  map[string][]byte // contents of the files that tell something
	keep   string            // name of the one under way; "" = none
	enough func(*scan) bool  // asked after each member; nil = read all

	seen  *fileSet // gets names and sizes, unless nil
	under string   // what stands in front of names there

	manifest   bool            // one that is a member is read
	reading    *manifestReader // it; nil = none yet
	inManifest bool            // it is the current one
}

// kept are the files that a scan keeps, and how large they may be, in bytes.
var kept = map[string]int64{
	LabelName: 64 << 10, TablespaceMapName: maxSmall, VersionName: 64, ControlName: pgdata.ControlSize,
}

func newScan() *scan { return &scan{inData: map[uint32]int64{}, small: map[string][]byte{}} }

// maxTablespaces bounds what a hostile archive can make a scan remember.
const maxTablespaces = 1 << 16

func (s *scan) Member(h *tarstream.Header) error {
	if !s.found {
		s.at, s.found = placeOf(h.Name, h.Type == tarstream.Directory)
	}
	name, ok := s.at.rel(h.Name)
	if !ok {
		return fmt.Errorf("member %q is outside of the data directory, which is %q in the archive", h.Name, s.at.prefix)
	}
	s.keep = ""
	if name == "" {
		return nil
	}
	switch {
	case s.first == "":
		s.first = name
	case s.second == "":
		s.second = name
	}
	switch h.Type {
	case tarstream.Directory:
		s.dirs++
		if oid, rest, ok := tablespaceOf(name); ok && rest == "" {
			if len(s.inData) >= maxTablespaces {
				return errors.New("there are too many directories in pg_tblspc")
			}
			s.inData[oid] += 0
		}
		return nil
	case tarstream.Symlink:
		return s.link(name, h.Linkname)
	case tarstream.Regular:
		s.file(name, h.Size)
	}
	return nil
}

func (s *scan) link(name, target string) error {
	oid, rest, ok := tablespaceOf(name)
	switch {
	case ok && rest == "" && len(s.tablespaceLinks) < maxTablespaces:
		s.tablespaceLinks = append(s.tablespaceLinks, pgdata.TablespaceLink{OID: oid, Location: target})
	case len(s.links) < 100:
		s.links = append(s.links, name)
	}
	return nil
}

func (s *scan) file(name string, size int64) {
	s.files++
	s.bytes += size
	if oid, rest, ok := tablespaceOf(name); ok && rest != "" && len(s.inData) < maxTablespaces {
		s.inData[oid] += size
	}
	dir, base := path.Split(s.under + name)
	if isWALDirectory(strings.TrimSuffix(dir, "/")) {
		s.wal.add(base, size)
	} else if strings.HasPrefix(base, "INCREMENTAL.") {
		s.incremental++
	}
	if s.seen != nil {
		s.seen.add(s.under+name, size)
	}
	switch {
	case s.under != "":
	case name == ManifestName:
		if s.reading == nil && s.manifest {
			s.reading, s.inManifest = startManifest(), true
		}
	case name == "postmaster.pid", name == "postmaster.opts": // basebackup.c, since 9.1
		s.byHand = true
	}
	if limit, ok := kept[name]; ok && size <= limit {
		s.keep = name
		s.small[name] = make([]byte, 0, size)
	}
}

func (s *scan) Content(p []byte) error {
	if s.keep != "" {
		s.small[s.keep] = append(s.small[s.keep], p...)
	}
	if s.inManifest {
		s.reading.w.Write(p) // end tells the error
	}
	return nil
}

func (s *scan) EndMember() error {
	if s.inManifest {
		s.reading.w.Close()
		s.inManifest = false
	}
	if s.enough != nil && s.enough(s) {
		return errEnough
	}
	return nil
}

// skips tells that the content of the current member is not needed.
func (s *scan) skips() bool { return s.keep == "" && !s.inManifest }

// serverMade tells that a server or pgbasin made the tar: the label comes first then, and from 9.5 on a tablespace_map, if only an empty one,
// second (basebackup.c).
func (s *scan) serverMade() bool { return s.first == LabelName && s.second == TablespaceMapName }

// fill puts what was found into a Head.
func (s *scan) fill(h *Head, all bool) error {
	h.Prefix, h.All = s.at.prefix, all
	h.Files, h.Bytes, h.WAL, h.Links, h.ByHand = s.files, s.bytes, s.wal, s.links, s.byHand
	var err error
	if b, ok := s.small[LabelName]; ok {
		if h.Label, err = pgdata.ParseBackupLabel(b); err != nil {
			return err
		}
	}
	if b, ok := s.small[VersionName]; ok {
		if h.Version, err = pgdata.ParseVersion(b); err != nil {
			return err
		}
		h.versionFile = true
	}
	if b, ok := s.small[ControlName]; ok {
		if h.Control, err = pgdata.ParseControl(b); err != nil {
			return err
		}
		h.SystemID = h.Control.SystemID
	}
	var mapped []pgdata.TablespaceLink
	if b, ok := s.small[TablespaceMapName]; ok {
		h.TablespaceMap = true
		if mapped, err = pgdata.ParseTablespaceMap(b); err != nil {
			return err
		}
	}
	s.tablespaces(h, mapped)
	return nil
}

// tablespaces lists what the tablespace_map, links and directories tell. What is
// in archives of their own is for the caller to know.
func (s *scan) tablespaces(h *Head, mapped []pgdata.TablespaceLink) {
	h.Tablespaces = nil
	add := func(link pgdata.TablespaceLink, where Where, reason string) {
		for i := range h.Tablespaces {
			if t := &h.Tablespaces[i]; t.OID == link.OID {
				if where == InData {
					t.Where, t.Reason = where, ""
				}
				return
			}
		}
		h.Tablespaces = append(h.Tablespaces, TablespaceInfo{link, where, reason})
	}
	for _, link := range mapped {
		add(link, Nowhere, "has no archive")
	}
	for _, link := range s.tablespaceLinks {
		add(link, Nowhere, "was copied as a link to the tablespace of the cluster, without what is in it")
	}
	for oid, bytes := range s.inData {
		if slices.ContainsFunc(mapped, func(l pgdata.TablespaceLink) bool { return l.OID == oid }) && bytes == 0 {
			continue // the server sends an empty directory for each tablespace
		}
		add(pgdata.TablespaceLink{OID: oid}, InData, "")
	}
	slices.SortFunc(h.Tablespaces, func(a, b TablespaceInfo) int { return int(int64(a.OID) - int64(b.OID)) })
}

// endManifest ends the reading of a manifest among the members and returns what
// is in it; nil if there was none.
func (s *scan) endManifest() (*ManifestSummary, error) {
	if s.reading == nil {
		return nil, nil
	}
	complete := !s.inManifest
	s.inManifest = false
	return s.reading.end(complete)
}
