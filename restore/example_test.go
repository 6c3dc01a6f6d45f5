package restore_test

import (
	"context"
	"fmt"
	"log"

	"github.com/pgbasin/pgbasin/recoveryconf"
	"github.com/pgbasin/pgbasin/restore"
)

// A backup of last night is restored up to just before an accident, beside the
// server that it was taken from.
func Example() {
	ctx := context.Background()
	plan, err := restore.Prepare(ctx, restore.Options{
		Backup:      "/backups/monday",
		DataDir:     "/srv/restored",
		Tablespaces: []restore.Mapping{{Old: "/srv/fast", New: "/srv/restored-fast"}},
		Settings:    recoveryconf.Params{{Name: "port", Value: "5445"}},
		WALArchive:  "/archive",
		Recovery: recoveryconf.Recovery{
			RestoreCommand: `pgbasin wal-fetch --from=/archive "%f" "%p"`,
			Target:         recoveryconf.Target{Time: "2026-02-13 11:50:00+09", Exclusive: true},
		},
		Observer: restore.Observer{Warning: func(message string) { log.Print(message) }},
	})
	if err != nil {
		log.Fatal(err) // nothing was written
	}
	fmt.Println(plan.Version, plan.Bytes)

	result, err := plan.Run(ctx)
	if err != nil {
		log.Fatal(err) // what was written is gone again
	}
	fmt.Println(result.Files, result.Verified)
}
