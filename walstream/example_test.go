package walstream_test

import (
	"context"
	"time"

	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/replproto"
	"github.com/pgbasin/pgbasin/wal"
	"github.com/pgbasin/pgbasin/walstream"
)

// An archive of a server's WAL, from the segment that it writes at the moment
// until the context ends.
func ExampleReceiver() {
	archive := func(ctx context.Context, config *replproto.Config, dir string) error {
		conn, err := replproto.Connect(ctx, config)
		if err != nil {
			return err
		}
		defer conn.Close()
		system, err := conn.IdentifySystem(ctx)
		if err != nil {
			return err
		}
		size, err := conn.SegmentSize(ctx)
		if err != nil {
			return err
		}
		sink := walstream.NewDirectory(walstream.DirectoryOptions{Path: dir, Partial: true})
		defer sink.Close()
		r, err := walstream.New(walstream.Options{
			Conn:           conn,
			Sink:           sink,
			SystemID:       system.ID,
			Timeline:       system.Timeline,
			Start:          system.Position - lsn.LSN(wal.SegmentOffset(system.Position, size)),
			SegmentSize:    size,
			StatusInterval: 10 * time.Second,
		})
		if err != nil {
			return err
		}
		// Ending the stream in order leaves everything that came synced;
		// cancelling Run's own context would break it off.
		defer context.AfterFunc(ctx, r.Stop)()
		return r.Run(context.WithoutCancel(ctx))
	}
	_ = archive
}
