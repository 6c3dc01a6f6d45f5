package pgtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
)

// TableSums returns, for every permanent table of the database "postgres" in the given schemas, the number of its rows and a
// sum of their hashes, which does not depend on their order. Keys are "schema.table". Without schemas all users' schemas
// count, except for the one Load writes to.
func (s *Server) TableSums(ctx context.Context, schemas ...string) (map[string]string, error) {
	conn, err := s.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	rows, err := conn.Query(ctx, `select n.nspname::text, c.relname::text
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'm') and c.relpersistence = 'p' and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
order by 1, 2`)
	if err != nil {
		return nil, err
	}
	type table struct{ Schema, Name string }
	tables, err := pgx.CollectRows(rows, pgx.RowToStructByPos[table])
	if err != nil {
		return nil, err
	}
	sums := make(map[string]string)
	for _, t := range tables {
		if len(schemas) > 0 && !slices.Contains(schemas, t.Schema) || len(schemas) == 0 && t.Schema == "load" {
			continue
		}
		name := pgx.Identifier{t.Schema, t.Name}.Sanitize()
		var sum string
		// 60 bits of each row's MD5: the functions that hash in fewer steps differ between versions and have 32 bits in 10.
		err := conn.QueryRow(ctx, fmt.Sprintf(
			`select count(*) || ' ' || coalesce(sum(('x' || left(md5(t::text), 15))::bit(60)::bigint), 0) from %s t`, name)).Scan(&sum)
		if err != nil {
			return nil, fmt.Errorf("sum of %s: %w", name, err)
		}
		sums[t.Schema+"."+t.Name] = sum
	}
	return sums, nil
}

// Sums returns the sums of tables, as TableSums does.
func Sums(t testing.TB, s *Server, schemas ...string) map[string]string {
	t.Helper()
	sums, err := s.TableSums(context.Background(), schemas...)
	if err != nil {
		t.Fatal(err)
	}
	return sums
}

// SameSums fails the test for each table whose sums differ, or that only one side has.
func SameSums(t testing.TB, got, want map[string]string) {
	t.Helper()
	for name, sum := range want {
		if got[name] != sum {
			t.Errorf("table %s: rows and sum %q, want %q", name, got[name], sum)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("table %s should not exist", name)
		}
	}
}

// VerifyBalances returns the number of transactions in the tables of a load, and an error when they do not add up, as they do
// at every consistent point.
func (s *Server) VerifyBalances(ctx context.Context) (transactions int64, err error) {
	conn, err := s.Connect(ctx)
	if err != nil {
		return 0, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	// One statement sees one snapshot.
	ledger := "(select null::bigint)"
	var exists bool
	if err := conn.QueryRow(ctx, "select to_regclass('load.ledger') is not null").Scan(&exists); err != nil {
		return 0, err
	}
	if exists {
		ledger = "(select coalesce(sum(delta), 0)::bigint from load.ledger)"
	}
	query := `select (select sum(abalance)::bigint from load.accounts where aid > 0), (select sum(tbalance)::bigint from load.tellers where tid > 0),
(select sum(bbalance)::bigint from load.branches where bid > 0), (select coalesce(sum(delta), 0)::bigint from load.history), ` + ledger + `,
(select count(*) from load.accounts where aid > 0), (select count(*) from load.history)`
	// The tables are read as they are, and through their indexes.
	for _, plan := range []string{"set enable_indexscan = off; set enable_bitmapscan = off", "reset all; set enable_seqscan = off; set enable_bitmapscan = off"} {
		if _, err := conn.Exec(ctx, plan, pgx.QueryExecModeSimpleProtocol); err != nil {
			return 0, err
		}
		var accounts, tellers, branches, history, count int64
		var ledger *int64
		if err := conn.QueryRow(ctx, query).Scan(&accounts, &tellers, &branches, &history, &ledger, &count, &transactions); err != nil {
			return 0, err
		}
		var errs []error
		if accounts != tellers || tellers != branches || branches != history {
			errs = append(errs, fmt.Errorf("sums of accounts %d, tellers %d, branches %d and history %d differ (%s)", accounts, tellers, branches, history, plan))
		}
		if ledger != nil && *ledger != history {
			errs = append(errs, fmt.Errorf("sum of ledger %d differs from history's %d", *ledger, history))
		}
		if count != loadAccounts {
			errs = append(errs, fmt.Errorf("%d accounts, want %d (%s)", count, loadAccounts, plan))
		}
		if err := errors.Join(errs...); err != nil {
			return 0, err
		}
	}
	return transactions, nil
}

// CheckBalances fails the test when the tables of a load do not add up, and returns the number of transactions in them. The
// server may be a restored one or a standby.
func CheckBalances(t testing.TB, s *Server) int64 {
	t.Helper()
	n, err := s.VerifyBalances(context.Background())
	if err != nil {
		t.Error(err)
	}
	return n
}
