package pgtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// LoadConfig says how a server is kept busy.
type LoadConfig struct {
	Clients    int    // connections; 0 is 2
	Tablespace string // one that also gets a table that every transaction writes to, and files that come and go; "" is none
	Rate       int    // transactions per second of all clients together; 0 is as many as they can
}

// Workload is a running load.
type Workload struct {
	commits atomic.Int64
	stop    context.CancelFunc
	workers sync.WaitGroup
	mu      sync.Mutex
	errs    []error
}

// The tables of the load, in the schema "load". Each transaction adds the same amount to one row of accounts, tellers and
// branches, and writes it to history, so that the four sums are equal at every consistent point.
const (
	loadBranches = 10
	loadTellers  = 10 * loadBranches
	loadAccounts = 1000 * loadBranches
)

// setup makes the tables, unless an earlier load has.
func (c LoadConfig) setup(ctx context.Context, conn *pgx.Conn) error {
	script := fmt.Sprintf(`
create schema if not exists load;
create table if not exists load.branches (bid int primary key, bbalance bigint not null, filler text) with (fillfactor = 10);
create table if not exists load.tellers (tid int primary key, tbalance bigint not null, filler text) with (fillfactor = 10);
create table if not exists load.accounts (aid int primary key, abalance bigint not null, filler text) with (fillfactor = 80);
create table if not exists load.history (aid int, tid int, bid int, delta bigint not null, mtime timestamptz default now(), filler text);
insert into load.branches select i, 0, repeat('b', 80) from generate_series(1, %d) i on conflict do nothing;
insert into load.tellers select i, 0, repeat('t', 80) from generate_series(1, %d) i on conflict do nothing;
insert into load.accounts select i, 0, repeat('a', 80) from generate_series(1, %d) i on conflict do nothing;
`, loadBranches, loadTellers, loadAccounts)
	if c.Tablespace != "" {
		script += fmt.Sprintf(`create table if not exists load.ledger (delta bigint not null, filler text) tablespace %[1]s;
insert into load.ledger select sum(delta), 'carried' from load.history where not exists (select from load.ledger) having count(*) > 0;
`, ident(c.Tablespace))
	}
	_, err := conn.Exec(ctx, script, pgx.QueryExecModeSimpleProtocol)
	return err
}

// StartLoad makes the load's tables and starts clients that write to them until Workload.Stop. The context bounds the start
// only. One load at a time; a later one goes on with the tables of the one before.
func (s *Server) StartLoad(ctx context.Context, cfg LoadConfig) (*Workload, error) {
	if cfg.Clients == 0 {
		cfg.Clients = 2
	}
	conn, err := s.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := cfg.setup(ctx, conn); err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	var ledger bool
	if err := conn.QueryRow(ctx, "select to_regclass('load.ledger') is not null").Scan(&ledger); err != nil {
		return nil, err
	}
	conns := make([]*pgx.Conn, 0, cfg.Clients)
	for range cfg.Clients {
		c, err := s.Connect(ctx)
		if err != nil {
			for _, c := range conns {
				c.Close(context.WithoutCancel(ctx))
			}
			return nil, err
		}
		conns = append(conns, c)
	}
	running, cancel := context.WithCancel(context.Background())
	w := &Workload{stop: cancel}
	for i, c := range conns {
		w.workers.Go(func() {
			defer c.Close(context.Background())
			client := loadClient{conn: c, id: i, ledger: ledger, cfg: cfg, commits: &w.commits}
			if err := client.run(running); err != nil {
				w.mu.Lock()
				w.errs = append(w.errs, fmt.Errorf("load client %d: %w", i, err))
				w.mu.Unlock()
			}
		})
	}
	return w, nil
}

// Commits is the number of transactions committed so far.
func (w *Workload) Commits() int64 { return w.commits.Load() }

