package walstream_test

import (
	"context"
	"log"
	"os/signal"
	"syscall"
	"time"

	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/replproto"
	"github.com/pgbasin/pgbasin/walstream"
)

// An archive of a cluster's WAL, compressed, that goes on until the process is
// told to end. With a slot the server keeps what was not received yet.
func ExampleArchiver() {
	keep := func(config *replproto.Config, dir string) error {
		a, err := walstream.NewArchiver(walstream.ArchiveOptions{
			Connect:        func(ctx context.Context) (*replproto.Conn, error) { return replproto.Connect(ctx, config) },
			Dir:            dir,
			Compression:    codec.Spec{Algorithm: codec.Zstd},
			Slot:           "archive",
			StatusInterval: 10 * time.Second,
			Observer: walstream.ArchiveObserver{
				Lost: func(err error) { log.Printf("lost the server: %v", err) },
				Full: func(err error) { log.Printf("waiting for room: %v", err) },
			},
		})
		if err != nil {
			return err
		}
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		return a.Run(ctx)
	}
	_ = keep
}
