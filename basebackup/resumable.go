package basebackup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pgbasin/pgbasin/incremental"
	"github.com/pgbasin/pgbasin/internal/journal"
	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/manifest"
	"github.com/pgbasin/pgbasin/replproto"
	"github.com/pgbasin/pgbasin/wal"
)

// ResumeError says why a backup that was broken off cannot be gone on with. What there
// is of it is left as it was.
type ResumeError struct {
	Path   string // the data directory
	Reason string // a clause
	Err    error  // the server's refusal, if that is the reason
}

func (e *ResumeError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("cannot resume the backup in %q, a fresh one is needed: %v", e.Path, e.Err)
	}
	return fmt.Sprintf("cannot resume the backup in %q, a fresh one is needed: %s", e.Path, e.Reason)
}

func (e *ResumeError) Unwrap() error { return e.Err }

// CompleteError says that there is nothing to resume.
type CompleteError struct{ Path string }

func (e *CompleteError) Error() string {
	return fmt.Sprintf("there is nothing to resume: the backup in %q is complete", e.Path)
}

func (k *keeper) refuse(format string, args ...any) error {
	return &ResumeError{Path: k.directory.o.Path, Reason: fmt.Sprintf(format, args...)}
}

// survey asks whether the server's backups can be gone on with, and whether what there
// is fits the server.
func (k *keeper) survey(ctx context.Context, b *backup) error {
	if k == nil {
		return nil
	}
	k.active = false
	if reason, err := k.unsuited(ctx, b.conn); err != nil {
		return err
	} else if reason != "" {
		if k.o.Resume || k.taken {
			return k.refuse("%s", reason)
		}
		return nil
	}
	block, segment, err := b.conn.RelationFiles(ctx)
	if err != nil {
		return err
	}
	k.active = true
	k.layout = incremental.Layout{BlockSize: block, SegmentBlocks: segment}
	k.server = attempt{
		systemID: b.result.SystemID, major: int(b.s.version) / 10000, blockSize: block, algorithm: k.sumsWith(),
	}
	if k.stock == nil {
		return nil
	}
	return k.fits(ctx, b)
}

// unsuited says why the server's backups cannot be gone on with; "" if they can.
func (k *keeper) unsuited(ctx context.Context, c *replproto.Conn) (reason string, err error) {
	if c.ServerVersion() < 170000 {
		return fmt.Sprintf("that needs server version 17 or later, this server is %s", c.ServerVersionString()), nil
	}
	on, err := c.Show(ctx, "summarize_wal")
	var refused *replproto.ServerError
	if errors.As(err, &refused) && refused.Code == replproto.CodeUndefinedObject {
		on, err = "off", nil
	}
	if err != nil {
		return "", err
	}
	if on != "on" {
		return "summarize_wal is off on the server, which therefore does not know what was changed meanwhile", nil
	}
	return "", nil
}

func (k *keeper) sumsWith() manifest.ChecksumAlgorithm {
	a, err := manifest.ParseChecksumAlgorithm(k.o.ManifestChecksums)
	if err != nil {
		return manifest.DefaultChecksumAlgorithm // "", as everything else was refused
	}
	return a
}

// fits refuses a server, or options, that the files in stock are not of.
func (k *keeper) fits(ctx context.Context, b *backup) error {
	system, err := b.conn.IdentifySystem(ctx)
	if err != nil {
		return err
	}
	now, before := &k.server, k.stock.last()
	switch {
	case now.systemID != before.systemID:
		return k.refuse("it is of another cluster, with system identifier %d and not %d", before.systemID, now.systemID)
	case now.major != before.major:
		return k.refuse("it is of a server of version %d and not %d", before.major, now.major)
	case now.blockSize != before.blockSize:
		return k.refuse("it is of a server with blocks of %d bytes and not %d", before.blockSize, now.blockSize)
	case now.algorithm != before.algorithm:
		return k.refuse("its files have %v checksums and not %v (--manifest-checksums)", before.algorithm, now.algorithm)
	}
	return k.fitsHistory(ctx, b.conn, system)
}

