package provetest

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pgbasin/pgbasin/basebackup"
	"github.com/pgbasin/pgbasin/conninfo"
	"github.com/pgbasin/pgbasin/internal/durable"
	"github.com/pgbasin/pgbasin/prove"
	"github.com/pgbasin/pgbasin/replproto"
)

// backUp returns a function that takes a base backup into a scratch directory.
func backUp(dsn string, settings conninfo.Settings) func(context.Context, prove.Dir) error {
	cfg := &replproto.Config{Settings: settings, ApplicationName: "provetest"}
	return func(ctx context.Context, d prove.Dir) error {
		tablespaces, err := tablespaces(ctx, dsn, d)
		if err != nil {
			return err
		}
		_, err = basebackup.Run(ctx, basebackup.Options{
			Connect:        func(ctx context.Context) (*replproto.Conn, error) { return replproto.Connect(ctx, cfg) },
			Label:          "provetest",
			FastCheckpoint: true,
		}, basebackup.Plain(basebackup.PlainOptions{
			Path: d.Data(), Tablespaces: tablespaces, Sync: durable.NoSync, NoClean: true,
		}))
		return err
	}
}

// tablespaces asks the server for its tablespaces, and gives each a place in the
// scratch directory.
func tablespaces(ctx context.Context, dsn string, d prove.Dir) ([]basebackup.TablespaceMapping, error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	// Those inside the data directory (15 and later) have relative locations.
	rows, err := conn.Query(ctx, `select oid, pg_tablespace_location(oid) from pg_tablespace where pg_tablespace_location(oid) like '/%'`)
	if err != nil {
		return nil, fmt.Errorf("could not list the tablespaces: %w", err)
	}
	var (
		found    []basebackup.TablespaceMapping
		oid      uint32
		location string
	)
	_, err = pgx.ForEachRow(rows, []any{&oid, &location}, func() error {
		found = append(found, basebackup.TablespaceMapping{Old: location, New: d.Tablespace(oid)})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("could not list the tablespaces: %w", err)
	}
	return found, nil
}
