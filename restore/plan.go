package restore

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"

	"github.com/pgbasin/pgbasin/backupset"
	"github.com/pgbasin/pgbasin/chain"
	"github.com/pgbasin/pgbasin/internal/claim"
	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/pgdata"
	"github.com/pgbasin/pgbasin/recoveryconf"
	"github.com/pgbasin/pgbasin/tarstream"
	"github.com/pgbasin/pgbasin/walarchive"
)

// Plan is what a restore is going to do. Close it when it is not run, too.
type Plan struct {
	Backup       string         // path, or "-"
	Incrementals []string       // that follow it, oldest first
	Form         backupset.Form // how the backup is stored; of several the newest
	Version      pgdata.Version // of the server; 0 = known only when standard input was read
	SystemID     uint64         // 0 = not known
	Label        string
	Start        lsn.LSN // where recovery starts; 0 = not known
	Stop         lsn.LSN // where the cluster is consistent at the earliest; 0 = not known
	Timeline     uint32  // at Start
	Verify       bool    // every file will be compared with a manifest, of the backup or in the stream
	DataDir      string
	WALDir       string // "" if the WAL goes into the data directory
	Bytes        int64  // of all files, as far as it is known
	BytesKnown   bool   // Bytes is not just a lower bound

	Tablespaces   []Tablespace
	Archives      []backupset.Archive
	WAL           WAL
	Configuration []recoveryconf.Files // what is written into the configuration; empty while Version is not known
	Debris        []string             // directories with what a killed restore left, to be removed first
	Warnings      []string

	o     Options
	set   *backupset.Set // of several the newest
	chain *chain.Chain   // all of them; nil if there is one
	head  *backupset.Head

	segmentSize int64 // of the WAL, in bytes; 0 = not known

	mu       sync.Mutex // of Warnings
	prepared bool
}

// NotEmptyError says that a directory which the restore should fill holds
// something.
type NotEmptyError = claim.NotEmptyError

// IncrementalError says that a backup is of no use without those before it.
type IncrementalError struct {
	Path string
	From lsn.LSN // the start of the backup that it builds on
}

func (e *IncrementalError) Error() string {
	return fmt.Sprintf("backup %q is incremental: it holds the changes since the backup that started at %v, and cannot be restored alone", e.Path, e.From)
}

// Prepare opens the backup, decides where its parts go and refuses what cannot
// be restored. It writes nothing. Errors are, among others, those of
// backupset.Open, *IncrementalError, *NotEmptyError, *OverlapError,
// *SpaceError, *MissingTablespaceError, *UnknownMappingError, *TargetError and
// *recoveryconf.Unsupported.
func Prepare(ctx context.Context, o Options) (*Plan, error) {
	p := &Plan{Backup: o.Backup, Incrementals: o.Incrementals, DataDir: filepath.Clean(o.DataDir), o: o}
	if err := p.checkOptions(); err != nil {
		return nil, err
	}
	if err := p.open(ctx); err != nil {
		return nil, err
	}
	if err := p.prepare(ctx); err != nil {
		p.Close()
		return nil, err
	}
	for _, w := range p.Warnings {
		o.Observer.warning(w)
	}
	p.prepared = true
	return p, nil
}

// open opens the backup, or all that belong together.
func (p *Plan) open(ctx context.Context) (err error) {
	if len(p.o.Incrementals) == 0 {
		p.set, err = backupset.Open(p.o.Backup, backupset.Options{Stdin: p.o.Stdin, Note: p.warn})
		return err
	}
	p.chain, err = chain.Open(ctx, append([]string{p.o.Backup}, p.o.Incrementals...), chain.Options{
		Note: p.warn, Warn: func(w chain.Warning) { p.warn(w.Message) },
		NoVerify: p.o.NoVerify, Jobs: p.o.Jobs, TempDir: p.DataDir,
	})
	if err == nil {
		p.set = p.chain.Last()
	}
	return err
}

// look finds out what the backup is.
func (p *Plan) look(ctx context.Context) (err error) {
	if p.chain != nil {
		p.head = p.chain.Head()
		return nil
	}
	if p.head, err = p.set.Peek(ctx); err != nil {
		return err
	}
	if (p.head.Version == 0 || p.o.ReadAll && !p.head.All) && p.Backup != "-" {
		// It takes a compressed archive without a manifest to get here.
		d, err := p.set.Describe(ctx)
		if err != nil {
			return err
		}
		p.head = &d.Head
	}
	return nil
}

// read passes the members of an archive to v: of several backups what they are
// together.
func (p *Plan) read(ctx context.Context, a *backupset.Archive, v tarstream.Visitor) error {
	if p.chain != nil {
		return p.chain.Read(ctx, a, v)
	}
	return p.set.Read(ctx, a, v)
}

// warn adds a warning. Those of Prepare are told when it has succeeded; archives
// that are read side by side give theirs at any time.
func (p *Plan) warn(message string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.Warnings = append(p.Warnings, message)
	if p.prepared {
		p.o.Observer.warning(message)
	}
}

