package backup

import (
	"errors"
	"fmt"
	"strings"

	"github.com/pgbasin/pgbasin/basebackup"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/getopt"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/usage"
)

// resume is what the command line says about lost connections; pg_basebackup knows
// none of it.
type resume struct {
	asked   bool
	retries usage.Optional
	count   int
}

func (o *options) resumeTable() []getopt.Option {
	return []getopt.Option{
		{Long: "resume", Set: usage.Flag(&o.resume.asked)},
		{Long: "retries", Arg: true, Set: o.setRetries},
	}
}

func (o *options) setRetries(v string) (err error) {
	o.resume.retries.Set(v)
	o.resume.count, err = usage.ParseInt(v, "--retries", 0, 1<<30)
	return err
}

// checkResume refuses what cannot be resumed whatever the server says.
func (o *options) checkResume() error {
	if !o.resume.asked {
		return nil
	}
	const need = "; take a fresh backup"
	switch {
	case o.target.Given:
		return usage.Refuse("--resume needs a backup in plain format, and a backup target is specified")
	case o.format == 't':
		return usage.Refuse("--resume needs a backup in plain format: what was received as tar files cannot be gone on with" + need)
	case o.previous.Given:
		return usage.Refuse("--resume needs a full backup: a full one is gone on with as an incremental one, and an incremental one cannot be" + need)
	case o.noManifest:
		return usage.Refuse("--resume needs a backup with a manifest: without one there is no journal of what has arrived" + need)
	case strings.EqualFold(o.manifestChecksums.Text, "none"):
		return usage.Refuse("--resume needs checksums in the manifest: without them there is no journal of what has arrived" + need)
	case o.noVerify:
		return usage.Refuse("--resume cannot be used with --no-verify: without checksums there is no journal of what has arrived" + need)
	}
	return nil
}

// apply tells the library.
func (r *resume) apply(lib *basebackup.Options, dropIn bool) {
	lib.Resumable, lib.Resume = !dropIn, r.asked
	switch {
	case !r.retries.Given:
		lib.Retries = 0
	case r.count == 0:
		lib.Retries = -1
	default:
		lib.Retries = r.count
	}
}

// resumeFailure adds to a failure what can be gone on with; ok is false if nothing can.
func (o *options) resumeFailure(f *failure, err error) (ok bool) {
	var resumable *basebackup.ResumableError
	var refused *basebackup.ResumeError
	var leftover *basebackup.LeftoverError
	switch {
	case errors.As(err, &refused):
		if errors.As(err, &resumable) {
			f.details = o.kept(resumable)
		} else if !o.resume.asked {
			return true // nothing had come yet, and nothing is left
		}
		f.hints = append(f.hints, fmt.Sprintf("Remove what is in \"%s\" and leave out --resume to take a fresh backup.", refused.Path))
		return true
	case errors.As(err, &resumable):
		f.details = o.kept(resumable)
		f.hints = append(f.hints, fmt.Sprintf("Go on with it: pgbasin backup --resume -D \"%s\", with the other options as before.", resumable.Path))
		return true
	case errors.As(err, &leftover):
		f.hints = append(f.hints, fmt.Sprintf("A backup that was broken off is in \"%s\": --resume goes on with it, with the other options as before.", leftover.Path))
		return true
	}
	return false
}

func (o *options) kept(r *basebackup.ResumableError) []string {
	what := fmt.Sprintf("%d files with %d MB have arrived whole and were kept", r.Files, r.Bytes>>20)
	if r.Files == 1 {
		what = fmt.Sprintf("1 file with %d MB has arrived whole and was kept", r.Bytes>>20)
	}
	return []string{fmt.Sprintf("%s in \"%s\". It is not a complete backup.", what, r.Path)}
}
