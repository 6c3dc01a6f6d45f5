package backuptest

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/manifest"
	"github.com/pgbasin/pgbasin/pgdata"
	"github.com/pgbasin/pgbasin/tarstream"
)

// Backup is one backup.
type Backup struct {
	Start   lsn.LSN
	TLI     uint32
	From    lsn.LSN // of the backup before; 0 for a full one
	FromTLI uint32
	Control Control
	// Files are contents by their path in the manifest, beside PG_VERSION,
	// backup_label and pg_control, which are made up if they are not here.
	Files map[string][]byte
	// Tablespaces are locations by OID. The plain form has each at a directory
	// beside its own, which Location names.
	Tablespaces map[uint32]string
	// InPlace gives the tar form an archive for each tablespace that has files in
	// the data directory, as servers send those in place.
	InPlace    bool
	WAL        map[string][]byte // files of pg_wal; the tar form has them in pg_wal.tar
	Checksums  manifest.ChecksumAlgorithm
	NoManifest bool
	// ManifestFiles are what the manifest is made of, if it is not Files.
	ManifestFiles map[string][]byte
	// Twice is the name of a member that the data directory's tar has twice.
	Twice      string
	ManifestID uint64 // system identifier in the manifest, if it is not that of Control
}

// Modified is the time of last modification of all members.
var Modified = time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)

// all are all files with what is made up.
func (b *Backup) all() map[string][]byte {
	all := map[string][]byte{
		"PG_VERSION":        []byte("17\n"),
		"backup_label":      Label(b.Start, b.TLI, b.From, b.FromTLI),
		"global/pg_control": b.Control.Bytes(),
	}
	for name, content := range b.Files {
		all[name] = content
	}
	return all
}