// fitsHistory sees that the server has all the changes which the files in stock have.
// Its position and its timeline alone do not tell: it may be a standby that is behind the
// server which the files came from, or was, when it was promoted. Then the changes that
// it does not know would be neither undone nor made again.
func (k *keeper) fitsHistory(ctx context.Context, c *replproto.Conn, system replproto.System) error {
	var history []wal.Ancestor
	for timeline, newest := range k.stock.newest() {
		if timeline == system.Timeline {
			if newest > system.Position {
				return k.refuse("its files have changes up to %v, but this server is only at %v", newest, system.Position)
			}
			continue
		}
		if history == nil && system.Timeline > 1 {
			_, content, err := c.TimelineHistory(ctx, system.Timeline)
			if err != nil {
				return err
			}
			if history, err = wal.ParseHistory(content); err != nil {
				return err
			}
		}
		end, ok := endOf(history, timeline)
		if !ok {
			return k.refuse("it is on timeline %d, which is not in the history of this server's timeline %d", timeline, system.Timeline)
		}
		if newest > end {
			return k.refuse("its files have changes up to %v, but this server left timeline %d at %v", newest, timeline, end)
		}
	}
	return nil
}

func endOf(history []wal.Ancestor, timeline uint32) (end lsn.LSN, ok bool) {
	for _, a := range history {
		if a.Timeline == timeline {
			return a.End, true
		}
	}
	return 0, false
}

// checkStop sees that the backup's recovery goes on until all changes are made that the
// files in stock have a part of. A server that the files are from always says so:
// changes are logged before they are written.
func (k *keeper) checkStop() error {
	for _, newest := range k.stock.newest() {
		if newest > k.s.stop {
			return k.refuse("its files have changes up to %v, but the server ended the backup at %v", newest, k.s.stop)
		}
	}
	return nil
}

// upload tells the server which files are there, and since when.
func (k *keeper) upload(ctx context.Context, c *replproto.Conn, since lsn.LSN) error {
	return k.refused(uploadManifest(ctx, c, func(w io.Writer) error { return k.stock.upload(w, since) }))
}

// baseBackup runs BASE_BACKUP, of what is not there if something is.
//
// A standby's backup starts at its last restart point, which may still be the one that
// the reference has. For a range of WAL without anything in it there are no summaries,
// and that is refused; so that it ends with something, it begins one byte
// before. Then the changes since the restart point before come, too, at the most.
func (k *keeper) baseBackup(ctx context.Context, c *replproto.Conn, o replproto.BaseBackupOptions) (*replproto.BaseBackup, error) {
	if !k.resumed() {
		return c.BaseBackup(ctx, o)
	}
	o.Incremental = true
	bb, err := c.BaseBackup(ctx, o)
	if replproto.HasCode(err, replproto.CodeNotInState) && c.Parameter("in_hot_standby") == "on" {
		if err := k.upload(ctx, c, k.stock.reference().start-1); err != nil {
			return nil, err
		}
		bb, err = c.BaseBackup(ctx, o)
	}
	return bb, k.refused(err)
}

// announce tells the server what is there, if anything is.
func (k *keeper) announce(ctx context.Context, c *replproto.Conn) error {
	if !k.resumed() {
		return nil
	}
	return k.upload(ctx, c, k.stock.reference().start)
}

// refused makes the server's refusal of what there is one of going on.
func (k *keeper) refused(err error) error {
	if k.resumed() && replproto.HasCode(err, replproto.CodeNotInState) {
		return &ResumeError{Path: k.directory.o.Path, Err: err}
	}
	return err
}

