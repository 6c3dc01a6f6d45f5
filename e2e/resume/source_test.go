//go:build unix

package resume

import (
	"math/rand/v2"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/basebackup"
	"github.com/pgbasin/pgbasin/internal/faultproxy"
	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// source is a server under load, with tables of some MB that do not change.
type source struct {
	*pgtest.Server
	load  *pgtest.Workload
	sums  map[string]string
	space string
	whole int64 // about what a backup takes on the main connection, in bytes
}

func startSource(t *testing.T, major int) *source {
	t.Helper()
	s := &source{Server: pgtest.Start(t, major, pgtest.Setting("summarize_wal", "on"), pgtest.Setting("wal_keep_size", "256MB"), pgtest.Checksums(true))}
	s.space = s.CreateTablespace(t, "space")
	s.Exec(t, `create extension amcheck;
create extension pg_visibility;
create schema apart;
do $$ begin for n in 1..10 loop
  execute format('create table apart.t%s (i int primary key, t text) %s', n, case when n % 4 = 0 then 'tablespace space' else '' end);
  execute format('insert into apart.t%s select i, repeat(md5((i * %s)::text), 6) from generate_series(1, 7000) i', n, n);
end loop; end $$;
checkpoint`)
	s.sums = pgtest.Sums(t, s.Server)
	s.startLoad(t)
	p := s.place(t)
	start(t, p.args("-T", p.mapping())...).succeeded(t)
	s.whole = p.proxy.Traffic()[mainConnection].FromServer
	return s
}

// startLoad changes some other tables all the time, so that files come, change and go.
func (s *source) startLoad(t *testing.T) {
	t.Helper()
	w, err := s.StartLoad(t.Context(), pgtest.LoadConfig{Clients: 2, Rate: 60, Tablespace: "space"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := w.Stop(); err != nil {
			t.Errorf("load: %v", err)
		}
	})
	w.Wait(t, 50)
	s.load = w
}

// random makes the random numbers of a test, and says how to have the same again.
func random(t *testing.T) *rand.Rand {
	t.Helper()
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// place is where a backup goes, and how it gets there.
type place struct {
	*source
	dir   string
	proxy *faultproxy.Proxy
}

func (s *source) place(t *testing.T) *place {
	t.Helper()
	p := &place{source: s, dir: filepath.Join(pgtest.TempDir(t), "backup")}
	p.reconnect(t)
	return p
}

// reconnect makes a new proxy, which counts from 0.
func (p *place) reconnect(t *testing.T) {
	t.Helper()
	p.proxy = faultproxy.New(t, net.JoinHostPort(p.Host(), strconv.Itoa(p.Port())))
}

// args are those of a backup.
func (p *place) args(more ...string) []string {
	args := []string{"backup", "-D", p.dir, "-cfast", "--json", "-N", "-h", p.proxy.Host(), "-p", strconv.Itoa(p.proxy.Port())}
	return append(args, more...)
}

func (p *place) mapping() string { return p.space + "=" + p.dir + "-space" }

// mainConnection is the number of the connection that brings the data: a resumed backup
// has looked at the server over another one before.
const (
	mainConnection    = 0
	resumedConnection = 1
)

// killed runs a backup and kills it when so many bytes of data were forwarded.
func (p *place) killed(t *testing.T, connection int, bytes int64, args ...string) *program {
	t.Helper()
	p.proxy.On(connection, faultproxy.Server, faultproxy.After(bytes), faultproxy.Stall(nil))
	run := start(t, p.args(args...)...)
	eventually(t, "the point to kill it at", func() bool {
		if run.ended() {
			t.Fatalf("it ended before %d bytes had come:\n%s", bytes, run.stderr.String())
		}
		traffic := p.proxy.Traffic()
		return len(traffic) > connection && traffic[connection].FromServer >= bytes && basebackup.HasJournal(p.dir)
	})
	run.kill(t)
	// What is left of it on the server would keep others from dropping anything.
	p.proxy.Now(faultproxy.Reset)
	return run
}

// check shows that the backup is good: against its manifest, by page checksums, and as
// a server with all of its data.
func (p *place) check(t *testing.T) {
	t.Helper()
	v := start(t, "verify", "--checksums", p.dir)
	v.succeeded(t)
	if left := glob(t, p.dir, "*.tmp", "*.journal", "*/*.tmp", "*/INCREMENTAL*", "*/*/INCREMENTAL*"); left != "" {
		t.Errorf("left in the backup: %s", left)
	}
	restored := pgtest.StartDir(t, p.Major(), p.dir, pgtest.Setting("summarize_wal", "off"))
	pgtest.SameSums(t, pgtest.Sums(t, restored), p.sums)
	pgtest.CheckBalances(t, restored)
	restored.Exec(t, `select bt_index_check(c.oid, true) from pg_class c join pg_am a on a.oid = c.relam where c.relkind = 'i' and a.amname = 'btree' and c.relpersistence = 'p'`)
	if n := pgtest.Query[int64](t, restored, `select count(*) from pg_class c, pg_check_visible(c.oid) where c.relkind in ('r', 't', 'm')`); n != 0 {
		t.Errorf("%d rows are on pages whose rows the visibility map calls visible to everybody, and are not", n)
	}
	if err := restored.Close(); err != nil {
		t.Error(err)
	}
}

func glob(t *testing.T, dir string, patterns ...string) string {
	t.Helper()
	var found []string
	for _, pattern := range patterns {
		names, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, names...)
	}
	return strings.Join(found, " ")
}
