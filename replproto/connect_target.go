package replproto

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgbasin/pgbasin/conninfo"
)

// target is what target_session_attrs asks for.
type target string

const (
	anyServer     target = "any"
	readWrite     target = "read-write"
	readOnly      target = "read-only"
	primaryServer target = "primary"
	standbyServer target = "standby"
	preferStandby target = "prefer-standby"
)

// serverState is what target_session_attrs judges by.
type serverState struct {
	standby  bool
	readOnly bool // new transactions cannot write, on a standby or by default
}

// refuse says why a server is not what is wanted, nil when it is.
func (w target) refuse(s serverState) error {
	switch {
	case w == readWrite && s.readOnly:
		return errors.New("session is read-only")
	case w == readOnly && !s.readOnly:
		return errors.New("session is not read-only")
	case w == primaryServer && s.standby:
		return errors.New("server is in hot standby mode")
	case (w == standbyServer || w == preferStandby) && !s.standby:
		return errors.New("server is not in hot standby mode")
	}
	return nil
}

// checkTarget judges the server that pg is connected to by what it reports
// about itself, which servers do from 14 on. An older one is asked through an
// ordinary session, made as t made pg's: a walsender runs no queries.
func (d *dialer) checkTarget(ctx context.Context, t *attempt, pg *session) error {
	if d.target == anyServer {
		return nil
	}
	standby, byDefault := pg.ParameterStatus("in_hot_standby"), pg.ParameterStatus("default_transaction_read_only")
	if standby != "" && byDefault != "" {
		return d.target.refuse(serverState{standby: standby == "on", readOnly: standby == "on" || byDefault == "on"})
	}
	state, err := d.probe(ctx, t.address)
	if err != nil {
		return fmt.Errorf("target_session_attrs=%s needs an ordinary connection to a server older than 14, which failed: %w", d.target, err)
	}
	return d.target.refuse(state)
}

// probeDatabase is where an ordinary session goes when no database was named.
const probeDatabase = "postgres"

func (d *dialer) probe(ctx context.Context, a address) (serverState, error) {
	database := d.settings.Value("dbname")
	if database == "" || database == defaultDatabase {
		database = probeDatabase
	}
	if a.host.Password == "" {
		// A line of the password file may name this database only.
		password, err := d.passwordFor(a.host, database)
		if err != nil {
			return serverState{}, err
		}
		a.host.Password = password
	}
	t := &attempt{dialer: d, address: a, database: database}
	methods := encryptionMethods(d.settings.Value("sslmode"), a.host.Socket)
	var pg *session
	for {
		var err error
		if pg, err = t.connect(ctx, &methods); err == nil {
			break
		}
		if !t.retry || len(methods) == 0 {
			return serverState{}, err
		}
		t = &attempt{dialer: d, address: a, database: database}
	}
	defer closePolitely(pg)

	if _, err := queryValue(ctx, pg, "SELECT pg_catalog.set_config('search_path', '', false)"); err != nil {
		return serverState{}, fmt.Errorf("could not clear \"search_path\": %w", err)
	}
	recovery, err := queryValue(ctx, pg, "SELECT pg_catalog.pg_is_in_recovery()")
	if err != nil {
		return serverState{}, err
	}
	readOnly, err := queryValue(ctx, pg, "SHOW transaction_read_only")
	if err != nil {
		return serverState{}, err
	}
	return serverState{standby: recovery == "t", readOnly: readOnly == "on"}, nil
}

func (d *dialer) passwordFor(h conninfo.Host, database string) (string, error) {
	hosts, _, err := d.settings.Hosts(database)
	if err != nil {
		return "", err
	}
	for _, other := range hosts {
		if other.Host == h.Host && other.Addr == h.Addr && other.Port == h.Port {
			return other.Password, nil
		}
	}
	return "", nil
}

// queryValue runs a query that returns one value.
func queryValue(ctx context.Context, pg *session, sql string) (string, error) {
	results, err := pg.Exec(ctx, sql).ReadAll()
	if err != nil {
		var pe *pgconn.PgError
		if errors.As(err, &pe) {
			return "", &ServerError{Fields{
				Severity: pe.Severity, Code: pe.Code, Message: pe.Message, Detail: pe.Detail, Hint: pe.Hint, Context: pe.Where,
			}}
		}
		return "", err
	}
	if len(results) != 1 || len(results[0].Rows) != 1 || len(results[0].Rows[0]) != 1 {
		return "", protocolErrorf("unexpected shape of the result of %q", sql)
	}
	return string(results[0].Rows[0][0]), nil
}
