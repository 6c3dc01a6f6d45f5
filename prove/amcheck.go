package prove

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
)

// ownSchema is where amcheck is put if the database does not have it.
const ownSchema = "pgbasin_prove"

// planAmcheck installs amcheck and lists what it will look at: B-tree indexes,
// also those of catalogs and TOAST tables, and from 14 on tables of the usual
// access method. Unlogged and temporary relations are empty after a recovery.
func (r *run) planAmcheck(ctx context.Context, database string) (*plan, error) {
	conn, err := r.session(ctx, database)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	schema, err := installAmcheck(ctx, conn)
	if err != nil {
		return nil, err
	}
	indexCheck, tableCheck, err := amcheckQueries(ctx, conn, schema)
	if err != nil {
		return nil, err
	}
	p := new(plan)
	indexes, err := rows(ctx, conn, `select c.oid, n.nspname, c.relname
		from pg_index i join pg_class c on c.oid = i.indexrelid join pg_namespace n on n.oid = c.relnamespace join pg_am a on a.oid = c.relam
		where a.amname = 'btree' and c.relkind = 'i' and c.relpersistence = 'p' and i.indisready and i.indisvalid
		order by c.relpages desc, c.oid`)
	if err != nil {
		return nil, err
	}
	for _, row := range indexes {
		p.runs = append(p.runs, checkIndex(indexCheck, row[0], row[1], row[2]))
	}
	p.indexes = len(indexes)
	if tableCheck == "" {
		return p, nil
	}
	tables, err := rows(ctx, conn, `select c.oid, n.nspname, c.relname
		from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_am a on a.oid = c.relam
		where a.amname = 'heap' and c.relkind in ('r', 'm', 't') and c.relpersistence = 'p'
		order by c.relpages desc, c.oid`)
	if err != nil {
		return nil, err
	}
	for _, row := range tables {
		p.runs = append(p.runs, checkTable(tableCheck, row[0], row[1], row[2]))
	}
	p.tables = len(tables)
	return p, nil
}

// installAmcheck returns the schema that amcheck's functions are in.
func installAmcheck(ctx context.Context, conn *pgconn.PgConn) (schema string, err error) {
	const where = `select n.nspname from pg_extension e join pg_namespace n on n.oid = e.extnamespace where e.extname = 'amcheck'`
	found, err := rows(ctx, conn, where)
	if err != nil {
		return "", err
	}
	if len(found) > 0 {
		_, err := conn.Exec(ctx, "alter extension amcheck update").ReadAll()
		return found[0][0], err
	}
	_, err = conn.Exec(ctx, "create schema "+ownSchema+"; create extension amcheck schema "+ownSchema).ReadAll()
	return ownSchema, err
}

// amcheckQueries are the calls for one index and one table, with its OID as $1:
// heapallindexed came with 11, checkunique with 17, verify_heapam with 14; an
// extension that was not updated lacks them.
func amcheckQueries(ctx context.Context, conn *pgconn.PgConn, schema string) (index, table string, err error) {
	found, err := rows(ctx, conn, `select coalesce(max(pronargs) filter (where proname = 'bt_index_check'), 0),
		coalesce(max(pronargs) filter (where proname = 'verify_heapam'), 0)
		from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname = $1`, schema)
	if err != nil {
		return "", "", err
	}
	schema = quoteIdent(schema)
	switch found[0][0] {
	case "0":
		return "", "", fmt.Errorf("extension amcheck has no function bt_index_check")
	case "1":
		index = "select " + schema + ".bt_index_check($1::oid::regclass)"
	case "2":
		index = "select " + schema + ".bt_index_check($1::oid::regclass, true)"
	default:
		index = "select " + schema + ".bt_index_check($1::oid::regclass, true, true)"
	}
	if found[0][1] != "0" {
		table = "select blkno, offnum, attnum, msg from " + schema + ".verify_heapam($1::oid::regclass, check_toast := true)"
	}
	return index, table, nil
}

func checkIndex(query, oid, schema, name string) func(context.Context, *pgconn.PgConn) result {
	return func(ctx context.Context, conn *pgconn.PgConn) result {
		_, err := rows(ctx, conn, query, oid)
		if err != nil {
			return result{err: fmt.Errorf("index %s.%s: %w", schema, name, err)}
		}
		return result{}
	}
}

func checkTable(query, oid, schema, name string) func(context.Context, *pgconn.PgConn) result {
	return func(ctx context.Context, conn *pgconn.PgConn) result {
		var res result
		reader := conn.ExecParams(ctx, query, [][]byte{[]byte(oid)}, nil, nil, nil)
		for reader.NextRow() {
			res.count++
			if len(res.problems) == MaxProblems {
				continue
			}
			v := reader.Values()
			where := "block " + string(v[0])
			if len(v[1]) > 0 {
				where += ", offset " + string(v[1])
			}
			if len(v[2]) > 0 {
				where += ", column " + string(v[2])
			}
			res.problems = append(res.problems, fmt.Sprintf("table %s.%s, %s: %s", schema, name, where, v[3]))
		}
		if _, err := reader.Close(); err != nil {
			res.err = fmt.Errorf("table %s.%s: %w", schema, name, err)
		}
		return res
	}
}
