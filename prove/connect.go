package prove

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgbasin/pgbasin/conninfo"
	"github.com/pgbasin/pgbasin/pgdata"
)

// template is a configuration in which nothing of the environment is left:
// pgconn insists on making it, and reads the environment when it does, also the
// service that PGSERVICE names; so a service without settings is named instead.
var template = sync.OnceValues(func() (*pgconn.Config, error) {
	f, err := os.CreateTemp("", "pgbasin-service-")
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString("[none]\n")
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	return pgconn.ParseConfig("host=/ port=1 user=x password=x database=x passfile='' connect_timeout=0" +
		" sslmode=disable sslcert='' sslkey='' sslrootcert='' sslpassword='' sslcertmode=allow sslsni=0 sslnegotiation=postgres" +
		" target_session_attrs=any min_protocol_version='' max_protocol_version='' channel_binding=prefer require_auth=''" +
		" service=none servicefile=" + conninfo.Quote(f.Name()))
})

// sessionSettings are what every session of a check begins with. What a database
// or a role sets for its sessions is for the application: a read-only default,
// a timeout or a role of it must not fail a check.
func sessionSettings(v pgdata.Version) map[string]string {
	settings := map[string]string{
		"application_name":              "pgbasin prove",
		"role":                          "none",
		"statement_timeout":             "0",
		"lock_timeout":                  "0",
		"default_transaction_read_only": "off",
		"default_transaction_isolation": "read committed",
		"session_preload_libraries":     "",
		"local_preload_libraries":       "",
	}
	for name, since := range map[string]pgdata.Version{
		"idle_in_transaction_session_timeout": 90600, "idle_session_timeout": 140000, "transaction_timeout": 170000,
	} {
		if v >= since {
			settings[name] = "0"
		}
	}
	return settings
}

// connect opens a connection to a database as the superuser.
func (s *Server) connect(ctx context.Context, user, database string) (*pgconn.PgConn, error) {
	base, err := template()
	if err != nil {
		return nil, fmt.Errorf("could not prepare a connection: %w", err)
	}
	cfg := base.Copy()
	cfg.Host, cfg.Port = s.scratch.socket, uint16(s.port)
	cfg.User, cfg.Database, cfg.Password = user, database, ""
	cfg.TLSConfig, cfg.Fallbacks = nil, nil
	cfg.RuntimeParams = sessionSettings(s.version)
	return pgconn.ConnectConfig(ctx, cfg)
}

// rows runs a query and returns its rows as text; NULL is "".
func rows(ctx context.Context, conn *pgconn.PgConn, sql string, args ...string) ([][]string, error) {
	params := make([][]byte, len(args))
	for i, a := range args {
		params[i] = []byte(a)
	}
	result := conn.ExecParams(ctx, sql, params, nil, nil, nil).Read()
	if result.Err != nil {
		return nil, result.Err
	}
	table := make([][]string, len(result.Rows))
	for i, row := range result.Rows {
		table[i] = make([]string, len(row))
		for j, value := range row {
			table[i][j] = string(value)
		}
	}
	return table, nil
}

// quoteIdent writes an identifier for SQL.
func quoteIdent(name string) string {
	b := make([]byte, 0, len(name)+2)
	b = append(b, '"')
	for i := range len(name) {
		if name[i] == '"' {
			b = append(b, '"')
		}
		b = append(b, name[i])
	}
	return string(append(b, '"'))
}
