package verify

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/manifest"
	"github.com/pgbasin/pgbasin/pgdata"
)

// verifier is one Run.
type verifier struct {
	o            *Options
	dir          string
	manifestPath string
	format       Format
	ignore       ignoreList
	partSize     int64 // see defaultPartSize
	index        *index
	ranges       []manifest.WALRange

	list func(*file) error // what walk does with files, without a manifest; nil at first

	matchedFiles int64 // of the index
	ignoredMore  bool  // ignore has grown since the index was made

	walArchive *archive    // tar format: that of pg_wal, if there is one
	wal        []WALReport // what checkWAL found

	mu         sync.Mutex // guards what follows, and the calls of the Observer
	fetchedWAL *archive   // tar format: the archive that has segments in pg_wal, if there is one
	pages      *pageChecker
	control    *pgdata.Control     // of the backup; nil if it could not be read
	label      *pgdata.BackupLabel // without a manifest
	labelErr   error
	report     Report
	progress   Progress
}

// errEnough ends everything at the first problem.
var errEnough = errors.New("there is a problem, and the first one was to be the last")

// Run verifies the backup. An error says why that could not be done or finished,
// as that of the context. Otherwise the Report tells whether the backup is good;
// it is never nil, and after an error it has what was found before.
func Run(ctx context.Context, o Options) (*Report, error) {
	v := newVerifier(o)
	err := v.run(ctx)
	if errors.Is(err, errEnough) {
		err = nil
	}
	return &v.report, err
}

func newVerifier(o Options) *verifier {
	v := &verifier{
		o: &o, dir: clean(o.Path), manifestPath: clean(o.ManifestPath),
		ignore: newIgnoreList(o.Ignore), partSize: defaultPartSize,
	}
	if v.manifestPath == "" {
		v.manifestPath = v.dir + "/backup_manifest"
	}
	return v
}

// clean is filepath.Clean, but leaves nothing as it is.
func clean(path string) string {
	if path == "" {
		return ""
	}
	return filepath.Clean(path)
}

func (v *verifier) run(ctx context.Context) error {
	if err := v.readManifest(); err != nil {
		if err = v.withoutManifest(err); err != nil {
			return err
		}
	}
	dir, err := os.Open(v.dir)
	if err == nil {
		// Opening a file is no error, reading it as a directory is.
		_, err = dir.Readdirnames(1)
		if errors.Is(err, errNoMore) {
			err = nil
		}
		dir.Close()
	}
	if err != nil {
		return fmt.Errorf("could not open directory \"%s\": %w", v.dir, systemError(err))
	}
	if err := v.detectFormat(); err != nil {
		return err
	}
	if v.format == Tar {
		return v.runTar(ctx)
	}
	return v.runPlain(ctx)
}

func (v *verifier) detectFormat() error {
	v.format = v.o.Format
	if v.format == Detect {
		path := v.dir + "/PG_VERSION"
		_, err := os.Stat(path)
		switch {
		case err == nil:
			v.format = Plain
		case errors.Is(err, fs.ErrNotExist):
			v.format = Tar
		default:
			return fmt.Errorf("could not stat file \"%s\": %w", path, err)
		}
	}
	v.report.Format = v.format
	return nil
}

func (v *verifier) runPlain(ctx context.Context) error {
	if err := v.walk(ctx); err != nil {
		return err
	}
	if err := v.reportMissing(); err != nil {
		return err
	}
	if v.report.NoManifest {
		if err := v.readLabelFile(); err != nil {
			return err
		}
	}
	if v.o.PageChecksums {
		if err := v.checkPageSizes(); err != nil {
			return err
		}
		v.report.Pages = &PageReport{}
		if v.control.DataChecksumVersion == checksumsOn {
			v.pages = newPageChecker(v.control, v.start())
		}
	}
	group, inner := errgroup.WithContext(ctx)
	group.Go(func() error { return v.checkWAL(inner) })
	if v.pages != nil || !v.o.SkipChecksums && !v.report.NoManifest {
		group.Go(func() error { return v.readFiles(inner) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return v.conclude(ctx)
}

// start is where the WAL begins that the backup needs.
func (v *verifier) start() lsn.LSN {
	if v.o.ShutDown {
		return math.MaxUint64 // after everything that is there
	}
	var start lsn.LSN
	if v.label != nil {
		start = v.label.Start
	}
	for i, r := range v.ranges {
		if i == 0 || r.Start < start {
			start = r.Start
		}
	}
	return start
}

// conclude reports what is known only when everything was read.
func (v *verifier) conclude(ctx context.Context) error {
	if v.report.NoManifest && v.control == nil {
		// A backup's last file: without it there is none.
		return &ControlError{Path: pgdata.ControlFile, Err: errors.New("is missing or damaged")}
	}
	if err := v.reportWAL(); err != nil {
		return err
	}
	if err := v.judgePages(ctx); err != nil {
		return err
	}
	if r := &v.report; r.NoManifest && len(r.WAL) == 0 && (r.Pages == nil || !r.Pages.Enabled) {
		return ErrNoManifest
	}
	return nil
}

// problem notes and reports what is wrong. It returns an error if that is to be
// the end.
func (v *verifier) problem(p *Problem) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.o.ExitOnError && v.report.Total > 0 {
		return errEnough // another goroutine was first
	}
	v.report.Total++
	if len(v.report.Problems) < MaxProblems {
		v.report.Problems = append(v.report.Problems, p)
	}
	if v.o.Observer.Problem != nil {
		v.o.Observer.Problem(p)
	}
	if v.o.ExitOnError {
		return errEnough
	}
	return nil
}

// warning passes on what is odd and no problem.
func (v *verifier) warning(text string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.o.Observer.Warning != nil {
		v.o.Observer.Warning(text)
	}
}

// compared counts content whose checksum was compared.
func (v *verifier) compared(n int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.report.Bytes += n
}

// read tells that so many bytes were read.
func (v *verifier) read(n int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.progress.Done += n
	v.show()
}

func (v *verifier) finished() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.progress.Finished = true
	v.show()
}

func (v *verifier) show() {
	if v.o.Observer.Progress != nil {
		v.o.Observer.Progress(v.progress)
	}
}

// systemError is what the operating system said, without what Go says it was
// about.
func systemError(err error) error {
	if path, ok := err.(*fs.PathError); ok {
		return path.Err
	}
	return err
}
