package basebackup_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/pgbasin/pgbasin/basebackup"
	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/conninfo"
	"github.com/pgbasin/pgbasin/replproto"
)

// A compressed backup in tar files, with everything that libpq would take from
// the environment, such as the password file.
func Example() {
	given, err := conninfo.Parse("host=db1 user=replicator")
	if err != nil {
		log.Fatal(err)
	}
	settings, err := conninfo.Resolve(given, os.LookupEnv)
	if err != nil {
		log.Fatal(err)
	}
	server := &replproto.Config{Settings: settings, ApplicationName: "nightly"}

	result, err := basebackup.Run(context.Background(), basebackup.Options{
		Connect: func(ctx context.Context) (*replproto.Conn, error) { return replproto.Connect(ctx, server) },
		Observer: basebackup.Observer{
			Notice: func(n *replproto.Notice) { log.Print(n) },
		},
	}, basebackup.TarDirectory(basebackup.TarOptions{
		Path:        "/backups/monday",
		Compression: codec.Spec{Algorithm: codec.Zstd},
	}))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("recoverable from", result.Stop, "verified:", result.Verified)
}

// One tar on standard output, with the WAL that the backup needs in it.
func ExampleTarStream() {
	settings, err := conninfo.Parse("host=db1 port=5432 user=replicator sslmode=disable connect_timeout=10 target_session_attrs=any")
	if err != nil {
		log.Fatal(err)
	}
	server := &replproto.Config{Settings: settings}
	_, err = basebackup.Run(context.Background(), basebackup.Options{
		Connect: func(ctx context.Context) (*replproto.Conn, error) { return replproto.Connect(ctx, server) },
		WAL:     basebackup.WALStream,
	}, basebackup.TarStream(os.Stdout, codec.Spec{}))
	if err != nil {
		log.Fatal(err)
	}
}
