package verify

import (
	"runtime"

	"github.com/pgbasin/pgbasin/manifest"
)

// Format is how a backup is stored.
type Format int

const (
	Detect Format = iota // plain if there is a PG_VERSION, else tar
	Plain
	Tar
)

// String is the name that the option -F/--format takes.
func (f Format) String() string {
	switch f {
	case Plain:
		return "plain"
	case Tar:
		return "tar"
	}
	return "detect"
}

// Options say what to check. Only Path is required.
type Options struct {
	Path         string // the directory of the backup
	Format       Format
	ManifestPath string // "" = backup_manifest in Path
	WALDirectory string // WAL segments, also compressed; "" = the backup's own
	// Ignore are paths relative to the data directory, with slashes, that are
	// left out, with all that is below them. Some are always left out: see
	// alwaysIgnored.
	Ignore []string

	SkipChecksums bool // compare names and sizes only
	NoParseWAL    bool
	ExitOnError   bool // stop at the first problem
	// PageChecksums has each page's own checksum checked, too, where the cluster
	// has them. The files of an incremental backup that hold changed blocks only
	// have no such pages.
	PageChecksums bool

	// WithoutManifest lets a backup without a manifest be checked as far as that
	// goes, by its WAL and its page checksums: servers before 13 write none.
	WithoutManifest bool

	// ShutDown says that the directory is that of a server which was shut down,
	// not a copy made beside a running one: no page may be wrong, with whatever
	// WAL, except in free space maps, which are not kept with care.
	ShutDown bool

	Jobs     int // files read at the same time; 0 = the number of processors
	Observer Observer
}

// Observer is told what happens. Its functions may be nil, and are never called
// by two goroutines at once.
type Observer struct {
	// Problem is called for each problem as it is found. In plain format
	// everything that names and sizes tell comes before the first file is read.
	Problem func(*Problem)
	// Warning is told what is odd but no problem.
	Warning func(string)
	// Progress is called at the beginning and at the end of reading and for each
	// piece between.
	Progress func(Progress)
}

// Progress is how much of the backup's files has been read. In plain format it
// counts the files whose checksums are compared, in tar format the archives as
// they are stored.
type Progress struct {
	Done, Total int64 // bytes
	Finished    bool
}

// Report is what was checked, and what was found.
type Report struct {
	Format          Format
	NoManifest      bool   // there is none; see Options.WithoutManifest
	ManifestVersion int    // 1 or 2; 0 without one
	SystemID        uint64 // 0 if neither manifest nor control file told

	Files int64 // that the manifest lists, or without one that there are, but for those to be ignored
	Bytes int64 // of content that was compared with a checksum

	WAL   []WALReport // one for each range that the manifest names, unless NoParseWAL; without a manifest one
	Pages *PageReport // nil without PageChecksums

	Problems []*Problem // the first MaxProblems
	Total    int64      // how many problems there are
}

// WALReport is about one range of WAL that the backup needs.
type WALReport struct {
	manifest.WALRange
	Err error // nil if all of it is there and sound
}

// MaxProblems is how many problems a Report keeps.
const MaxProblems = 1000

// OK tells whether nothing is wrong with the backup.
func (r *Report) OK() bool { return r.Total == 0 }

func (o *Options) jobs() int {
	if o.Jobs > 0 {
		return o.Jobs
	}
	return runtime.GOMAXPROCS(0)
}
