package restore

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/getopt"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/progress"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/usage"
	"github.com/pgbasin/pgbasin/restore"
)

// withOnly are the options that mean something for single files, too.
var withOnly = []string{
	"help", "version", "only", "pgdata", "no-verify", "no-clean", "no-sync", "sync-method", "progress", "verbose", "json",
}

func (o *options) addOnly(path string) error {
	if path == "" {
		return usage.RefuseWithHelp("no value for option --only")
	}
	o.only = append(o.only, path)
	return nil
}

// noteOther notes when an option is given that --only cannot go with.
func (o *options) noteOther(option *getopt.Option) {
	if slices.Contains(withOnly, option.Long) {
		return
	}
	set := option.Set
	option.Set = func(value string) error {
		o.others = append(o.others, "--"+option.Long)
		return set(value)
	}
}

func (o *options) checkOnly() error {
	switch {
	case len(o.only) == 0:
	case len(o.others) > 0:
		return usage.RefuseWithHelp("%s and --only cannot be used together", o.others[0])
	case len(o.increments) > 0:
		return usage.RefuseWithHelp("--only gets files out of one full backup, which \"pgbasin combine\" makes of several")
	}
	return nil
}

// runOnly gets single files.
func (r *run) runOnly(ctx context.Context) int {
	dir, err := filepath.Abs(r.o.directory.Text)
	if err != nil {
		return r.fail(ctx, nil, fmt.Errorf("could not find the current directory: %w", err))
	}
	if r.o.progress {
		r.report = progress.New(r.p.Console, r.o.verbose)
	}
	result, err := restore.Only(ctx, restore.OnlyOptions{
		Backup: r.o.backup, Stdin: r.p.Stdin, Names: r.o.only, Dir: dir,
		NoVerify: r.o.Recovery.noVerify, Sync: r.o.sync(), NoClean: r.o.noClean, Observer: r.observer(),
	})
	r.report.Close(err == nil)
	if err != nil {
		return r.fail(ctx, nil, err)
	}
	if r.o.json {
		return r.p.AnswerJSON(onlyReport{
			Backup: r.o.backup, Directory: result.Dir, Only: r.o.only, Files: result.Files, Bytes: result.Bytes,
			Verified: result.Verified, Compared: result.Compared, DurationSeconds: float64(result.Duration.Milliseconds()) / 1000,
		})
	}
	r.p.Info(fmt.Sprintf("%s (%d bytes) restored into \"%s\"%s; this is not a data directory that can be started",
		count(result.Files), result.Bytes, result.Dir, r.compared(result)))
	return 0
}

// onlyReport is the object that --json prints for single files.
type onlyReport struct {
	Backup          string   `json:"backup"`
	Directory       string   `json:"directory"`
	Only            []string `json:"only"`
	Files           int64    `json:"files"`
	Bytes           int64    `json:"bytes"`
	Verified        bool     `json:"verified"`       // the backup has a manifest, and those that it is compared with are as it says
	Compared        int64    `json:"compared_files"` // with the manifest
	DurationSeconds float64  `json:"duration_seconds"`
}

func count(files int64) string {
	if files == 1 {
		return "1 file"
	}
	return fmt.Sprintf("%d files", files)
}

// compared says how far the files are known to be what the server had.
func (r *run) compared(result *restore.OnlyResult) string {
	switch {
	case r.o.Recovery.noVerify:
		return ", not compared with the manifest"
	case !result.Verified:
		return ", without a manifest to compare with"
	case result.Compared < result.Files:
		return fmt.Sprintf(", %d of them compared with the manifest", result.Compared)
	}
	return ", compared with the manifest"
}
