package basebackup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/pgbasin/pgbasin/replproto"
)

// DefaultLabel is the backup's label when Options has none.
const DefaultLabel = "pgbasin base backup"

// Run takes a backup. When it returns nil, the backup is complete, durable and
// under its final name. When it returns an error, what it made is removed again
// (unless the destination's NoClean says otherwise) and what was there before
// is untouched.
//
// One error leaves the files in place: page checksum failures that the server
// found (replproto.HasCode with replproto.CodeDataCorrupted). All of the data
// has arrived then, but the backup does not get its manifest's final name. The
// result is returned with that error.
//
// With Options.Resumable, a lost connection does not end the backup, and what there is
// of it when it fails for good is not always removed: see there.
//
// Run ends soon after ctx does, with its cause.
func Run(ctx context.Context, o Options, d Destination) (*Result, error) {
	if o.Label == "" {
		o.Label = DefaultLabel
	}
	if o.TempDir == "" {
		o.TempDir = os.TempDir()
	}
	if err := o.check(d); err != nil {
		return nil, err
	}
	started := time.Now()
	var b *backup
	var err error
	if p, ok := d.(*plain); ok && o.Resumable {
		b, err = runResumable(ctx, &o, p)
	} else {
		b, err = runOnce(ctx, &o, d, nil)
	}
	if err != nil && (b == nil || !b.kept) {
		return nil, err
	}
	b.result.Duration = time.Since(started)
	return b.result, err
}

// runOnce makes one attempt. k is nil if there is to be one only.
func runOnce(ctx context.Context, o *Options, d Destination, k *keeper) (*backup, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	b := &backup{o: o, d: d, keeper: k, cancel: cancel, result: &Result{Label: o.Label}}
	err := b.run(ctx)
	if err != nil && !b.kept && ctx.Err() != nil {
		// What ended the backup, not where that happened to find it.
		err = context.Cause(ctx)
	}
	return b, err
}

// backup is one run.
type backup struct {
	o      *Options
	d      Destination
	cancel context.CancelCauseFunc
	s      site
	conn   *replproto.Conn
	wal    *walStream // nil unless WAL is streamed
	check  *checker
	meter  meter
	// previous and increments are nil unless the backup is incremental.
	previous   *previous
	increments *increments
	keeper     *keeper // nil unless the backup can be gone on with
	result     *Result
	kept       bool // the data is in place although there is an error
}

func (b *backup) run(ctx context.Context) (err error) {
	if b.conn, err = b.o.Connect(ctx); err != nil {
		return err
	}
	defer b.conn.Close()
	b.conn.SetNotice(b.o.Observer.Notice)
	if err := b.o.checkServer(b.conn, b.d); err != nil {
		return err
	}
	if err := b.survey(ctx); err != nil {
		return err
	}
	if err := b.openPrevious(ctx); err != nil {
		return err
	}
	defer b.previous.close()
	if err := b.keeper.survey(ctx, b); err != nil {
		return err
	}
	if b.d != nil {
		defer func() {
			if err != nil && !b.kept {
				b.d.abort()
			}
		}()
		if err := b.d.prepare(&b.s); err != nil {
			return err
		}
	}
	if err := b.uploadPrevious(ctx); err != nil {
		return err
	}
	if err := b.keeper.announce(ctx, b.conn); err != nil {
		return err
	}
	if b.o.WAL == WALStream {
		if b.wal, err = openWALStream(ctx, b.o, &b.s, b.result.SystemID, b.cancel); err != nil {
			return err
		}
		defer func() { b.wal.close(err != nil && !b.kept) }()
		b.keeper.opened(b.wal)
	}
	if b.check, err = newChecker(b.verifies(), b.o.ManifestChecksums, b.o.TempDir, b.result.SystemID); err != nil {
		return err
	}
	defer b.check.close()
	b.keeper.watch(b.check)
	return b.transfer(ctx)
}

// survey asks the server for what the backup must know of it.
func (b *backup) survey(ctx context.Context) error {
	system, err := b.conn.IdentifySystem(ctx)
	if err != nil {
		return err
	}
	v := b.conn.ServerVersion()
	b.s = site{
		version: v, walDirectory: "pg_wal", fileMode: 0o600,
		streaming: b.o.WAL == WALStream, withManifest: !b.o.NoManifest && v >= 130000,
		observer: &b.o.Observer, tempDir: b.o.TempDir, onFile: b.meter.file,
	}
	if v < 100000 {
		b.s.walDirectory = "pg_xlog"
	}
	if b.s.dirMode, err = b.conn.DirMode(ctx); err != nil {
		return err
	}
	if b.s.dirMode&0o070 != 0 {
		b.s.fileMode = 0o640
	}
	if b.s.segmentSize, err = b.conn.SegmentSize(ctx); err != nil {
		return err
	}
	if b.o.PrimaryConnInfo != nil {
		b.s.injection = recoveryInjection(v, b.o.PrimaryConnInfo(v), b.o.Slot, &b.s)
	}
	b.meter.observe = b.o.Observer.Progress
	b.result.SystemID = system.ID
	b.result.ServerVersion = b.conn.ServerVersionString()
	b.result.Manifest = b.s.withManifest
	return nil
}

