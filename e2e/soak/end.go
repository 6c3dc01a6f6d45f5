//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// What a receiver may use more of at the end than when it was new.
const (
	moreFiles      = 4
	moreGoroutines = 6
	moreMemory     = 48 << 20
)

// end takes the server away and looks for every commit that it has acknowledged.
func (s *soak) end(ctx context.Context) error {
	if err := s.receiver.streams(ctx); err != nil {
		return err
	}
	last, err := s.receiver.usage()
	if err != nil {
		return err
	}
	s.last = last
	// Nothing is left but the backup and the archive, and not in good order.
	s.say("the end: server and receiver killed")
	if err := s.server.Kill(); err != nil {
		return err
	}
	s.receiver.kill()
	s.ledger.Stop()
	s.stopChurn()
	confirmed := s.ledger.Confirmed()
	s.note(func(c *counts) { c.checked = total(confirmed) })
	if s.newest == "" {
		return errors.New("there is no backup")
	}
	if err := s.prove(ctx, confirmed, "--amcheck", "--checksums"); err != nil {
		return err
	}
	if s.first == (usage{}) {
		return nil // too short to tell
	}
	if last.files > s.first.files+moreFiles || last.goroutines > s.first.goroutines+moreGoroutines || last.memory > s.first.memory+moreMemory {
		return fmt.Errorf("the receiver grows: %v, and at the end %v", s.first, last)
	}
	return nil
}

func total(ranges []pgtest.Range) (n int64) {
	for _, r := range ranges {
		n += r.Last - r.First + 1
	}
	return n
}

func mebibytes(n int64) float64 { return float64(n) / (1 << 20) }

// report prints the table.
func (s *soak) report(w io.Writer) error {
	entries, err := os.ReadDir(s.path("archive"))
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &s.count
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "| %-34s | %-44s |\n", name, fmt.Sprintf(format, args...))
	}
	b.WriteByte('\n')
	line("what", "figure")
	fmt.Fprintf(&b, "|%s|%s|\n", strings.Repeat("-", 36), strings.Repeat("-", 46))
	line("time", "%.0f s", time.Since(s.began).Seconds())
	line("commits acknowledged", "%d", s.ledger.Count())
	line("commits looked for at the end", "%d", c.checked)
	line("commits lost", "%d", c.lost)
	line("receiver killed", "%d", c.receiverKills)
	line("backups killed", "%d", c.backupKills)
	line("connections cut, stalled", "%d, %d", c.cuts, c.stalls)
	line("server restarted, killed", "%d, %d", c.restarts, c.crashes)
	line("backups complete, failed of a fault", "%d, %d", c.backups, c.failedBackups)
	line("restored and proved", "%d", c.proofs)
	line("files in the archive", "%d", len(entries))
	line("peak memory of the receiver", "%.1f MiB", mebibytes(c.receiverPeak))
	line("peak memory of a backup", "%.1f MiB", mebibytes(c.backupPeak))
	line("receiver in the middle", "%v", s.first)
	line("receiver at the end", "%v", s.last)
	_, err = io.WriteString(w, b.String())
	return err
}
