package pgtest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

// Ledger is a load that remembers, outside of the database, which of its commits the server has confirmed. Its clients come
// back when the server does.
type Ledger struct {
	server *Server
	rate   int // commits per second of each client
	stop   context.CancelFunc
	wg     sync.WaitGroup
	count  atomic.Int64

	mu        sync.Mutex
	confirmed [][]Range // by client
}

// Range are numbers from First to Last, both with it.
type Range struct{ First, Last int64 }

// ledgerClient is how far the numbers of two clients are apart.
const ledgerClient = 1_000_000_000

// StartLedger makes the table ledger.commits and starts clients that insert numbers into it, one a transaction, at most so
// many a second each, until Stop. The context bounds the start only.
func (s *Server) StartLedger(ctx context.Context, clients, rate int) (*Ledger, error) {
	conn, err := s.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "create schema if not exists ledger; create table if not exists ledger.commits (n bigint primary key, filler text)",
		pgx.QueryExecModeSimpleProtocol); err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	running, cancel := context.WithCancel(context.Background())
	l := &Ledger{server: s, rate: rate, stop: cancel, confirmed: make([][]Range, clients)}
	for i := range clients {
		l.wg.Go(func() { l.client(running, i) })
	}
	return l, nil
}

// client inserts numbers. One that the server did not confirm is in doubt, and never used again.
func (l *Ledger) client(ctx context.Context, id int) {
	tick := time.NewTicker(time.Second / time.Duration(l.rate))
	defer tick.Stop()
	var conn *pgx.Conn
	for n := int64(id) * ledgerClient; ctx.Err() == nil; n++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
		var err error
		if conn == nil {
			if conn, err = l.server.Connect(ctx); err != nil {
				conn = nil
				continue
			}
		}
		if _, err = conn.Exec(ctx, "insert into ledger.commits values ($1, repeat('commit ', 20))", n); err != nil {
			conn.Close(context.WithoutCancel(ctx))
			conn = nil
			continue
		}
		l.confirm(id, n)
	}
	if conn != nil {
		conn.Close(context.WithoutCancel(ctx))
	}
}

func (l *Ledger) confirm(id int, n int64) {
	l.count.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	ranges := l.confirmed[id]
	if last := len(ranges) - 1; last >= 0 && ranges[last].Last == n-1 {
		ranges[last].Last = n
		return
	}
	l.confirmed[id] = append(ranges, Range{n, n})
}

// Count is the number of commits confirmed so far.
func (l *Ledger) Count() int64 { return l.count.Load() }

// Confirmed are the numbers whose commits were confirmed so far.
func (l *Ledger) Confirmed() []Range {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []Range
	for _, ranges := range l.confirmed {
		all = append(all, ranges...)
	}
	return all
}

// Stop ends the clients. A commit that is under way stays in doubt. It may be called more than once.
func (l *Ledger) Stop() {
	l.stop()
	l.wg.Wait()
}

// Missing is a query for the number of confirmed commits that a database does not have.
func Missing(confirmed []Range) string {
	query := "select count(*) from (values (0::bigint, -1::bigint)"
	for _, r := range confirmed {
		query += fmt.Sprintf(", (%d, %d)", r.First, r.Last)
	}
	return query + ") r (first, last), generate_series(r.first, r.last) g (n) where not exists (select from ledger.commits c where c.n = g.n)"
}

// User is whom the server runs as, and whether that is another user than this process's.
func (s *Server) User() (uid, gid int, other bool) { return s.owner.uid, s.owner.gid, s.owner.other }
