//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// receiver is a run of "pgbasin receive".
type receiver struct {
	*program
	address string // of its metrics
}

// connection leads through a proxy.
func (s *soak) connection(host string, port int, name string) string {
	return fmt.Sprintf("host=%s port=%d user=postgres application_name=%s", host, port, name)
}

func (s *soak) createSlot(ctx context.Context) error {
	return s.exec(ctx, "select pg_create_physical_replication_slot('archive', true)")
}

// startReceiver starts the receiver and waits until it streams.
func (s *soak) startReceiver(ctx context.Context) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		return err
	}
	for {
		p, err := s.start("receive", "-D", s.path("archive"), "-S", "archive", "--synchronous", "--status-listen", address,
			"-d", s.connection(s.receiving.Host(), s.receiving.Port(), standbyName))
		if err != nil {
			return err
		}
		r := &receiver{p, address}
		if err = r.streams(ctx); err == nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.receiver = r
			return nil
		}
		if r.running() {
			r.kill()
			return err
		}
		// A first connection that fails ends it. The walsender of the one that was
		// killed may have the slot for a moment still.
		if !strings.Contains(r.said.String(), "is active for PID") || !pause(ctx, 100*time.Millisecond) {
			return err
		}
	}
}

// current is the receiver that runs now, or did last.
func (s *soak) current() *receiver {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.receiver
}

// alive is an error if the receiver has ended by itself.
func (r *receiver) alive() error {
	if r.running() {
		return nil
	}
	return fmt.Errorf("the receiver has ended by itself: %v\n%s", r.cmd.ProcessState, r.said.String())
}

// streams waits until the receiver streams.
func (r *receiver) streams(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("the receiver does not stream"))
	defer cancel()
	for {
		if err := r.alive(); err != nil {
			return err
		}
		if values, err := r.metrics("pgbasin_receive_streaming"); err == nil && values[0] == 1 {
			return nil
		}
		if !pause(ctx, 20*time.Millisecond) {
			return fmt.Errorf("%w:\n%s", context.Cause(ctx), r.said.String())
		}
	}
}

// metrics reads values that the receiver serves.
func (r *receiver) metrics(names ...string) ([]float64, error) {
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get("http://" + r.address + "/metrics")
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	found := map[string]float64{}
	for in := bufio.NewScanner(answer.Body); in.Scan(); {
		if name, value, ok := strings.Cut(in.Text(), " "); ok {
			if v, err := strconv.ParseFloat(value, 64); err == nil {
				found[name] = v
			}
		}
	}
	values := make([]float64, len(names))
	for i, name := range names {
		v, ok := found[name]
		if !ok {
			return nil, fmt.Errorf("the receiver serves no %s", name)
		}
		values[i] = v
	}
	return values, nil
}

// usage is what a receiver uses.
type usage struct{ files, goroutines, memory int64 }

func (u usage) String() string {
	return fmt.Sprintf("%d open files, %d goroutines, %.1f MiB", u.files, u.goroutines, mebibytes(u.memory))
}

func (r *receiver) usage() (usage, error) {
	v, err := r.metrics("process_open_fds", "go_goroutines", "process_resident_memory_bytes")
	if err != nil {
		return usage{}, err
	}
	return usage{int64(v[0]), int64(v[1]), int64(v[2])}, nil
}

// watch sees that the receiver runs, and how much memory it needs at most.
func (s *soak) watch(ctx context.Context) error {
	for pause(ctx, 250*time.Millisecond) {
		peak := s.current().peak()
		s.note(func(c *counts) { c.receiverPeak = max(c.receiverPeak, peak) })
	}
	return nil
}