// names lists files as a server sends them.
func names(files map[string][]byte) []string {
	list := make([]string, 0, len(files))
	for name := range files {
		list = append(list, name)
	}
	rank := func(name string) int {
		switch name {
		case "backup_label":
			return 0
		case "tablespace_map":
			return 1
		case "global/pg_control":
			return 3
		}
		return 2
	}
	slices.SortFunc(list, func(a, b string) int {
		if d := rank(a) - rank(b); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	return list
}

// Manifest is the backup's manifest.
func (b *Backup) Manifest(tarForm bool) []byte {
	var out bytes.Buffer
	id := b.Control.SystemID
	if b.ManifestID != 0 {
		id = b.ManifestID
	}
	w := manifest.NewWriter(&out, id)
	listed := *b
	if b.ManifestFiles != nil {
		listed.Files = b.ManifestFiles
	}
	all := listed.all()
	if tarForm {
		all["tablespace_map"] = b.tablespaceMap()
	}
	for _, name := range names(all) {
		f := manifest.File{Path: name, Size: int64(len(all[name])), ModTime: manifest.FormatModTime(Modified), Algorithm: b.Checksums}
		if h := b.Checksums.New(); h != nil {
			h.Write(all[name])
			f.Checksum = h.Sum(nil)
		}
		must(w.Add(f))
	}
	must(w.Close([]manifest.WALRange{{Timeline: b.TLI, Start: b.Start, End: b.Start + 0x100}}))
	return out.Bytes()
}

func (b *Backup) tablespaceMap() []byte {
	var links []pgdata.TablespaceLink
	for oid, location := range b.Tablespaces {
		links = append(links, pgdata.TablespaceLink{OID: oid, Location: location})
	}
	slices.SortFunc(links, func(a, b pgdata.TablespaceLink) int { return int(int64(a.OID) - int64(b.OID)) })
	return pgdata.FormatTablespaceMap(links)
}

// must stops a test that cannot make its files.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// Location is where the plain form in dir has a tablespace.
func Location(dir string, oid uint32) string { return fmt.Sprintf("%s.space%d", dir, oid) }

// directories are those of all versions that matter here.
var directories = []string{"base", "global", "pg_tblspc", "pg_wal", "pg_wal/archive_status"}

// Plain writes the backup as a data directory.
func (b *Backup) Plain(dir string) {
	for _, d := range directories {
		must(os.MkdirAll(filepath.Join(dir, d), 0o700))
	}
	for oid := range b.Tablespaces {
		must(os.MkdirAll(Location(dir, oid), 0o700))
		must(os.Symlink(Location(dir, oid), filepath.Join(dir, "pg_tblspc", fmt.Sprint(oid))))
	}
	put := func(name string, content []byte) {
		at := filepath.Join(dir, name)
		must(os.MkdirAll(filepath.Dir(at), 0o700))
		must(os.WriteFile(at, content, 0o600))
		must(os.Chtimes(at, Modified, Modified))
	}
	for name, content := range b.all() {
		put(name, content)
	}
	for name, content := range b.WAL {
		put("pg_wal/"+name, content)
	}
	if !b.NoManifest {
		put("backup_manifest", b.Manifest(false))
	}
}

// Tar writes the backup as a directory of tar files.
func (b *Backup) Tar(dir string, c codec.Spec) {
	must(os.MkdirAll(dir, 0o700))
	all := b.all()
	all["tablespace_map"] = b.tablespaceMap()
	for oid := range b.spaces() {
		space := map[string][]byte{}
		prefix := fmt.Sprintf("pg_tblspc/%d/", oid)
		for name, content := range all {
			if below, ok := strings.CutPrefix(name, prefix); ok {
				space[below] = content
				delete(all, name)
			}
		}
		writeTar(filepath.Join(dir, fmt.Sprintf("%d.tar", oid)), c, space, nil, "")
	}
	writeTar(filepath.Join(dir, "base.tar"), c, all, directories, b.Twice)
	if len(b.WAL) > 0 {
		writeTar(filepath.Join(dir, "pg_wal.tar"), c, b.WAL, nil, "")
	}
	if !b.NoManifest {
		must(os.WriteFile(filepath.Join(dir, "backup_manifest"), b.Manifest(true), 0o600))
	}
}

// spaces are the tablespaces that have archives.
func (b *Backup) spaces() map[uint32]string {
	if !b.InPlace {
		return b.Tablespaces
	}
	spaces := map[uint32]string{}
	for name := range b.Files {
		if below, ok := strings.CutPrefix(name, "pg_tblspc/"); ok {
			digits, _, _ := strings.Cut(below, "/")
			if oid, ok := pgdata.ParseOID(digits); ok {
				spaces[oid] = ""
			}
		}
	}
	return spaces
}

// Single writes the backup, which has no tablespaces, as one tar.
func (b *Backup) Single(file string, c codec.Spec) {
	all := b.all()
	all["tablespace_map"] = nil
	for name, content := range b.WAL {
		all["pg_wal/"+name] = content
	}
	if !b.NoManifest {
		all["backup_manifest"] = b.Manifest(true)
	}
	writeTar(file, c, all, directories, b.Twice)
}

func writeTar(file string, c codec.Spec, files map[string][]byte, dirs []string, twice string) {
	f, err := os.Create(file + c.Algorithm.Suffix())
	must(err)
	z, err := codec.NewWriter(f, c)
	must(err)
	writeMembers(z, files, dirs, twice)
	must(z.Close())
	must(f.Close())
}

// writeMembers writes files in the order in which a server sends them, and the
// manifest behind the control file.
func writeMembers(w io.Writer, files map[string][]byte, dirs []string, twice string) {
	t := tar.NewWriter(w)
	header := func(h *tar.Header) {
		if b, ok := w.(tarstream.Boundary); ok {
			must(t.Flush())
			b.Boundary()
		}
		must(t.WriteHeader(h))
	}
	made := map[string]bool{}
	var mkdir func(name string)
	mkdir = func(name string) {
		if name == "." || made[name] {
			return
		}
		mkdir(path.Dir(name))
		made[name] = true
		header(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o700, ModTime: Modified})
	}
	member := func(name string) {
		mkdir(path.Dir(name))
		header(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o600, Size: int64(len(files[name])), ModTime: Modified})
		_, err := t.Write(files[name])
		must(err)
	}
	list := names(files)
	manifest := slices.Index(list, "backup_manifest")
	for i, name := range list {
		if i == manifest {
			continue
		}
		if i == 2 || i > 2 && name == "PG_VERSION" {
			for _, d := range dirs {
				mkdir(d)
			}
		}
		member(name)
		if name == twice {
			member(name)
		}
	}
	for _, d := range dirs {
		mkdir(d)
	}
	if manifest >= 0 {
		member("backup_manifest")
	}
	must(t.Close())
}
