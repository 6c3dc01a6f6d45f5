package prove

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// task is a piece of a check that needs one connection: one relation, or one
// statement.
type task struct {
	c        *Case
	database string
	fresh    bool // needs a connection that nothing was done on
	run      func(ctx context.Context, conn *pgconn.PgConn) result
}

// result is what came of a task.
type result struct {
	problems    []string
	count       int64 // of problems; may be more than problems
	rows, bytes int64
	err         error // the connection or the server failed, or SQL did
}

// check runs what was asked for. Amcheck and dump of all databases go first and
// side by side; statements may change the data and come after that.
func (r *run) check(ctx context.Context) {
	checks := r.o.Checks
	if checks.Amcheck || checks.Dump {
		r.checkDatabases(ctx)
	}
	if len(checks.Statements) > 0 {
		r.statements(ctx)
	}
}

// checkDatabases runs amcheck and dump in every database.
func (r *run) checkDatabases(ctx context.Context) {
	names, err := r.databases(ctx)
	if err != nil {
		for _, check := range r.perDatabase() {
			r.end(r.begin(check.name), err)
		}
		return
	}
	var cases []*Case
	var tasks []task
	plans := make(map[*Case]*plan)
	for _, name := range names {
		for _, check := range r.perDatabase() {
			c := r.begin(check.name)
			c.Database = name
			p, err := check.plan(ctx, name)
			if err != nil {
				c.problem(r.explain(ctx, err))
				p = new(plan)
			}
			for _, run := range p.runs {
				tasks = append(tasks, task{c: c, database: name, run: run})
			}
			cases = append(cases, c)
			plans[c] = p
		}
	}
	totals := r.pool(ctx, tasks)
	for _, c := range cases {
		t := totals[c]
		if t == nil { // nothing to do
			t = new(total)
		}
		c.Duration = max(time.Millisecond, t.spent)
		c.Summary = plans[c].summary(t)
		r.end(c, nil)
	}
}

// plan is what a check will do in a database.
type plan struct {
	runs    []func(ctx context.Context, conn *pgconn.PgConn) result
	indexes int
	tables  int
}

// databaseCheck is a check that is done in each database.
type databaseCheck struct {
	name Check
	plan func(ctx context.Context, database string) (*plan, error)
}

func (r *run) perDatabase() []databaseCheck {
	var checks []databaseCheck
	if r.o.Checks.Amcheck {
		checks = append(checks, databaseCheck{CheckAmcheck, r.planAmcheck})
	}
	if r.o.Checks.Dump {
		checks = append(checks, databaseCheck{CheckDump, r.planDump})
	}
	return checks
}

// summary says what was checked.
func (p *plan) summary(t *total) string {
	switch {
	case p.indexes > 0 && p.tables > 0:
		return fmt.Sprintf("%d indexes, %d tables", p.indexes, p.tables)
	case p.indexes > 0:
		return fmt.Sprintf("%d indexes", p.indexes)
	case p.tables > 0:
		return fmt.Sprintf("%d tables, %d rows, %d bytes", p.tables, t.rows, t.bytes)
	}
	return ""
}

// databases are those that connections are allowed to, the largest first. One
// whose DROP DATABASE was interrupted (datconnlimit -2) is none.
func (r *run) databases(ctx context.Context) ([]string, error) {
	conn, err := r.s.connect(ctx, r.s.user, r.s.database)
	if err != nil {
		return nil, errors.New(r.explain(ctx, err))
	}
	defer conn.Close(context.WithoutCancel(ctx))
	found, err := rows(ctx, conn, `select datname from pg_catalog.pg_database
		where datallowconn and datconnlimit operator(pg_catalog.<>) -2 order by oid`)
	if err != nil {
		return nil, fmt.Errorf("could not list the databases: %s", r.explain(ctx, err))
	}
	var names []string
	for _, row := range found {
		names = append(names, row[0])
	}
	return names, nil
}

// total is what the tasks of a case came to.
type total struct {
	rows, bytes int64
	spent       time.Duration // of all tasks
}

