package backupset

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"os"
	"slices"

	"github.com/pgbasin/pgbasin/manifest"
	"github.com/pgbasin/pgbasin/pgdata"
)

// Description is all that a backup's files tell without comparing checksums.
type Description struct {
	Head                         // as Peek finds it, with All set; Files and Bytes are those of all archives together
	Contents    []ArchiveContent // in the order of Set.Archives
	Stored      int64            // what the backup takes where it is, in bytes, the manifest included; -1 if that is not known
	Incremental bool             // of no use without the backup that it builds on
	// Problems say why a cluster that starts cannot be made of this; none if it is complete, as far as names and sizes tell. WAL that is
	// missing is not among them.
	Problems []string
}

// ArchiveContent is what an archive holds.
type ArchiveContent struct {
	Kind  Kind
	OID   uint32
	Files int64
	Dirs  int64
	Bytes int64 // of the files
}

// Describe reads all that has to be read to know what a backup holds: names and sizes of a plain backup, the headers of
// tars that are not compressed, or are with zstd and a seek table, all of other compressed ones and of standard input. Of archives that are damaged it returns an *ArchiveError.
func (s *Set) Describe(ctx context.Context) (*Description, error) {
	d := &Description{}
	if s.stdin == nil {
		h, err := s.Peek(ctx)
		if err != nil {
			return nil, err
		}
		d.Head = *h
	} else if err := s.sniffStdin(); err != nil {
		return nil, err
	}
	seen := &fileSet{seed: maphash.MakeSeed()}
	d.Bytes, d.Files = 0, 0
	for i := range s.Archives {
		if err := s.describeArchive(ctx, &s.Archives[i], d, seen); err != nil {
			return nil, err
		}
	}
	d.All = true
	d.Stored = s.Stored()
	if s.Incomplete != nil {
		d.problem("file %q, %s", s.Incomplete.Marker, s.Incomplete.Reason)
	}
	d.judge()
	if s.manifest != "" && !d.StaleManifest {
		if err := s.compare(d, seen); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// Stored is the size of the whole backup where it is, in bytes; of a plain one it is known after Peek. It is -1 if it is not known.
func (s *Set) Stored() int64 {
	var n int64
	for i := range s.Archives {
		a := &s.Archives[i]
		switch {
		case a.Stored >= 0:
			n += a.Stored
		case s.Form == Plain:
			n += a.Content
		default:
			return -1
		}
	}
	if s.manifest != "" {
		if info, err := os.Stat(s.manifest); err == nil {
			n += info.Size()
		}
	}
	return n
}

// describeArchive reads one archive.
func (s *Set) describeArchive(ctx context.Context, a *Archive, d *Description, seen *fileSet) error {
	v := newScan()
	v.seen = seen
	v.manifest = d.Manifest == nil
	var err error
	switch {
	case a.Kind == Data:
		// Where the data directory is, is known from Peek, or is found on the way.
		if s.place != nil {
			v.at, v.found = *s.place, true
		}
	case a.Kind == Tablespace:
		v.found, v.under = true, fmt.Sprintf("%s/%d/", TablespaceDir, a.OID)
	default:
		v.found, v.under = true, "pg_wal/"
	}
	if s.Form == Plain {
		err = s.readPlain(ctx, a, v, true)
	} else {
		err = s.skimTar(ctx, a, v, v.skips)
	}
	if summary, manifestErr := v.endManifest(); err == nil {
		err = manifestErr
		if summary != nil {
			d.Manifest = summary
		}
	}
	if err != nil {
		return err
	}
	a.Content = v.bytes
	d.Contents = append(d.Contents, ArchiveContent{a.Kind, a.OID, v.files, v.dirs, v.bytes})
	d.Files += v.files
	d.Bytes += v.bytes
	d.Incremental = d.Incremental || v.incremental > 0
	switch {
	case a.Kind == WAL:
		d.WAL = v.wal
	case a.Kind == Data && s.Form != Plain:
		manifest, version := d.Manifest, d.Version
		if err := s.filled(v, &d.Head, true); err != nil {
			return err
		}
		d.Files, d.Bytes = v.files, v.bytes
		d.Manifest = manifest
		if d.Version == 0 {
			d.Version = version
		}
		s.judgeManifest(&d.Head)
	}
	return nil
}

func (d *Description) problem(format string, args ...any) {
	d.Problems = append(d.Problems, fmt.Sprintf(format, args...))
}

// judge finds what keeps a backup from being restored.
func (d *Description) judge() {
	if d.Label != nil {
		d.Incremental = d.Incremental || d.Label.Incremental()
	}
	if !d.versionFile {
		d.problem("there is no file %q", VersionName)
	}
	switch {
	case d.Control == nil:
		d.problem("there is no file %q", ControlName)
	case d.Version != 0:
		if v, ok := d.Control.Version(); ok && v != d.Version {
			d.problem("%q is of version %s, but %q is of version %s", VersionName, d.Version, ControlName, v)
		}
	}
	if d.Control != nil && d.Manifest != nil && d.Manifest.SystemID != 0 && d.Manifest.SystemID != d.Control.SystemID {
		d.problem("the manifest is of system %d, but %q is of system %d", d.Manifest.SystemID, ControlName, d.Control.SystemID)
	}
	switch {
	case d.Label != nil:
	case d.Control != nil && (d.Control.State == pgdata.ShutDown || d.Control.State == pgdata.ShutDownInRecovery):
		// The copy of a cluster that was shut down: it needs none.
	default:
		d.problem("there is no file %q: what was copied from a running server without it cannot be recovered", LabelName)
	}
	for _, t := range d.Tablespaces {
		if t.Where == Nowhere {
			d.problem("tablespace %d (%s) is not in the backup: it %s", t.OID, t.Location, t.Reason)
		}
	}
}

// Belongs tells whether a manifest with these WAL ranges is of this backup, and not of an older one that the cluster was made from: both
// know where the backup started.
func (h *Head) Belongs(ranges []manifest.WALRange) bool {
	if h.Label == nil || len(ranges) == 0 {
		return true
	}
	start := startRange(ranges)
	return start.Start == h.Label.Start && start.Timeline == h.Label.StartTimeline
}

// fileSet remembers names and sizes by eight bytes for each file.
type fileSet struct {
	seed   maphash.Seed
	hashes []uint64
	full   bool
	sorted bool
}

// maxFiles bounds a fileSet to 32 MiB; a backup of more files is not compared.
const maxFiles = 4 << 20

func (f *fileSet) hash(name string, size int64) uint64 {
	var h maphash.Hash
	h.SetSeed(f.seed)
	h.WriteString(name)
	maphash.WriteComparable(&h, size)
	return h.Sum64()
}

func (f *fileSet) add(name string, size int64) {
	if len(f.hashes) >= maxFiles {
		f.full = true
		return
	}
	f.hashes = append(f.hashes, f.hash(name, size))
}

func (f *fileSet) has(name string, size int64) bool {
	if !f.sorted {
		slices.Sort(f.hashes)
		f.sorted = true
	}
	_, ok := slices.BinarySearch(f.hashes, f.hash(name, size))
	return ok
}

// compare finds files that the manifest lists and that are not there with their
// size.
func (s *Set) compare(d *Description, seen *fileSet) error {
	if seen.full {
		return nil
	}
	f, err := s.openManifestFile()
	if err != nil {
		return err
	}
	defer f.Close()
	r := manifest.NewReader(f)
	var missing []string
	n := 0
	for r.Next() {
		e := r.File()
		// A backup that was made to start as a standby has lines added there.
		if seen.has(e.Path, e.Size) || e.Path == "postgresql.auto.conf" {
			continue
		}
		if n++; n <= 6 {
			missing = append(missing, e.Path)
		}
	}
	if err := r.Err(); err != nil {
		return fmt.Errorf("could not read manifest %q: %w", s.manifest, err)
	}
	if n > 0 {
		text := list(missing)
		if n > len(missing) {
			text = fmt.Sprintf("%s and %d more", list(missing[:5]), n-5)
		}
		d.problem("files are missing or have another size than the manifest says: %s", text)
	}
	return nil
}

// manifestReader summarizes a manifest that passes by as a member.
type manifestReader struct {
	w    *io.PipeWriter
	done chan struct{}
	sum  *ManifestSummary
	err  error
}

func startManifest() *manifestReader {
	r, w := io.Pipe()
	m := &manifestReader{w: w, done: make(chan struct{})}
	go func() {
		defer close(m.done)
		m.sum, _, m.err = summarize(r)
		r.CloseWithError(m.err)
	}()
	return m
}

func (m *manifestReader) end(complete bool) (*ManifestSummary, error) {
	if complete {
		m.w.Close()
	} else {
		m.w.CloseWithError(errors.New("the archive ended"))
	}
	<-m.done
	if m.err != nil {
		return nil, fmt.Errorf("could not read the manifest in the archive: %w", m.err)
	}
	return m.sum, nil
}
