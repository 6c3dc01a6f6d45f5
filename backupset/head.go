package backupset

import (
	"fmt"

	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/manifest"
	"github.com/pgbasin/pgbasin/pgdata"
)

// Where tells where the content of a tablespace is.
type Where int

const (
	InArchive Where = iota // in an archive of its own: Set.Archives has it
	InData                 // in a directory pg_tblspc/<oid> of the data directory, as tar -h and in-place tablespaces have it
	Nowhere                // not in the backup
)

// String says it.
func (w Where) String() string {
	switch w {
	case InArchive:
		return "archive"
	case InData:
		return "data directory"
	case Nowhere:
		return "missing"
	}
	return fmt.Sprintf("where %d", int(w))
}

// TablespaceInfo is a tablespace of a backup.
type TablespaceInfo struct {
	pgdata.TablespaceLink        // Location is where the server had it; "" if that is not known
	Where                 Where  // is its content
	Reason                string // why it is Nowhere
}

// Head is what can be told of a backup before it is read. What was not found is
// zero; All says whether that means that it is not there.
type Head struct {
	Version pgdata.Version
	Label   *pgdata.BackupLabel
	// Control is known of plain backups, of uncompressed tars, and where the archive had to be read for other things.
	Control *pgdata.Control
	// SystemID is that of Control or of the manifest.
	SystemID    uint64
	Tablespaces []TablespaceInfo
	Manifest    *ManifestSummary
	// StaleManifest is set when there is a manifest that belongs to another, older backup, as in a copy of a cluster that was itself made from a
	// backup. Manifest is nil then.
	StaleManifest bool
	// Prefix is the directory of the archive in which a hand-made tar has the data directory; "" if it has no such.
	Prefix string
	// TablespaceMap says that there is a tablespace_map, if only an empty one.
	TablespaceMap bool
	// Links are symbolic links of a hand-made tar that are no tablespaces: what they lead to is not in the backup.
	Links []string
	// ByHand says that there are files which a server leaves out of a backup that it sends: the data directory was copied by hand.
	ByHand bool
	// All says that all of the data directory's members were seen.
	All bool
	// WAL are the segments that the backup brings, as far as they were seen.
	WAL WALFiles
	// Bytes are the sizes of all files that were seen, the WAL among them.
	Bytes int64
	Files int64

	versionFile bool // PG_VERSION itself was seen
}

// ManifestSummary is what a manifest says about a backup as a whole.
type ManifestSummary struct {
	Version   int // of the format
	Files     int64
	Bytes     int64
	WALRanges []manifest.WALRange
	SystemID  uint64                     // 0 up to 16
	Checksums manifest.ChecksumAlgorithm // of the files
}

// Start is where recovery from the backup starts: by its label, or by its
// manifest.
func (h *Head) Start() (pos lsn.LSN, tli uint32, ok bool) {
	if h.Label != nil {
		return h.Label.Start, h.Label.StartTimeline, true
	}
	if h.Manifest != nil && len(h.Manifest.WALRanges) > 0 {
		r := startRange(h.Manifest.WALRanges)
		return r.Start, r.Timeline, true
	}
	return 0, 0, false
}

// Stop is where the WAL that the backup needs ends, as its manifest knows it. It
// is the first position at which a restored cluster is consistent.
func (h *Head) Stop() (pos lsn.LSN, tli uint32, ok bool) {
	if h.Manifest == nil || len(h.Manifest.WALRanges) == 0 {
		return 0, 0, false
	}
	r := h.Manifest.WALRanges[0]
	for _, other := range h.Manifest.WALRanges[1:] {
		if other.Timeline > r.Timeline {
			r = other
		}
	}
	return r.End, r.Timeline, true
}

func startRange(ranges []manifest.WALRange) manifest.WALRange {
	r := ranges[0]
	for _, other := range ranges[1:] {
		if other.Timeline < r.Timeline {
			r = other
		}
	}
	return r
}