// WaitCommits waits until n more transactions are committed.
func (w *Workload) WaitCommits(ctx context.Context, n int64) error {
	target := w.Commits() + n
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for w.Commits() < target {
		select {
		case <-ctx.Done():
			return fmt.Errorf("load: %d of %d commits: %w", w.Commits(), target, ctx.Err())
		case <-tick.C:
		}
		if err := w.failure(); err != nil {
			return err
		}
	}
	return nil
}

func (w *Workload) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return errors.Join(w.errs...)
}

// Stop lets every client finish its transaction, disconnects, and returns the number of committed transactions and what went
// wrong. It may be called more than once.
func (w *Workload) Stop() (int64, error) {
	w.stop()
	w.workers.Wait()
	return w.Commits(), w.failure()
}

// loadClient is one connection of a load.
type loadClient struct {
	conn    *pgx.Conn
	id      int
	ledger  bool
	cfg     LoadConfig
	commits *atomic.Int64
}

// run writes until ctx is done. The context is looked at between transactions, never inside one.
func (c *loadClient) run(ctx context.Context) error {
	var pace <-chan time.Time
	if c.cfg.Rate > 0 {
		tick := time.NewTicker(time.Second * time.Duration(c.cfg.Clients) / time.Duration(c.cfg.Rate))
		defer tick.Stop()
		pace = tick.C
	}
	random := rand.New(rand.NewPCG(uint64(c.id), 1))
	for n := 1; ctx.Err() == nil; n++ {
		if pace != nil {
			select {
			case <-pace:
			case <-ctx.Done():
				return nil
			}
		}
		if err := c.transaction(random, n%16 == 0); err != nil {
			return err
		}
		if n%100 == 0 {
			if err := c.scratch(n); err != nil {
				return err
			}
		}
	}
	return nil
}

// transaction moves a random amount, and takes it back when it shall roll back.
func (c *loadClient) transaction(random *rand.Rand, rollback bool) error {
	aid, tid, bid := 1+random.IntN(loadAccounts), 1+random.IntN(loadTellers), 1+random.IntN(loadBranches)
	delta := random.IntN(10001) - 5000
	var b pgx.Batch
	b.Queue("begin")
	b.Queue("update load.accounts set abalance = abalance + $1 where aid = $2", delta, aid)
	b.Queue("update load.tellers set tbalance = tbalance + $1 where tid = $2", delta, tid)
	b.Queue("update load.branches set bbalance = bbalance + $1 where bid = $2", delta, bid)
	b.Queue("insert into load.history (aid, tid, bid, delta, filler) values ($1, $2, $3, $4, 'h')", aid, tid, bid, delta)
	if c.ledger {
		b.Queue("insert into load.ledger (delta, filler) values ($1, 'l')", delta)
	}
	if rollback {
		b.Queue("rollback")
	} else {
		b.Queue("commit")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := c.conn.SendBatch(ctx, &b).Close(); err != nil {
		return err
	}
	if !rollback {
		c.commits.Add(1)
	}
	return nil
}

// scratch makes a table and drops the one before it, so that files appear and vanish while a backup reads directories.
func (c *loadClient) scratch(n int) error {
	where := ""
	if c.cfg.Tablespace != "" && n%200 == 0 {
		where = "tablespace " + ident(c.cfg.Tablespace)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err := c.conn.Exec(ctx, fmt.Sprintf(`drop table if exists load.scratch_%[1]d;
create table load.scratch_%[1]d (i) %[2]s as select generate_series(1, 1000);`, c.id, where), pgx.QueryExecModeSimpleProtocol)
	return err
}

// Load keeps a server busy until Workload.Stop or the end of the test. With a tablespace, every transaction also writes to a
// table there.
func Load(t testing.TB, s *Server, clients int, tablespace ...string) *Workload {
	t.Helper()
	cfg := LoadConfig{Clients: clients}
	if len(tablespace) > 0 {
		cfg.Tablespace = tablespace[0]
	}
	w, err := s.StartLoad(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Stop() })
	return w
}

// Wait waits until n more transactions are committed.
func (w *Workload) Wait(t testing.TB, n int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := w.WaitCommits(ctx, n); err != nil {
		t.Fatal(err)
	}
}
