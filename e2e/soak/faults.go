//go:build linux

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/pgbasin/pgbasin/internal/faultproxy"
)

// faultPause is the time between two faults: from half of it to three halves.
const faultPause = 4 * time.Second

// faults makes one thing after the other go wrong. In the second half the receiver
// is not killed any more, so that what grows in it can be seen.
func (s *soak) faults(ctx context.Context) error {
	all := []struct {
		weight int
		fault  func(ctx context.Context) error
	}{
		{3, s.cutReceiver}, {2, s.stallReceiver}, {2, s.restartServer}, {2, s.crashServer}, {5, s.killReceiver},
	}
	for {
		if !pause(ctx, faultPause/2+time.Duration(s.draw(int(faultPause)))) {
			return nil
		}
		candidates := all
		if time.Since(s.began) > s.length/2 {
			candidates = all[:len(all)-1]
			if s.first == (usage{}) {
				if err := s.settle(ctx); err != nil {
					return err
				}
			}
		}
		total := 0
		for _, c := range candidates {
			total += c.weight
		}
		n := s.draw(total)
		for _, c := range candidates {
			if n -= c.weight; n >= 0 {
				continue
			}
			if err := c.fault(ctx); err != nil && ctx.Err() == nil {
				return err
			}
			break
		}
	}
}

// settle notes what the receiver uses that stays until the end.
func (s *soak) settle(ctx context.Context) error {
	if err := s.receiver.streams(ctx); err != nil {
		return err
	}
	u, err := s.receiver.usage()
	if err == nil {
		s.first = u
		s.say("the receiver stays from here on: %v", u)
	}
	return err
}

func (s *soak) killReceiver(ctx context.Context) error {
	if err := s.receiver.alive(); err != nil {
		return err
	}
	s.receiver.kill()
	s.note(func(c *counts) { c.receiverKills++ })
	s.say("receiver killed")
	if !pause(ctx, time.Duration(s.draw(int(time.Second)))) {
		return nil
	}
	return s.startReceiver(ctx)
}

func (s *soak) cutReceiver(context.Context) error {
	end := faultproxy.Reset
	if s.draw(2) == 0 {
		end = faultproxy.Cut
	}
	s.receiving.Now(end)
	s.note(func(c *counts) { c.cuts++ })
	s.say("connections of the receiver cut")
	return nil
}

func (s *soak) stallReceiver(ctx context.Context) error {
	s.receiving.Stall()
	defer s.receiving.Resume()
	s.note(func(c *counts) { c.stalls++ })
	s.say("connections of the receiver stalled")
	pause(ctx, time.Duration(s.draw(int(3*time.Second))))
	return nil
}

func (s *soak) restartServer(ctx context.Context) error {
	s.note(func(c *counts) { c.restarts++; c.disturbed++; c.down = true })
	s.say("server restarted")
	return s.bringUp(ctx, s.server.Stop)
}

func (s *soak) crashServer(ctx context.Context) error {
	s.note(func(c *counts) { c.crashes++; c.disturbed++; c.down = true })
	s.say("server killed")
	return s.bringUp(ctx, s.server.Kill)
}

// bringUp starts the server again after down has ended it.
func (s *soak) bringUp(ctx context.Context, down func() error) error {
	defer s.note(func(c *counts) { c.down = false })
	if err := down(); err != nil {
		return fmt.Errorf("server: %w", err)
	}
	s.stopChurn()
	// Not ended in the middle: there is nothing to look at without a server.
	if err := s.server.Relaunch(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("server: %w", err)
	}
	if err := s.startChurn(ctx); err != nil {
		return fmt.Errorf("load: %w", err)
	}
	return nil
}
