//go:build unix

package phases

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/pgbasin/pgbasin/conninfo"
	"github.com/pgbasin/pgbasin/internal/faultproxy"
	"github.com/pgbasin/pgbasin/internal/pgtest"
	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/replproto"
)

const segmentSize = 1 << 20

// server is one for all cells of a major. It is on its second timeline, with all
// of the first one's WAL since the slot "origin" was made.
type server struct {
	*pgtest.Server
	name  string
	first string  // the first segment of that WAL
	end   lsn.LSN // in the second timeline, with WAL behind it
	space string  // the location of its tablespace
}

func startServer(t *testing.T, major int) *server {
	t.Helper()
	s := pgtest.Start(t, major, pgtest.WALSegSize(1), pgtest.TLS(pgtest.TLSConfig{}),
		pgtest.HBA("host replication guarded all scram-sha-256", "hostssl replication guarded all scram-sha-256"),
		pgtest.Settings(map[string]string{
			"max_wal_senders": "120", "max_connections": "150", "max_replication_slots": "400", "wal_keep_size": "2000", "password_encryption": "scram-sha-256",
			"wal_sender_timeout": "6s", "restore_command": "false",
			"archive_mode": "on", "archive_command": "test ! -e hold", "synchronous_commit": "local",
		}))
	s.ReplicationUser(t, "guarded", "secret")
	s.CreateTablespace(t, "space")
	s.Exec(t, "create table in_space (a int) tablespace space; create table filler (a text)")
	s.Exec(t, "select pg_create_physical_replication_slot('origin', true)")
	r := &server{Server: s, name: strconv.Itoa(major)}
	t.Cleanup(func() { r.nothingLeft(t) })
	r.first = s.QueryString(t, "select pg_walfile_name(restart_lsn) from pg_replication_slots where slot_name = 'origin'")
	r.write(t, 3)
	r.fork(t)
	r.write(t, 2)
	r.end = r.position(t)
	r.write(t, 1)
	return r
}

// startSmallServer starts one of few MB that knows what was changed.
func startSmallServer(t *testing.T, major int) *server {
	t.Helper()
	s := pgtest.Start(t, major, pgtest.WALSegSize(1), pgtest.TLS(pgtest.TLSConfig{}),
		pgtest.Settings(map[string]string{
			"max_wal_senders": "250", "max_connections": "20", "max_replication_slots": "250", "summarize_wal": "on",
		}))
	s.Exec(t, "update pg_database set datistemplate = false")
	s.Exec(t, "drop database template0")
	s.Exec(t, "drop database template1")
	space := s.CreateTablespace(t, "space")
	s.Exec(t, "create table in_space tablespace space as select repeat('x', 1000) t from generate_series(1, 100)")
	r := &server{Server: s, name: strconv.Itoa(major), space: space}
	t.Cleanup(func() { r.nothingLeft(t) })
	return r
}

// nothingLeft waits until no connection and no slot is left of what ran.
func (s *server) nothingLeft(t *testing.T) {
	t.Helper()
	late := time.Now().Add(patience)
	for {
		senders := pgtest.Query[int64](t, s.Server, "select count(*) from pg_stat_replication")
		slots := pgtest.Query[int64](t, s.Server, "select count(*) from pg_replication_slots where temporary")
		if senders+slots == 0 {
			return
		}
		if time.Now().After(late) {
			t.Fatalf("%d WAL senders and %d temporary slots are left", senders, slots)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// write makes so many segments of WAL, all of them full of it but for the last one.
func (s *server) write(t *testing.T, segments int) {
	t.Helper()
	s.Exec(t, fmt.Sprintf("insert into filler select repeat('x', 1000) || n from generate_series(1, %d) n", segments*600))
	s.Exec(t, "checkpoint; select pg_switch_wal()")
}

func (s *server) position(t *testing.T) lsn.LSN {
	t.Helper()
	pos, err := lsn.Parse(s.QueryString(t, "select pg_current_wal_flush_lsn()::text"))
	if err != nil {
		t.Fatal(err)
	}
	return pos
}

// fork makes the server begin a timeline, as a recovery does.
func (s *server) fork(t *testing.T) {
	t.Helper()
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	signal := filepath.Join(s.DataDir(), "recovery.signal")
	if err := os.WriteFile(signal, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(signal, 0o666); err != nil {
		t.Fatal(err)
	}
	s.Restart(t)
	s.WaitWritable(t)
}

// slot makes a slot that keeps WAL from the first segment on.
func (s *server) slot(t *testing.T, name string) {
	t.Helper()
	s.Exec(t, "select pg_copy_physical_replication_slot('origin', $1)", name)
}

// proxy stands before the server.
func (s *server) proxy(t *testing.T) *faultproxy.Proxy {
	t.Helper()
	return faultproxy.New(t, net.JoinHostPort(s.Host(), strconv.Itoa(s.Port())))
}

// connect connects through a proxy.
func connect(t *testing.T, p *faultproxy.Proxy, more string, timeout time.Duration) func(context.Context) (*replproto.Conn, error) {
	t.Helper()
	given, err := conninfo.Parse(fmt.Sprintf("host=%s port=%d user=postgres sslmode=disable %s", p.Host(), p.Port(), more))
	if err != nil {
		t.Fatal(err)
	}
	settings, err := conninfo.Resolve(given, nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg := &replproto.Config{Settings: settings, ApplicationName: "phases", ServerTimeout: timeout}
	return func(ctx context.Context) (*replproto.Conn, error) { return replproto.Connect(ctx, cfg) }
}
