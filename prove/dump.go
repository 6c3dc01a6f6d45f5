package prove

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
)

// planDump lists the tables and materialized views, with the catalogs and so
// with large objects. Partitioned tables have no rows of their own; TOAST is
// read with its table.
func (r *run) planDump(ctx context.Context, database string) (*plan, error) {
	conn, err := r.session(ctx, database)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	found, err := rows(ctx, conn, `select n.nspname, c.relname, c.relkind
		from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where (c.relkind = 'r' or c.relkind = 'm' and c.relispopulated) and c.relpersistence <> 't'
		order by c.relpages desc, c.oid`)
	if err != nil {
		return nil, err
	}
	p := &plan{tables: len(found)}
	for _, row := range found {
		name := quoteIdent(row[0]) + "." + quoteIdent(row[1])
		copied := name
		if row[2] == "m" {
			copied = "(select * from " + name + ")" // before 18, COPY takes no materialized view
		}
		p.runs = append(p.runs, dumpTable("copy "+copied+" to stdout", row[0], row[1]))
	}
	return p, nil
}

func dumpTable(query, schema, name string) func(context.Context, *pgconn.PgConn) result {
	return func(ctx context.Context, conn *pgconn.PgConn) result {
		var nowhere counter
		tag, err := conn.CopyTo(ctx, &nowhere, query)
		if err != nil {
			return result{err: fmt.Errorf("table %s.%s: %w", schema, name, err)}
		}
		return result{rows: tag.RowsAffected(), bytes: int64(nowhere)}
	}
}

// counter counts what is written to it.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