func (b *backup) verifies() bool { return b.s.withManifest && !b.o.NoVerify && b.d != nil }

// transfer runs the backup itself, from the server's checkpoint to the final
// name.
func (b *backup) transfer(ctx context.Context) error {
	observer := &b.o.Observer
	observer.info(StepCheckpoint)
	bb, err := b.keeper.baseBackup(ctx, b.conn, b.command())
	if err != nil {
		return err
	}
	observer.info("checkpoint completed")
	b.s.start, b.s.timeline = bb.Start, bb.Timeline
	b.result.Start, b.result.Timeline = bb.Start, bb.Timeline
	if b.o.WAL != WALNone {
		observer.info(fmt.Sprintf("write-ahead log start point: %s on timeline %d", bb.Start, bb.Timeline))
	}
	if b.d != nil {
		if err := b.d.begin(bb.Tablespaces); err != nil {
			return err
		}
	}
	one, sequential := b.d.(*tarOne)
	if b.wal != nil && !sequential {
		observer.info("starting background WAL receiver")
		sink, err := b.d.wal()
		if err != nil {
			return err
		}
		if err := b.wal.start(ctx, sink, bb.Start, bb.Timeline); err != nil {
			return err
		}
	}

	b.meter.begin(bb, b.s.version >= 150000)
	b.keeper.begun(&b.meter)
	r := &receiver{
		b: bb, d: b.d, check: b.check, increments: b.increments, verify: b.verifies(),
		meter: &b.meter, result: b.result, warn: observer.warning,
		compression: b.o.ServerCompression, needs: newNeeds(&b.s, b.o.WAL == WALFetch, bb.Start),
	}
	if err := r.run(); err != nil {
		return err
	}
	b.meter.finished()
	stop, timeline, err := bb.Finish()
	corrupt := replproto.HasCode(err, replproto.CodeDataCorrupted)
	if err != nil && !corrupt {
		return err
	}
	if endErr := r.end(stop, timeline); endErr != nil {
		return errors.Join(err, endErr)
	}
	b.s.stop = stop
	b.result.Stop, b.result.StopTimeline = stop, timeline
	b.result.Bytes, b.result.Files, b.result.Verified = b.meter.received, b.check.Files(), r.verified
	b.increments.report(b.result)
	if b.o.WAL != WALNone {
		observer.info(fmt.Sprintf("write-ahead log end point: %s", stop))
	}
	if b.wal != nil {
		if sequential {
			sink, walErr := one.wal()
			if walErr != nil {
				return walErr
			}
			if walErr := b.wal.start(ctx, sink, bb.Start, bb.Timeline); walErr != nil {
				return walErr
			}
		}
		observer.info("waiting for background process to finish streaming ...")
		received, walErr := b.wal.finish(stop)
		if walErr != nil {
			return errors.Join(err, walErr)
		}
		b.result.WALBytes = received
	}
	b.kept = corrupt
	if b.d != nil {
		if finishErr := b.d.finish(!corrupt); finishErr != nil {
			return errors.Join(err, finishErr)
		}
	}
	if err == nil {
		observer.info("base backup completed")
	}
	return err
}

func (b *backup) command() replproto.BaseBackupOptions {
	o := b.o
	return replproto.BaseBackupOptions{
		Label:               o.Label,
		Progress:            !o.NoEstimateSize,
		FastCheckpoint:      o.FastCheckpoint,
		WAL:                 o.WAL == WALFetch,
		NoWait:              o.WAL != WALNone,
		MaxRate:             o.MaxRate,
		TablespaceMap:       b.d == nil || !b.d.plain(),
		NoVerifyChecksums:   o.NoVerifyChecksums,
		Manifest:            b.s.withManifest,
		ManifestForceEncode: o.ManifestForceEncode,
		ManifestChecksums:   o.ManifestChecksums,
		Target:              o.Target,
		TargetDetail:        o.TargetDetail,
		Compression:         o.ServerCompression,
		CompressionDetail:   o.ServerCompressionDetail,
		Incremental:         b.previous != nil,
	}
}
