package pgtest

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// base is parsed before tests change the environment: what PGSERVICE, PGSSLMODE and their like say is meant for the code under
// test, not for the connections of this package.
var base, errBase = pgx.ParseConfig("host=/ user=postgres password='' dbname=postgres sslmode=disable")

// connect connects through the socket.
func (s *Server) connect(ctx context.Context, user, database string) (*pgx.Conn, error) {
	if errBase != nil {
		return nil, errBase
	}
	cfg := base.Copy()
	cfg.Host, cfg.Port = s.dir, uint16(s.port)
	cfg.User, cfg.Database = user, database
	cfg.Fallbacks = nil
	cfg.ValidateConnect = nil
	cfg.ConnectTimeout = 30 * time.Second
	cfg.RuntimeParams = map[string]string{"application_name": "pgtest"}
	return pgx.ConnectConfig(ctx, cfg)
}

// lasting says that a refused connection will be refused again: for another reason than that the server is starting or
// stopping (SQLSTATE class 57) or full (class 53).
func lasting(err error) bool {
	var refusal *pgconn.PgError
	return errors.As(err, &refusal) && !strings.HasPrefix(refusal.Code, "53") && !strings.HasPrefix(refusal.Code, "57")
}
