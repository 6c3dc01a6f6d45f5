//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/pgbasin/pgbasin/internal/faultproxy"
	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// keep takes backups, and proves every other one that was taken.
func (s *soak) keep(ctx context.Context) error {
	interval := min(backupInterval, s.length/backupsOfShortRun)
	for n := 1; ; n++ {
		// The first is needed at the end, whatever becomes of the others.
		if err := s.backup(ctx, n, n > 1); err != nil {
			return err
		}
		if s.count.backups%2 == 0 && s.newest != "" && ctx.Err() == nil {
			if err := s.prove(ctx, s.ledger.Confirmed()); err != nil && ctx.Err() == nil {
				return err
			}
		}
		if !pause(ctx, interval/2+time.Duration(s.draw(int(interval)))) {
			return nil
		}
	}
}

// backup takes one, with something going wrong now and then.
func (s *soak) backup(ctx context.Context, n int, disturb bool) error {
	path := s.path("backups/" + strconv.Itoa(n))
	formats := [][]string{{"-Fp"}, {"-Ft"}, {"-Ft", "-Z", "zstd"}}
	s.mu.Lock()
	before := s.count.disturbed
	if s.count.down {
		before-- // this fault is not over
	}
	s.mu.Unlock()
	args := append([]string{"backup", "-D", path, "-cfast", "-d", s.connection(s.backing.Host(), s.backing.Port(), "backup")}, formats[n%len(formats)]...)
	p, err := s.start(args...)
	if err != nil {
		return err
	}
	if disturb {
		s.disturb(ctx, p)
	}
	for done := false; !done; {
		peak := p.peak()
		s.note(func(c *counts) { c.backupPeak = max(c.backupPeak, peak) })
		select {
		case <-p.ended:
			done = true
		case <-ctx.Done():
			p.interrupt()
			done = true
		case <-time.After(20 * time.Millisecond):
		}
	}
	if err := p.failed(); err != nil {
		return s.failedBackup(ctx, path, before, err)
	}
	old := s.newest
	s.newest = path
	s.note(func(c *counts) { c.backups++ })
	s.say("backup %d is complete", n)
	if old != "" {
		return os.RemoveAll(old)
	}
	return nil
}

// failedBackup sees that a backup which failed had a reason to, and does not look
// like one.
func (s *soak) failedBackup(ctx context.Context, path string, before int, failure error) error {
	s.mu.Lock()
	excused := s.count.disturbed > before
	s.mu.Unlock()
	if !excused && ctx.Err() == nil {
		return fmt.Errorf("a backup failed and nothing was done to it: %w", failure)
	}
	if _, err := os.Lstat(filepath.Join(path, "backup_manifest")); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("a backup that failed has a manifest (%v): %w", err, failure)
	}
	if ctx.Err() == nil {
		s.note(func(c *counts) { c.failedBackups++ })
		s.say("backup has failed, as it should have")
	}
	return os.RemoveAll(path)
}

// disturb does something to some of the backups.
func (s *soak) disturb(ctx context.Context, p *program) {
	switch s.draw(8) {
	case 0:
		pause(ctx, time.Duration(s.draw(int(500*time.Millisecond))))
		if p.running() {
			s.note(func(c *counts) { c.backupKills++; c.disturbed++ })
			p.kill()
			s.say("backup killed")
		}
	case 1:
		s.note(func(c *counts) { c.cuts++; c.disturbed++ })
		pause(ctx, time.Duration(s.draw(int(500*time.Millisecond))))
		s.backing.Now(faultproxy.Reset)
		s.say("connections of a backup cut")
	case 2:
		s.note(func(c *counts) { c.stalls++ })
		s.say("connections of a backup stalled")
		s.backing.Stall()
		pause(ctx, time.Duration(s.draw(int(2*time.Second))))
		s.backing.Resume()
	}
}

var lostCommits = regexp.MustCompile(`lost (\d+) commits`)

// prove restores the newest backup with the archive as it is now, starts a server
// on it and looks for the commits.
func (s *soak) prove(ctx context.Context, confirmed []pgtest.Range, more ...string) error {
	sql := s.path("commits.sql")
	text := "do $$ declare lost bigint; begin lost := (" + pgtest.Missing(confirmed) + "); if lost > 0 then raise exception 'lost % commits', lost; end if; end $$;\n"
	if err := os.WriteFile(sql, []byte(text), 0o644); err != nil {
		return err
	}
	p, err := s.start(append([]string{"prove", "--bindir", s.server.Install().BinDir, "--wal-archive", s.path("archive"),
		"--scratch", s.path("scratch"), "--sql", sql, s.newest}, more...)...)
	if err != nil {
		return err
	}
	select {
	case <-p.ended:
	case <-ctx.Done():
		p.interrupt()
		return ctx.Err()
	}
	if err := p.failed(); err != nil {
		lost := int64(1) // how many is not known
		if m := lostCommits.FindStringSubmatch(p.said.String()); m != nil {
			lost, _ = strconv.ParseInt(m[1], 10, 64)
		}
		s.note(func(c *counts) { c.lost = max(c.lost, lost) })
		return err
	}
	s.note(func(c *counts) { c.proofs++ })
	s.say("backup %s is proved with the archive, and has all commits that were acknowledged before", filepath.Base(s.newest))
	return nil
}