func (p *Plan) checkOptions() error {
	if len(p.o.Incrementals) > 0 && (p.o.Backup == "-" || slices.Contains(p.o.Incrementals, "-")) {
		return errors.New("several backups cannot be read from standard input")
	}
	if p.o.DataDir == "" || !filepath.IsAbs(p.o.DataDir) {
		return fmt.Errorf("data directory %q is not an absolute path", p.o.DataDir)
	}
	if p.o.WALDir != "" {
		if !filepath.IsAbs(p.o.WALDir) {
			return fmt.Errorf("WAL directory %q is not an absolute path", p.o.WALDir)
		}
		p.WALDir = filepath.Clean(p.o.WALDir)
	}
	for _, m := range p.o.Tablespaces {
		if !filepath.IsAbs(m.New) {
			return fmt.Errorf("tablespace %q cannot go to %q, which is not an absolute path", m.Old, m.New)
		}
	}
	return nil
}

func (p *Plan) prepare(ctx context.Context) error {
	if err := p.look(ctx); err != nil {
		return err
	}
	h := p.head
	p.Form, p.Archives = p.set.Form, p.set.Archives
	p.Version, p.SystemID = h.Version, h.SystemID
	if h.Label != nil {
		p.Label = h.Label.Label
		if h.Label.Incremental() {
			return &IncrementalError{p.set.Path, h.Label.IncrementalFromLSN}
		}
	}
	if p.Version != 0 {
		if err := p.checkVersion(p.Version); err != nil {
			return err
		}
		p.Configuration = p.configuration(p.Version, nil)
	}
	p.Start, p.Timeline, _ = h.Start()
	p.Stop, _, _ = h.Stop()
	p.Verify = !p.o.NoVerify && (h.Manifest != nil || p.set.Form == backupset.Tar)
	if h.StaleManifest {
		p.warn("the backup_manifest in the backup is that of an earlier backup and is not used")
	}

	if err := p.tablespaces(); err != nil {
		return err
	}
	if err := p.checkTargets(); err != nil {
		return err
	}
	p.sizes()
	var archive *walarchive.Archive
	var err error
	if p.o.WALArchive != "" {
		if archive, err = walarchive.Open(p.o.WALArchive); err != nil {
			return err
		}
	}
	if err := p.checkWAL(ctx, archive); err != nil {
		return err
	}
	if err := p.checkTarget(ctx, archive); err != nil {
		return err
	}
	return checkSpace(p.demands())
}

// checkVersion refuses what servers of the version cannot do.
func (p *Plan) checkVersion(v pgdata.Version) error {
	if err := p.o.Recovery.Check(int(v)); err != nil {
		return err
	}
	return p.o.Settings.Check(int(v))
}

// configuration is what will be written, given the names of the recovery
// parameters that the backup's own configuration sets.
func (p *Plan) configuration(v pgdata.Version, override []string) []recoveryconf.Files {
	r := p.o.Recovery
	r.Override = override
	return append(recoveryconf.SettingsFile(p.o.Settings), r.Files(int(v))...)
}

// sizes adds up what will be written.
func (p *Plan) sizes() {
	p.BytesKnown = p.chain == nil // the newest of several holds what changed
	for _, a := range p.Archives {
		switch {
		case a.Content >= 0:
			p.Bytes += a.Content
		default:
			p.Bytes += max(a.Stored, 0)
			p.BytesKnown = false
		}
	}
	// What is compressed is at least as large as the manifest says.
	if m := p.head.Manifest; p.chain == nil && !p.BytesKnown && m != nil && m.Bytes > p.Bytes {
		p.Bytes = m.Bytes
	}
}

// demands are the bytes by directory.
func (p *Plan) demands() []demand {
	total := map[string]*demand{}
	var order []*demand
	add := func(path string, a *backupset.Archive) {
		d := total[path]
		if d == nil {
			d = &demand{path: path, exact: true}
			total[path], order = d, append(order, d)
		}
		switch {
		case a.Content >= 0:
			d.bytes += a.Content
			d.exact = d.exact && p.chain == nil
		case a.Kind == backupset.WAL && p.WAL.Needed > 0:
			d.bytes += p.WAL.Needed * p.segmentSize
			d.exact = false
		default:
			d.bytes += max(a.Stored, 0)
			d.exact = false
		}
	}
	for i := range p.Archives {
		a := &p.Archives[i]
		add(p.directory(a), a)
	}
	list := make([]demand, 0, len(order))
	var sum int64
	for _, d := range order {
		list = append(list, *d)
		sum += d.bytes
	}
	if p.Bytes > sum && len(list) > 0 {
		list[0].bytes += p.Bytes - sum // most of it goes there
	}
	return list
}

// directory is where an archive's files go.
func (p *Plan) directory(a *backupset.Archive) string {
	switch a.Kind {
	case backupset.WAL:
		if p.WALDir != "" {
			return p.WALDir
		}
		return filepath.Join(p.DataDir, "pg_wal") // no tar of its own holds WAL before 10
	case backupset.Tablespace:
		if t := p.tablespace(a.OID); t != nil {
			return t.Path
		}
	}
	return p.DataDir
}

// Close releases the backup. The Plan cannot be run any more.
func (p *Plan) Close() error {
	if p.set == nil {
		return nil
	}
	var err error
	if p.chain != nil {
		err = p.chain.Close()
	} else {
		err = p.set.Close()
	}
	p.set = nil
	return err
}

var errClosed = errors.New("restore: the plan is closed or was run before")
