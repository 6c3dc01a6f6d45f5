package prove

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// newCase is the case of a statement.
func (s *Statement) newCase() *Case {
	c := &Case{Check: CheckSQL, Database: s.Database, Subject: s.Name, began: time.Now()}
	if s.Assert {
		c.Check = CheckAssert
	}
	if c.Subject == "" {
		c.Subject = strings.Join(strings.Fields(s.SQL), " ")
	}
	return c
}

// statements runs the caller's SQL, in its order within each database. Each has
// a connection of its own.
func (r *run) statements(ctx context.Context) {
	var cases []*Case
	var order []string
	byDatabase := make(map[string][]task)
	for i := range r.o.Checks.Statements {
		s := &r.o.Checks.Statements[i]
		c := s.newCase()
		cases = append(cases, c)
		database := s.Database
		if database == "" {
			database = r.s.database
		}
		if byDatabase[database] == nil {
			order = append(order, database)
		}
		byDatabase[database] = append(byDatabase[database], task{c: c, database: database, fresh: true, run: s.run})
	}
	limit := make(chan struct{}, r.o.jobs())
	ended := make(chan struct{})
	for _, database := range order {
		go func() {
			limit <- struct{}{}
			w := worker{r: r}
			for _, t := range byDatabase[database] {
				began := time.Now()
				if res := w.do(ctx, t); res.err != nil {
					t.c.problem(r.explain(ctx, res.err))
				}
				t.c.Duration = max(time.Millisecond, time.Since(began))
			}
			<-limit
			ended <- struct{}{}
		}()
	}
	for range order {
		<-ended
	}
	for _, c := range cases {
		r.end(c, nil)
	}
}

// run runs a statement, and looks at its last result if it is an assertion.
func (s *Statement) run(ctx context.Context, conn *pgconn.PgConn) result {
	answer := &lastResult{}
	reader := conn.Exec(ctx, s.SQL)
	for reader.NextResult() {
		answer.read(reader.ResultReader())
	}
	if err := reader.Close(); err != nil {
		return result{err: err}
	}
	if !s.Assert {
		return result{}
	}
	return result{err: answer.verdict()}
}

// lastResult is what an assertion is judged by.
type lastResult struct {
	columns []pgconn.FieldDescription
	rows    int64
	value   string
	null    bool
}

func (l *lastResult) read(reader *pgconn.ResultReader) {
	*l = lastResult{columns: append([]pgconn.FieldDescription(nil), reader.FieldDescriptions()...)}
	for reader.NextRow() {
		l.rows++
		if l.rows == 1 && len(reader.Values()) > 0 {
			l.value, l.null = string(reader.Values()[0]), reader.Values()[0] == nil
		}
	}
}

func (l *lastResult) verdict() error {
	switch {
	case len(l.columns) == 0:
		return errors.New("the assertion returned no result")
	case len(l.columns) > 1:
		return fmt.Errorf("the assertion returned %d columns, not one", len(l.columns))
	case l.rows != 1:
		return fmt.Errorf("the assertion returned %d rows, not one", l.rows)
	case l.null:
		return errors.New("the assertion returned NULL, not true")
	case l.columns[0].DataTypeOID != pgtype.BoolOID:
		return fmt.Errorf("the assertion returned %q, which is not a boolean", shorten(l.value))
	case l.value != "t":
		return errors.New("the assertion returned false")
	}
	return nil
}

// shorten cuts a value for a message.
func shorten(value string) string {
	const longest = 200
	if len(value) <= longest {
		return value
	}
	return value[:longest] + "..."
}
