package restore

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"github.com/pgbasin/pgbasin/backupset"
	"github.com/pgbasin/pgbasin/internal/claim"
	"github.com/pgbasin/pgbasin/internal/durable"
	"github.com/pgbasin/pgbasin/tarstream"
)

// memberNames checks names and brings them into the form that members have.
func memberNames(given []string) ([]string, error) {
	if len(given) == 0 {
		return nil, errors.New("no file to restore was named")
	}
	names := make([]string, len(given))
	for i, name := range given {
		clean := filepath.ToSlash(name)
		if !path.IsAbs(clean) {
			clean = path.Clean(clean)
		}
		if name == "" || tarstream.CheckName(clean) != nil {
			return nil, fmt.Errorf("%q is not the path of a file or directory in a data directory", name)
		}
		names[i] = clean
	}
	return names, nil
}

// archivePrefix stands in front of the names in an archive.
func archivePrefix(a *backupset.Archive) string {
	switch a.Kind {
	case backupset.Tablespace:
		return tablespaceName(a.OID) + "/"
	case backupset.WAL:
		return "pg_wal/" // no tar of its own holds WAL before 10
	}
	return ""
}

// below are the names that are in a directory, as they are called there.
func below(names []string, dir string) []string {
	if dir == "" {
		return append([]string(nil), names...)
	}
	var list []string
	for _, name := range names {
		if tarstream.Within(dir, name) {
			return []string{"."}
		}
		if tarstream.Within(name, dir) {
			list = append(list, name[len(dir)+1:])
		}
	}
	return list
}

// wanted tells whether a name was asked for, by itself or by a directory above.
func (r *only) wanted(name string) bool {
	for _, chosen := range r.names {
		if tarstream.Within(name, chosen) {
			return true
		}
	}
	return false
}

// onlyArchive brings the chosen members of one archive to the directory.
type onlyArchive struct {
	*only
	prefix        string
	manifest      bool // it may have the backup's manifest as a member
	record, write tarstream.Visitor

	header tarstream.Header
	pass   bool // the current member is one that was asked for
	copied bool // it is the manifest
}

// Member implements tarstream.Visitor.
func (v *onlyArchive) Member(h *tarstream.Header) error {
	v.header = *h
	v.header.Name = v.prefix + h.Name
	if h.Name == "." {
		v.header.Name = strings.TrimSuffix(v.prefix, "/")
	}
	name := v.header.Name
	v.copied = v.manifest && name == backupset.ManifestName && h.Type == tarstream.Regular
	if v.copied {
		if err := v.copyManifest(); err != nil {
			return err
		}
	}
	// What a link leads to comes from elsewhere, under the name of the link.
	v.pass = name != "" && h.Type != tarstream.Symlink && v.wanted(name)
	if !v.pass {
		return nil
	}
	for i, chosen := range v.names {
		v.found[i] = v.found[i] || tarstream.Within(name, chosen)
	}
	if dir := path.Dir(name); dir != "." && dir != v.parent {
		if err := claim.MakeBelow(v.root(), dir, 0o700); err != nil {
			return err
		}
		v.parent = dir
	}
	if h.Type == tarstream.Regular && !uncovered(name) {
		v.result.Compared++
	}
	if err := v.record.Member(h); err != nil {
		return err
	}
	return v.write.Member(&v.header)
}

// copyManifest puts the manifest aside until the files can be compared.
func (v *onlyArchive) copyManifest() (err error) {
	if v.comparison.manifest != nil {
		return fmt.Errorf("file %q is in the backup twice", backupset.ManifestName)
	}
	v.comparison.manifest, v.manifestName, err = durable.CreateTemp(v.root(), claim.ProbePrefix+"manifest-")
	return err
}

// Content implements tarstream.Visitor.
func (v *onlyArchive) Content(p []byte) error {
	if v.copied {
		if _, err := v.comparison.manifest.Write(p); err != nil {
			return err
		}
	}
	if !v.pass {
		return nil
	}
	if err := v.record.Content(p); err != nil {
		return err
	}
	return v.write.Content(p)
}

// EndMember implements tarstream.Visitor.
func (v *onlyArchive) EndMember() error {
	if !v.pass {
		return nil
	}
	if err := v.record.EndMember(); err != nil {
		return err
	}
	return v.write.EndMember()
}
