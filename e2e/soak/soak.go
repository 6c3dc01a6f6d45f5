//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pgbasin/pgbasin/internal/faultproxy"
	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// Sizes of the work: enough to be busy on two processors, which are not to be
// measured here.
const (
	dataSize       = 24 << 20 // bytes of tables that do not change
	ledgerClients  = 4
	ledgerRate     = 40 // commits per second of each client
	churnRate      = 60 // transactions per second that change pages
	standbyName    = "archive"
	backupInterval = time.Minute
	// shortRun has this many backups.
	backupsOfShortRun = 14
)

// soak is one run.
type soak struct {
	program string // a copy that the server's user can start
	length  time.Duration
	began   time.Time
	server  *pgtest.Server
	dir     string // of the server's user: archive, backups, scratch

	receiving, backing *faultproxy.Proxy
	receiver           *receiver
	ledger             *pgtest.Ledger

	churning sync.Mutex
	churn    *pgtest.Workload

	mu     sync.Mutex // faults and backups draw from the same numbers
	random *rand.Rand
	count  counts
	newest string // the newest backup

	first, last usage // of the receiver that stays
}

// counts are what has happened. They are protected by soak.mu.
type counts struct {
	receiverKills, backupKills, cuts, stalls, restarts, crashes int
	backups, failedBackups, proofs                              int
	receiverPeak, backupPeak                                    int64
	disturbed                                                   int  // faults that a backup may fail of
	down                                                        bool // the server is being brought down, and up again
	lost                                                        int64
	checked                                                     int64 // commits looked for at the end
}

func newSoak(ctx context.Context, program string, major int, seed uint64, length time.Duration) (*soak, error) {
	s := &soak{length: length, began: time.Now(), random: rand.New(rand.NewPCG(seed, 1))}
	if err := s.prepare(ctx, program, major); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *soak) prepare(ctx context.Context, program string, major int) (err error) {
	s.server, err = pgtest.Launch(ctx, pgtest.Config{Major: major, WALSegSize: 1, Settings: map[string]string{
		"wal_sender_timeout": "10s", "max_connections": "60", "checkpoint_timeout": "30s",
	}})
	if err != nil {
		return err
	}
	if s.dir, err = s.server.MakeDir("soak-"); err != nil {
		return err
	}
	for _, name := range []string{"archive", "backups", "scratch"} {
		if err := s.mkdir(name); err != nil {
			return err
		}
	}
	content, err := os.ReadFile(program)
	if err != nil {
		return fmt.Errorf("%w: run \"make build\" first", err)
	}
	s.program = filepath.Join(s.dir, "pgbasin")
	if err := os.WriteFile(s.program, content, 0o755); err != nil {
		return err
	}
	if err := os.Chmod(s.program, 0o755); err != nil {
		return err
	}
	if err := s.server.FillData(ctx, dataSize); err != nil {
		return err
	}
	address := fmt.Sprintf("%s:%d", s.server.Host(), s.server.Port())
	if s.receiving, err = faultproxy.Listen(address); err != nil {
		return err
	}
	if s.backing, err = faultproxy.Listen(address); err != nil {
		return err
	}
	if err := s.createSlot(ctx); err != nil {
		return err
	}
	if err := s.startReceiver(ctx); err != nil {
		return err
	}
	// From here on nothing is acknowledged that is not in the archive.
	if err := s.exec(ctx, "alter system set synchronous_standby_names = '"+standbyName+"'", "select pg_reload_conf()"); err != nil {
		return err
	}
	if s.ledger, err = s.server.StartLedger(ctx, ledgerClients, ledgerRate); err != nil {
		return err
	}
	return s.startChurn(ctx)
}

func (s *soak) path(name string) string { return filepath.Join(s.dir, name) }

// mkdir makes a directory of the server's user.
func (s *soak) mkdir(name string) error {
	if err := os.Mkdir(s.path(name), 0o700); err != nil {
		return err
	}
	uid, gid, other := s.server.User()
	if !other {
		return nil
	}
	return os.Chown(s.path(name), uid, gid)
}

func (s *soak) exec(ctx context.Context, statements ...string) error {
	conn, err := s.server.Connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for _, sql := range statements {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
	return nil
}

// startChurn makes pages change beside the commits that are counted.
func (s *soak) startChurn(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	churn, err := s.server.StartLoad(ctx, pgtest.LoadConfig{Clients: 2, Rate: churnRate})
	if err != nil {
		return err
	}
	s.churning.Lock()
	defer s.churning.Unlock()
	s.churn = churn
	return nil
}

// stopChurn ends it; what went wrong with it when the server went does not matter.
func (s *soak) stopChurn() {
	s.churning.Lock()
	defer s.churning.Unlock()
	if s.churn != nil {
		_, _ = s.churn.Stop()
		s.churn = nil
	}
}

// run lets it all happen until the time is over.
func (s *soak) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.length)
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.faults(ctx) })
	g.Go(func() error { return s.keep(ctx) })
	g.Go(func() error { return s.watch(ctx) })
	return g.Wait()
}

// patience bounds what is waited for.
const patience = 60 * time.Second

func (s *soak) say(format string, args ...any) {
	fmt.Printf("%7.1fs  %s\n", time.Since(s.began).Seconds(), fmt.Sprintf(format, args...))
}

// draw returns a number below n.
func (s *soak) draw(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.random.IntN(n)
}

// note changes the counts.
func (s *soak) note(change func(c *counts)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.count)
}

// pause returns false if the time is over.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// close stops and removes everything.
func (s *soak) close() error {
	if s.ledger != nil {
		s.ledger.Stop()
	}
	if s.receiver != nil {
		s.receiver.kill()
	}
	for _, p := range []*faultproxy.Proxy{s.receiving, s.backing} {
		if p != nil {
			p.Close()
		}
	}
	var err error
	if s.server != nil {
		if s.churn != nil { // its transactions wait for a standby that is gone
			err = s.server.Kill()
			s.stopChurn()
		}
		err = errors.Join(err, s.server.Close())
	}
	return err
}
