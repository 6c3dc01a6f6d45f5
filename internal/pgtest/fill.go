package pgtest

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
)

// What a row of Fill's two large tables takes on disk, with its share of the indexes, in bytes.
const (
	fillRowBytes  = 240
	fillTextBytes = 1270
	fillSmall     = 40 // tables of a few rows
)

// FillData adds about that many bytes to the database, in the schema "fill": a table of short rows with two indexes, one of
// texts, and many small ones. The rows depend on their numbers only. At the end everything is written to disk by a checkpoint.
func (s *Server) FillData(ctx context.Context, bytes int64) error {
	conn, err := s.Connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	run := func(sql string, args ...any) {
		if err == nil {
			_, err = conn.Exec(ctx, fmt.Sprintf(sql, args...), pgx.QueryExecModeSimpleProtocol)
		}
	}
	size := func() (n int64) {
		if err == nil {
			err = conn.QueryRow(ctx, "select pg_database_size(current_database())").Scan(&n)
		}
		return n
	}
	before := size()
	run("create schema fill")
	run("set maintenance_work_mem = '128MB'")
	run("create table fill.rows (id bigint not null, a int not null, b double precision, filler text)")
	run("create table fill.texts (id bigint not null, body text)")
	run(`do $$ begin for i in 1..%d loop
execute format('create table fill.small_%%s (id int primary key, v text)', i);
execute format('insert into fill.small_%%s select g, md5((g * %%s)::text) from generate_series(1, 20) g', i, i);
end loop; end $$`, fillSmall)
	run(`insert into fill.rows select i, i %% 1000, i / 3.0, md5(i::text) || md5((i * 7)::text) || repeat('row of data ', 5)
from generate_series(1, %d::bigint) i`, bytes/2/fillRowBytes)
	run("alter table fill.rows add primary key (id); create index on fill.rows (a)")
	rest := max(0, bytes-(size()-before))
	run(`insert into fill.texts select i, repeat(md5((i * 3)::text) || ' is what this text repeats. ', 20)
from generate_series(1, %d::bigint) i`, rest/fillTextBytes)
	run("alter table fill.texts add primary key (id)")
	run("analyze")
	run("checkpoint")
	if err != nil {
		return fmt.Errorf("fill: %w", err)
	}
	return nil
}

// Fill adds about that many bytes to the database, as FillData does.
func Fill(t testing.TB, s *Server, bytes int64) {
	t.Helper()
	if err := s.FillData(context.Background(), bytes); err != nil {
		t.Fatal(err)
	}
}