// pool runs tasks on as many connections as there are jobs. Tasks of a database
// should stand together: a connection is used for as long as they do.
func (r *run) pool(ctx context.Context, tasks []task) map[*Case]*total {
	totals := make(map[*Case]*total)
	for _, t := range tasks {
		totals[t.c] = new(total)
	}
	queue := make(chan task)
	var mutex sync.Mutex
	var workers sync.WaitGroup
	for range min(r.o.jobs(), len(tasks)) {
		workers.Go(func() {
			w := worker{r: r}
			defer w.close()
			for t := range queue {
				began := time.Now()
				res := w.do(ctx, t)
				mutex.Lock()
				sum := totals[t.c]
				sum.rows += res.rows
				sum.bytes += res.bytes
				sum.spent += time.Since(began)
				for _, p := range res.problems {
					t.c.problem(p)
				}
				t.c.Count += res.count - int64(len(res.problems))
				if res.err != nil {
					t.c.problem(r.explain(ctx, res.err))
				}
				mutex.Unlock()
			}
		})
	}
	for _, t := range tasks {
		queue <- t
	}
	close(queue)
	workers.Wait()
	return totals
}

// worker has a connection for the tasks that come to it.
type worker struct {
	r        *run
	conn     *pgconn.PgConn
	database string
}

func (w *worker) do(ctx context.Context, t task) result {
	if ctx.Err() != nil {
		return result{err: context.Cause(ctx)}
	}
	if w.conn != nil && (w.conn.IsClosed() || w.database != t.database || t.fresh) {
		w.close()
	}
	if w.conn == nil {
		conn, err := w.r.s.connect(ctx, w.r.s.user, t.database)
		if err != nil {
			return result{err: err}
		}
		if !t.fresh {
			if err := plainSession(ctx, conn); err != nil {
				conn.Close(context.WithoutCancel(ctx))
				return result{err: err}
			}
		}
		w.conn, w.database = conn, t.database
	}
	res := t.run(ctx, w.conn)
	if t.fresh {
		w.close()
	}
	return res
}

// closePatience bounds the good-bye to a server.
const closePatience = 5 * time.Second

func (w *worker) close() {
	if w.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), closePatience)
	defer cancel()
	w.conn.Close(ctx)
	w.conn = nil
}

// plainSession makes names mean PostgreSQL's own objects, whatever the database
// has in its schemas, and keeps event triggers of the database still.
func plainSession(ctx context.Context, conn *pgconn.PgConn) error {
	_, err := rows(ctx, conn, `select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', false),
		pg_catalog.set_config('session_replication_role', 'replica', false)`)
	return err
}

// session opens a connection for looking at a database.
func (r *run) session(ctx context.Context, database string) (*pgconn.PgConn, error) {
	conn, err := r.s.connect(ctx, r.s.user, database)
	if err != nil {
		return nil, err
	}
	if err := plainSession(ctx, conn); err != nil {
		conn.Close(context.WithoutCancel(ctx))
		return nil, err
	}
	return conn, nil
}

// explain puts an error into words: that of the server in its own, the end of
// the time in its cause's, and a connection that was lost because the server
// ended in that.
func (r *run) explain(ctx context.Context, err error) string {
	var refusal *pgconn.PgError
	switch {
	case errors.As(err, &refusal):
		text := refusal.Message
		if refused := (*pgconn.ConnectError)(nil); errors.As(err, &refused) {
			text = "could not connect: " + text
		} else {
			text = strings.TrimSuffix(err.Error(), refusal.Error()) + text
		}
		if refusal.Detail != "" {
			text += "\nDETAIL: " + refusal.Detail
		}
		if refusal.Where != "" {
			text += "\nCONTEXT: " + refusal.Where
		}
		return text
	case ctx.Err() != nil:
		return context.Cause(ctx).Error()
	case r.s.proc != nil && r.s.proc.ended():
		return "the server ended while it was checked: " + err.Error()
	}
	return err.Error()
}
