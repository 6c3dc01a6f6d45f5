package pgfake_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgbasin/pgbasin/internal/pgfake"
)

// connect is pgconn as a client, without a database's niceties.
func connect(t *testing.T, conninfo string) *pgconn.PgConn {
	t.Helper()
	conn, err := tryConnect(t, conninfo)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	return conn
}

func tryConnect(t *testing.T, conninfo string) (*pgconn.PgConn, error) {
	t.Helper()
	config, err := pgconn.ParseConfig(conninfo)
	if err != nil {
		t.Fatal(err)
	}
	ctx := deadline(t)
	conn, err := pgconn.ConnectConfig(ctx, config)
	if err == nil {
		t.Cleanup(func() { conn.Close(context.Background()) })
	}
	return conn, err
}

func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// query is the first column of each row of each result set.
func query(t *testing.T, conn *pgconn.PgConn, sql string) ([]string, error) {
	t.Helper()
	results, err := conn.Exec(deadline(t), sql).ReadAll()
	var out []string
	for _, r := range results {
		for _, row := range r.Rows {
			out = append(out, string(row[0]))
		}
	}
	return out, err
}

// recorder stands in for a test, to see it fail.
type recorder struct {
	testing.TB
	mu       sync.Mutex
	errors   []string
	cleanups []func()
}

func (r *recorder) Helper()          {}
func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}

func (r *recorder) finish() string {
	for i := len(r.cleanups) - 1; i >= 0; i-- {
		r.cleanups[i]()
	}
	return strings.Join(r.errors, "\n")
}

func TestScriptAnswersAsItReads(t *testing.T) {
	s := pgfake.Start(t, pgfake.Script(
		pgfake.Startup("9.1.24", "TimeZone", "Europe/Berlin"),
		pgfake.Expect("IDENTIFY_SYSTEM"),
		pgfake.ParameterStatus("application_name", "other"),
		pgfake.RowDescription("systemid", "timeline"),
		pgfake.Row("42", 1),
		pgfake.Row(nil, []byte{}),
		pgfake.CommandComplete("SELECT"),
		pgfake.ReadyForQuery(),
		pgfake.Expect("SHOW .*"),
		pgfake.Error("ERROR", "42601", "syntax error", pgfake.Hint("none"), pgfake.Field{Code: 'R', Value: "yyerror"}),
		pgfake.ReadyForQuery(),
	))
	conn := connect(t, s.ConnString("application_name=x"))
	if got := conn.ParameterStatus("server_version") + " " + conn.ParameterStatus("TimeZone"); got != "9.1.24 Europe/Berlin" {
		t.Errorf("parameters = %q", got)
	}
	got, err := query(t, conn, "IDENTIFY_SYSTEM")
	if err != nil || len(got) != 2 || got[0] != "42" {
		t.Errorf("IDENTIFY_SYSTEM = %q, %v", got, err)
	}
	_, err = query(t, conn, "SHOW wal_segment_size")
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) || pgErr.Code != "42601" || pgErr.Hint != "none" {
		t.Errorf("SHOW: %v", err)
	}
	if q := s.Queries(); len(q) != 2 || q[1].Text != "SHOW wal_segment_size" {
		t.Errorf("Queries() = %v", q)
	}
}

func TestScriptsFailTheTestWithWhatWasExpectedAndWhatCame(t *testing.T) {
	answer := pgfake.Script(pgfake.CommandComplete("OK"), pgfake.ReadyForQuery())
	for _, c := range []struct {
		name   string
		script []pgfake.Step
		client func(t *testing.T, s *pgfake.Server)
		want   []string
	}{
		{
			"another query", []pgfake.Step{pgfake.Script(pgfake.Startup("15.3"), pgfake.Expect("A"))},
			func(t *testing.T, s *pgfake.Server) { query(t, connect(t, s.ConnString()), "B") },
			[]string{`connection 0: step 2 of 2, Expect("A")`, `want a query that matches "A", got "B"`},
		}, {
			"gone early", []pgfake.Step{pgfake.Script(pgfake.Startup("15.3"), pgfake.Expect("A"), answer, pgfake.Expect("B"))},
			func(t *testing.T, s *pgfake.Server) {
				conn := connect(t, s.ConnString())
				query(t, conn, "A")
				conn.Conn().Close()
			},
			[]string{"step 4 of 4", `matches "B"`, "the client closed the connection"},
		}, {
			"more than the script", []pgfake.Step{pgfake.Script(pgfake.Startup("15.3"))},
			func(t *testing.T, s *pgfake.Server) { query(t, connect(t, s.ConnString()), "A") },
			[]string{"the script is over", `got query "A"`},
		}, {
			"no connection", []pgfake.Step{pgfake.Script(pgfake.Startup("15.3"))},
			func(*testing.T, *pgfake.Server) {},
			[]string{"0 of 1 scripted connections came"},
		}, {
			"one connection more", nil,
			func(t *testing.T, s *pgfake.Server) {
				if _, err := tryConnect(t, s.ConnString()); err == nil {
					t.Error("connected")
				}
			},
			[]string{"a connection came for which there is no script"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &recorder{TB: t}
			s := pgfake.Start(r, c.script...)
			c.client(t, s)
			got := r.finish()
			for _, want := range c.want {
				if !strings.Contains(got, want) {
					t.Errorf("the test was told %q, want %q in it", got, want)
				}
			}
		})
	}
}

func TestUntilGoneForgivesAClientThatGivesUp(t *testing.T) {
	s := pgfake.Start(t, pgfake.UntilGone(pgfake.Startup("15.3"), pgfake.Expect("A"), pgfake.Expect("B")))
	conn := connect(t, s.ConnString())
	conn.Close(context.Background())
}

