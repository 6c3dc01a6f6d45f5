//go:build linux || darwin

package main

import (
	"context"
	"fmt"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

var bulkRow = row{
	work: "WAL in bulk", reference: "pg_receivewal", rate: "MiB/s",
	goals: goals{rate: 1.2}, prepare: bulkOf,
}

// bulkSlot keeps the WAL, and is what the slots of the runs are copies of.
const bulkSlot = "bulk"

// bulkOf prepares to receive WAL that is there already, as much as the size of the
// databases.
func bulkOf(ctx context.Context, b *bench, s *pgtest.Server) (*contest, error) {
	// A slot begins where the last checkpoint did.
	if err := execute(ctx, s, "checkpoint", "select pg_create_physical_replication_slot('"+bulkSlot+"', true)", "create table bulk (t text)"); err != nil {
		return nil, err
	}
	for enough := false; !enough; {
		if err := execute(ctx, s, "insert into bulk select repeat(md5(i::text), 30) from generate_series(1, 10000) i", "truncate bulk"); err != nil {
			return nil, err
		}
		query := fmt.Sprintf("select pg_current_wal_lsn() - restart_lsn > %d from pg_replication_slots where slot_name = '%s'", b.o.size, bulkSlot)
		if err := ask(ctx, s, &enough, query); err != nil {
			return nil, err
		}
	}
	var end string
	if err := ask(ctx, s, &end, "select pg_switch_wal()::text"); err != nil {
		return nil, err
	}
	runs := 0
	run := func(program string) func() (measurement, error) {
		return func() (m measurement, err error) {
			runs++
			slot := fmt.Sprintf("%s%d", bulkSlot, runs)
			if err := execute(ctx, s, fmt.Sprintf("select pg_copy_physical_replication_slot('%s', '%s')", bulkSlot, slot)); err != nil {
				return m, err
			}
			dir := b.newOutput()
			p, err := b.receive(ctx, s, program, dir, "-S", slot, "-E", end, "--no-loop")
			if err != nil {
				return m, err
			}
			if m, err = p.wait(ctx); err != nil {
				return m, err
			}
			if m.size, err = empty(dir); err != nil {
				return m, err
			}
			m.rate = mebibytes(m.size) / m.wall.Seconds()
			return m, execute(ctx, s, fmt.Sprintf("select pg_drop_replication_slot('%s')", slot))
		}
	}
	return &contest{
		input: fmt.Sprintf("of %.0f MiB", mebibytes(b.o.size)),
		ours:  run(b.ours.receivewal), theirs: run(b.theirs.receivewal),
		end: func() error { return execute(ctx, s, "select pg_drop_replication_slot('"+bulkSlot+"')") },
	}, nil
}