// takeUp takes the directories of a backup that an earlier run has left, and what the
// journal says of them.
func (k *keeper) takeUp() error {
	path := k.directory.o.Path
	if err := k.directory.dirs.TakeOver("data", path, ""); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return k.refuse("the directory is not there")
		}
		return err
	}
	s, err := readStock(k.journalPath())
	var damaged *journal.DamagedError
	switch {
	case errors.Is(err, os.ErrNotExist):
		if _, err := k.root().Lstat(replproto.ManifestName); err == nil {
			return &CompleteError{Path: path}
		}
		return k.refuse("there is no file %q in it, so that it is not known what has arrived", JournalName)
	case errors.As(err, &damaged), errors.Is(err, errRecord):
		return k.refuse("%v", err)
	case err != nil:
		return err
	}
	last := s.last()
	if last == nil {
		return k.refuse("its journal has nothing in it")
	}
	if err := k.samePlaces(last.places); err != nil {
		return err
	}
	k.taken, k.before, k.attempts = true, last.places, len(s.attempts)
	k.roots = newRoots(path, last.places, k.directory.dirs.Open)
	for _, p := range last.places {
		if p.name == "" {
			k.directory.dirs.Adopt(path, p.made)
			continue
		}
		what := "tablespace"
		if p.name == "pg_wal" {
			what, k.directory.o.WALDir = "WAL", p.path
		}
		err := k.directory.dirs.TakeOver(what, p.path, p.made)
		if errors.Is(err, os.ErrNotExist) && what == "tablespace" {
			delete(k.roots.spaces, p.name) // its files come again
			err = nil
		}
		if err != nil {
			return err
		}
	}
	if k.o.CreateSlot && last.slot == k.o.Slot {
		k.slot = last.slot
	}
	k.journal, err = journal.Append(k.journalPath(), s.end)
	if err != nil {
		return err
	}
	k.use(s)
	return nil
}

// samePlaces refuses options that put a part of the backup elsewhere, and a directory
// that is not the one which the journal was made in: what it names would be another's.
func (k *keeper) samePlaces(places []place) error {
	d := k.directory
	given := d.o.Tablespaces
	if apart := func(p place) bool { return p.name == "pg_wal" }; d.o.WALDir != "" && !slices.ContainsFunc(places, apart) {
		// Whatever is in there is not the backup's.
		return k.refuse("its WAL is in %q and not in %q", filepath.Join(d.o.Path, "pg_wal"), d.o.WALDir)
	}
	for _, p := range places {
		switch {
		case p.name == "":
			if !sameFile(p.path, d.o.Path) {
				return k.refuse("it was made in %q, and what belongs to it elsewhere is not this directory's", p.path)
			}
		case p.name == "pg_wal":
			if d.o.WALDir != "" && d.o.WALDir != p.path {
				return k.refuse("its WAL directory is %q and not %q", p.path, d.o.WALDir)
			}
		case mapped(given, p.location, p.path) != p.path:
			return k.refuse("the tablespace that the server has at %q is in %q and not in %q", p.location, p.path, d.place(p.location))
		default:
			d.o.Tablespaces = append(slices.Clip(d.o.Tablespaces), TablespaceMapping{Old: p.location, New: p.path})
		}
		if p.name != "" {
			if err := plausible(p); err != nil {
				return k.refuse("%v", err)
			}
		}
	}
	return nil
}

func sameFile(a, b string) bool {
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(infoA, infoB)
}

// plausible sees that a directory outside of the data directory holds what a backup has
// there and nothing else, because everything in it may be removed.
func plausible(p place) error {
	entries, err := os.ReadDir(p.path)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	}
	for _, e := range entries {
		ok := false
		if p.name == "pg_wal" {
			segment, _, _ := strings.Cut(e.Name(), ".")
			ok = wal.IsSegmentName(segment) || wal.IsHistoryName(e.Name()) || e.Name() == "archive_status" || e.Name() == "summaries"
		} else {
			match, _ := filepath.Match("PG_[0-9]*_[0-9]*", e.Name())
			ok = match && e.IsDir()
		}
		if !ok {
			return fmt.Errorf("there is %q in %q, which no backup has put there", e.Name(), p.path)
		}
	}
	return nil
}