func TestUnixSocketServesTheSameScripts(t *testing.T) {
	s := pgfake.StartEach(t, pgfake.Script(pgfake.Startup("15.3"), pgfake.Expect("A"), pgfake.CommandComplete("A"), pgfake.ReadyForQuery()))
	conn := connect(t, "host="+s.ListenUnix()+" port=5432 user=fake replication=yes sslmode=disable")
	if _, err := query(t, conn, "A"); err != nil {
		t.Error(err)
	}
}

// simple is a script that answers one query after the given messages.
func simple(messages ...pgfake.Message) pgfake.Step {
	steps := []pgfake.Step{pgfake.Startup("15.3"), pgfake.Expect("A")}
	for _, m := range messages {
		steps = append(steps, m)
	}
	return pgfake.UntilGone(append(steps, pgfake.CommandComplete("A"), pgfake.ReadyForQuery())...)
}

func TestFaults(t *testing.T) {
	row := []pgfake.Message{pgfake.RowDescription("x"), pgfake.Row("1")}
	t.Run("FIN ends the stream after what was sent", func(t *testing.T) {
		s := pgfake.Start(t, simple(append(row, pgfake.Close(pgfake.FIN))...))
		conn := connect(t, s.ConnString())
		got, err := query(t, conn, "A")
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("query = %q, %v", got, err)
		}
	})
	t.Run("RST resets", func(t *testing.T) {
		s := pgfake.Start(t, simple(pgfake.Flushed(), pgfake.Close(pgfake.RST)))
		_, err := query(t, connect(t, s.ConnString()), "A")
		if err == nil || errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("query: %v, want a reset", err)
		}
	})
	t.Run("Hang says nothing more", func(t *testing.T) {
		s := pgfake.Start(t, simple(pgfake.Close(pgfake.Hang)))
		conn := connect(t, s.ConnString())
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		if _, err := conn.Exec(ctx, "A").ReadAll(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("query: %v", err)
		}
	})
	t.Run("a gate stalls until it is released", func(t *testing.T) {
		g := pgfake.NewGate()
		s := pgfake.Start(t, simple(append(row, pgfake.Stall(g))...))
		conn := connect(t, s.ConnString())
		go func() {
			<-g.Reached()
			g.Release()
		}()
		if got, err := query(t, conn, "A"); err != nil || len(got) != 1 {
			t.Errorf("query = %q, %v", got, err)
		}
	})
	t.Run("bytes may come one by one", func(t *testing.T) {
		s := pgfake.Start(t, simple(append([]pgfake.Message{pgfake.SplitWrites(1)}, row...)...))
		if got, err := query(t, connect(t, s.ConnString()), "A"); err != nil || len(got) != 1 {
			t.Errorf("query = %q, %v", got, err)
		}
	})
	t.Run("Forever ends with the client", func(t *testing.T) {
		s := pgfake.Start(t, simple(pgfake.Forever(pgfake.Notice("WARNING", "01000", "again"))))
		conn := connect(t, s.ConnString())
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		if _, err := conn.Exec(ctx, "A").ReadAll(); err == nil {
			t.Error("the query ended")
		}
		if s.Sent() < 64<<10 {
			t.Errorf("%d bytes sent", s.Sent())
		}
	})
	t.Run("a length may lie", func(t *testing.T) {
		b := pgfake.WithLength(pgfake.CopyData([]byte("xyz")), 1<<31-1).Bytes()
		if string(b) != "d\x7f\xff\xff\xffxyz" {
			t.Errorf("bytes = %q", b)
		}
	})
}

func TestEveryStepOfACopyBothCanBeScripted(t *testing.T) {
	s := pgfake.Start(t, pgfake.Script(
		pgfake.Startup("9.3.25"),
		pgfake.Expect("START_REPLICATION .*"),
		pgfake.CopyBoth(),
		pgfake.XLogData(0x1000000, 0x1000003, []byte("wal")),
		pgfake.Keepalive(0x1000003, true),
		pgfake.ExpectStatus(func(st pgfake.Status) error {
			if st.Write != 0x1000003 || st.Flush != 0 || st.Apply != 0 || st.ReplyRequested {
				return fmt.Errorf("status %+v", st)
			}
			return nil
		}),
		pgfake.ExpectCopyDone(),
		pgfake.CopyDone(),
		pgfake.CommandComplete("START_STREAMING"),
		pgfake.ReadyForQuery(),
		pgfake.ExpectClose(),
		pgfake.Close(pgfake.FIN),
	))
	conn := connect(t, s.ConnString())
	f := conn.Frontend()
	f.Send(&pgproto3.Query{String: "START_REPLICATION 0/1000000"})
	f.Flush()
	var types []string
	for {
		m, err := conn.ReceiveMessage(deadline(t))
		if err != nil {
			t.Fatal(err)
		}
		switch m := m.(type) {
		case *pgproto3.CopyBothResponse:
			types = append(types, "W")
		case *pgproto3.CopyData:
			types = append(types, string(m.Data[0]))
			if m.Data[0] == 'k' {
				f.Send(&pgproto3.CopyData{Data: append([]byte("r\x00\x00\x00\x00\x01\x00\x00\x03"), make([]byte, 25)...)})
				f.Send(&pgproto3.CopyDone{})
				f.Flush()
			}
		case *pgproto3.CopyDone:
			types = append(types, "c")
		case *pgproto3.ReadyForQuery:
			if got := strings.Join(types, ""); got != "Wwkc" {
				t.Errorf("messages = %q", got)
			}
			f.Send(&pgproto3.Terminate{})
			f.Flush()
			return
		}
	}
}
