// Package receive is the command "pgbasin receive", which is also pg_receivewal
// and, as that was called before PostgreSQL 10, pg_receivexlog.
package receive

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/program"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/usage"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/words"
	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/replproto"
	"github.com/pgbasin/pgbasin/walstream"
)

// Run receives WAL as p.Args say until it is told to end, and returns the exit
// status: 0 if the user or --endpos ended it, else 1.
func Run(p *program.Program) int {
	o, err := parse(p.Args, p.DropIn)
	if status, done := usage.Answered(p, err, help, 1); done {
		return status
	}
	ctx, stop := usage.Context(p, func() { p.Error("ended without closing the last segment; it is received again from its start") })
	defer stop()
	r := &run{p: p, o: o}
	if err := r.run(ctx); err != nil {
		r.failed(err)
		return 1
	}
	return 0
}

// run connects the options with the library.
type run struct {
	p *program.Program
	o *options
}

func (r *run) run(ctx context.Context) error {
	cfg, err := r.o.connection.Config(r.p)
	if err != nil {
		return err
	}
	connect := func(ctx context.Context) (*replproto.Conn, error) { return replproto.Connect(ctx, cfg) }
	if r.o.action() {
		return r.slot(ctx, connect)
	}
	return r.archive(ctx, connect)
}

// slot creates or drops a slot.
func (r *run) slot(ctx context.Context, connect func(context.Context) (*replproto.Conn, error)) error {
	conn, err := connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.IdentifySystem(ctx); err != nil {
		return err
	}
	name := r.o.slot.Text
	if r.o.drop {
		r.verbose("dropping replication slot \"%s\"", name)
		return conn.DropSlot(ctx, name, false)
	}
	r.verbose("creating replication slot \"%s\"", name)
	err = conn.CreatePhysicalSlot(ctx, name, replproto.SlotOptions{})
	if r.o.ifNotExists && replproto.HasCode(err, replproto.CodeDuplicateObject) {
		return nil
	}
	return err
}

// archive receives until the end.
func (r *run) archive(ctx context.Context, connect func(context.Context) (*replproto.Conn, error)) error {
	o := r.o
	m := newMetrics()
	a, err := walstream.NewArchiver(walstream.ArchiveOptions{
		Connect:        connect,
		Dir:            o.directory.Text,
		Compression:    o.compression.spec,
		NoSync:         o.noSync,
		Slot:           o.slot.Text,
		Synchronous:    o.synchronous,
		StatusInterval: o.status,
		EndPos:         o.endPos,
		NoLoop:         o.noLoop,
		Observer:       r.observer(m),
	})
	if err != nil {
		return err
	}
	if o.listen.Given {
		stop, err := m.serve(o.listen.Text, a)
		if err != nil {
			return err
		}
		defer stop()
	}
	if o.noSync && o.slot.Given {
		r.p.Warning(fmt.Sprintf("replication slot \"%s\" does not advance, and the server keeps all WAL from now on: with --no-sync nothing is known to be durable", o.slot.Text))
	}
	if err := a.Run(ctx); err != nil {
		return err
	}
	if ctx.Err() != nil {
		r.verbose("received interrupt signal, exiting")
	}
	return nil
}

// observer says what happens, as pg_receivewal does.
func (r *run) observer(m *metrics) walstream.ArchiveObserver {
	return walstream.ArchiveObserver{
		Observer: walstream.Observer{
			SegmentFinished: func(timeline uint32, end lsn.LSN) {
				r.verbose("finished segment at %s (timeline %d)", end, timeline)
			},
			TimelineSwitched: func(timeline uint32, at lsn.LSN) { r.verbose("switched to timeline %d at %s", timeline, at) },
			SegmentLeft: func(name string) {
				r.p.Info(fmt.Sprintf("not renaming \"%s\", segment is not complete", name))
			},
		},
		Started: func(pos walstream.Position) {
			r.verbose("starting log streaming at %s (timeline %d)", pos.LSN, pos.Timeline)
		},
		Stopped: func(pos walstream.Position) {
			r.verbose("stopped log streaming at %s (timeline %d)", pos.LSN, pos.Timeline)
		},
		Warning: r.p.Warning,
		Lost:    func(err error) { r.p.Error(words.Of(err)) },
		Waiting: func(pause time.Duration) {
			r.p.Info(fmt.Sprintf("disconnected; waiting %d seconds to try again", int(pause.Seconds())))
		},
		Full: func(err error) {
			r.p.Error(words.Of(err))
			r.p.Info("waiting for room; nothing is acknowledged before there is some")
		},
		Room:   func() { r.p.Info("there is room again, going on") },
		Synced: m.synced,
	}
}

func (r *run) verbose(format string, args ...any) {
	if r.o.verbose {
		r.p.Info(fmt.Sprintf(format, args...))
	}
}

func (r *run) failed(err error) {
	r.p.Error(words.Of(err))
	if errors.Is(err, walstream.ErrDisconnected) {
		return
	}
	if hint := r.hint(err); hint != "" {
		r.p.Hint(hint)
	}
}
