package basebackup

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pgbasin/pgbasin/manifest"
)

// ResumableError says that a backup failed and that Options.Resume can go on with it.
type ResumableError struct {
	Path  string // the data directory
	Files int    // how many have arrived whole that can be sent as changed blocks
	Bytes int64  // their size
	Err   error  // what ended the backup
}

func (e *ResumableError) Error() string { return e.Err.Error() }

func (e *ResumableError) Unwrap() error { return e.Err }

// checkResume refuses options with which a backup cannot be gone on with, and turns
// Resumable off where it makes no difference.
func (o *Options) checkResume(d Destination) error {
	_, plain := d.(*plain)
	o.Resumable = o.Resumable || o.Resume
	none := o.ManifestChecksums != "" && mustParse(o.ManifestChecksums) == manifest.None
	for _, c := range []struct {
		unsuited bool
		reason   string
	}{
		{!plain, "only backups in plain format can be resumed"},
		{o.NoManifest, "only backups with a manifest can be resumed"},
		{none, "only backups with checksums in the manifest can be resumed"},
		{o.NoVerify, "only backups that are verified can be resumed"},
	} {
		if c.unsuited && o.Resume {
			return errors.New(c.reason)
		}
		o.Resumable = o.Resumable && !c.unsuited
	}
	return nil
}

func mustParse(name string) manifest.ChecksumAlgorithm {
	a, err := manifest.ParseChecksumAlgorithm(name)
	if err != nil {
		return manifest.DefaultChecksumAlgorithm // refused elsewhere
	}
	return a
}

const (
	patience     = 10 * time.Minute // Options.Retries = 0
	longestPause = 30 * time.Second
)

// runResumable takes a backup in as many attempts as are needed and allowed.
func runResumable(ctx context.Context, o *Options, p *plain) (b *backup, err error) {
	k := &keeper{directory: p, o: o}
	p.s = &site{observer: &o.Observer}
	k.sums.start(ctx, k.sum)
	if o.Resume {
		if err := k.takeUp(); err != nil {
			k.end(true)
			return nil, err
		}
		if err := k.inspect(ctx); err != nil {
			return nil, k.failed(ctx, err, false)
		}
	}
	t := &tries{retries: o.Retries}
	lostOnce := false
	for {
		options := *o
		if k.slot != "" {
			options.CreateSlot = false
		}
		k.added.Store(0)
		b, err = runOnce(ctx, &options, k, k)
		if err == nil || b.kept {
			k.end(true)
			k.report(b.result)
			return b, err
		}
		if !k.taken || ctx.Err() != nil || !lost(err, lostOnce) {
			return b, k.failed(ctx, err, lostOnce)
		}
		lostOnce = true
		pause, ok := t.next(k.added.Load() > 0, time.Now())
		if !ok {
			return b, k.failed(ctx, err, lostOnce)
		}
		o.Observer.retry(fmt.Sprintf("trying to go on with the backup in %d s", int(pause.Seconds())), err)
		if waitErr := sleep(ctx, pause); waitErr != nil {
			return b, k.failed(ctx, waitErr, lostOnce)
		}
		if againErr := k.again(ctx); againErr != nil {
			return b, k.failed(ctx, errors.Join(err, againErr), lostOnce)
		}
	}
}

// tries are the attempts of a run.
type tries struct {
	retries int       // as in Options
	vain    int       // failures, one after the other, without progress
	since   time.Time // of the first of them
}

// next is told of a failure. It tells how long to wait before the next attempt, and
// whether there is to be one.
func (t *tries) next(progress bool, now time.Time) (pause time.Duration, ok bool) {
	if progress || t.vain == 0 {
		t.vain, t.since = 0, now
	}
	pause = min(time.Second<<min(t.vain, 10), longestPause)
	t.vain++
	switch {
	case t.retries < 0:
		return 0, false
	case t.retries > 0:
		return pause, t.vain <= t.retries
	}
	return pause, now.Sub(t.since)+pause <= patience
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// failed ends the run. What there is stays if a lost connection is why, or if it was
// there before.
func (k *keeper) failed(ctx context.Context, err error, lost bool) error {
	if k.slot != "" {
		dropSlot(k.o, k.slot)
	}
	files, bytes := k.left()
	keep := k.o.Resume || lost && files > 0 && ctx.Err() == nil
	k.end(keep)
	if !keep || files == 0 {
		return err
	}
	return &ResumableError{Path: k.directory.o.Path, Files: files, Bytes: bytes, Err: err}
}

// left is what the journal has.
func (k *keeper) left() (files int, bytes int64) {
	if k.journal == nil {
		return 0, 0
	}
	_ = k.sums.wait()
	s, err := readStock(k.journalPath())
	if err != nil {
		return 0, 0
	}
	return len(s.index), s.bytes()
}

// inspect looks at the server before it looks at the files, which takes long.
func (k *keeper) inspect(ctx context.Context) error {
	conn, err := k.o.Connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetNotice(k.o.Observer.Notice)
	b := &backup{o: k.o, d: k, conn: conn, result: &Result{}}
	if err := b.survey(ctx); err != nil {
		return err
	}
	if err := k.survey(ctx, b); err != nil {
		return err
	}
	if k.slot != "" {
		// The run that made it may have dropped it.
		slot, err := conn.ReadSlot(ctx, k.slot)
		if err != nil {
			return err
		}
		if slot.Type == "" {
			k.slot = ""
		}
	}
	if err := conn.Close(); err != nil {
		return err
	}
	if k.stock == nil {
		return nil
	}
	k.o.Observer.info("checking the files that are there ...")
	s := k.stock
	if err := s.recheck(ctx, k.roots, false, k.changed); err != nil {
		return err
	}
	k.use(s)
	return nil
}

// opened, watch and begun are told how an attempt gets on. They may be called for nil.

// opened takes care of a slot that was made for the backup: it stays for the next
// attempt.
func (k *keeper) opened(w *walStream) {
	if k == nil || !k.active || !w.dropSlot {
		return
	}
	k.slot, w.dropSlot = w.slot, false
}

// watch is told of the checker of an attempt.
func (k *keeper) watch(c *checker) {
	if k != nil && k.active {
		c.Passed = k.passed
	}
}

// begun says what is saved. Bytes that are there count as done.
func (k *keeper) begun(m *meter) {
	if !k.resumed() {
		return
	}
	m.kept = k.stock.bytes()
	k.keptBytes = m.kept
	m.progress.Done = m.kept
	text := fmt.Sprintf("resumed: %s kept", megabytes(m.kept))
	if total := m.progress.Total; total > 0 {
		text = fmt.Sprintf("resumed: %d %% kept, %s to go", min(m.kept*100/total, 100), megabytes(max(total-m.kept, 0)))
	}
	k.o.Observer.retry(text, nil)
}

// report completes the result.
func (k *keeper) report(r *Result) {
	r.Attempts = k.attempts
	r.Kept = k.keptBytes
}
