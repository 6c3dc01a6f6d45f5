//go:build linux || darwin

package main

import (
	"context"
	"fmt"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// What a row takes on disk, in bytes.
const (
	accountBytes = 149 + 23 // in pgbench_accounts and its primary key
	digestBytes  = 58       // in the large index
	textBytes    = 1000
)

// fillMixed adds about size bytes to a server: the tables of pgbench, with a large
// index, a fifth of the whole; a table of texts; and many small tables. What is in
// them depends on size alone.
func fillMixed(ctx context.Context, s *pgtest.Server, size int64) error {
	const fifth = 5
	accounts := size / fifth / digestBytes
	texts := (size - accounts*(accountBytes+digestBytes)) / textBytes
	small := min(max(size/(4*mb), 10), 500)
	return execute(ctx, s,
		"set maintenance_work_mem = '128MB'",
		fmt.Sprintf(`do $$ begin for i in 1..%d loop
execute format('create table small_%%s (id int primary key, v text)', i);
execute format('insert into small_%%s select g, md5((g * %%s)::text) from generate_series(1, 20) g', i, i);
end loop; end $$`, small),
		"create table pgbench_branches (bid int not null primary key, bbalance int, filler char(88))",
		"create table pgbench_tellers (tid int not null primary key, bid int, tbalance int, filler char(84))",
		"create table pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22))",
		// The room that is left in each block lets touch change rows in place.
		"create table pgbench_accounts (aid int not null, bid int, abalance int, filler char(84)) with (fillfactor = 90)",
		fmt.Sprintf("insert into pgbench_branches select i, 0, '' from generate_series(1, %d) i", accounts/100000+1),
		fmt.Sprintf("insert into pgbench_tellers select i, (i - 1) / 10 + 1, 0, '' from generate_series(1, %d) i", accounts/10000+10),
		fmt.Sprintf("insert into pgbench_accounts select i, (i - 1) / 100000 + 1, hashint4(i) %% 5000, '' from generate_series(1, %d) i", accounts),
		"alter table pgbench_accounts add primary key (aid)",
		"create index pgbench_accounts_digest on pgbench_accounts (md5(aid::text))",
		"create table texts (id int not null primary key, body text)",
		fmt.Sprintf(`insert into texts select i, (select string_agg('item ' || md5((i * 31 + g)::text) || ' of the order, ', '')
from generate_series(1, 18) g) from generate_series(1, %d) i`, texts),
		"analyze", "checkpoint")
}

// touch changes about 15 % of the blocks that fillMixed made, each in one place:
// one row each of 29 % of those of pgbench_accounts, which has 55 rows in a block.
func touch(ctx context.Context, s *pgtest.Server) error {
	return execute(ctx, s, "update pgbench_accounts set abalance = abalance + 1 where aid % 188 = 0", "checkpoint")
}

// fillFiles makes tables with a text column and a row, until the server has about
// so many files: each table has three, one for the texts that are too large, and
// for the index of these.
func fillFiles(ctx context.Context, s *pgtest.Server, files int) error {
	const batch = 500 // in a transaction, which holds locks of all
	var statements []string
	for first := 0; first < files/3; first += batch {
		statements = append(statements, fmt.Sprintf(`do $$ begin for i in %d..%d loop
execute format('create table t_%%s (v text)', i);
execute format('insert into t_%%s values (md5(%%s::text))', i, i);
end loop; end $$`, first, min(first+batch, files/3)-1))
	}
	return execute(ctx, s, append(statements, "checkpoint")...)
}
