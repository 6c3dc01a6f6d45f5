//go:build linux || darwin

package main

import (
	"strings"
	"testing"
	"time"
)

func TestPipeFailsWhenEitherProgramDoes(t *testing.T) {
	b := &bench{dir: t.TempDir()}
	for _, test := range []struct {
		from, to string
		want     string // in the error; "" is none
	}{
		{"echo text", "grep -q text", ""},
		{"echo text; exit 3", "grep -q text", "exit status 3"},
		{"echo text", "cat; exit 4", "exit status 4"},
	} {
		m, err := b.pipe(t.Context(), []string{"sh", "-c", test.from}, []string{"sh", "-c", test.to})
		switch {
		case test.want == "" && (err != nil || m.wall == 0):
			t.Errorf("%s | %s: got %+v, %v", test.from, test.to, m, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s | %s: got %v", test.from, test.to, err)
		}
	}
	if _, err := b.pipe(t.Context(), []string{"yes"}, []string{"no such program"}); err == nil {
		t.Error("no error without a second program")
	}
}

func TestWhatFollowsIsAddedExceptForMemory(t *testing.T) {
	m := measurement{wall: 2 * time.Second, cpu: time.Second, memory: 5}.then(measurement{wall: time.Second, cpu: time.Second, memory: 3})
	if want := (measurement{wall: 3 * time.Second, cpu: 2 * time.Second, memory: 5}); m != want {
		t.Errorf("got %+v, want %+v", m, want)
	}
}

func TestPeakIsNotThisProgramsOwn(t *testing.T) {
	for _, test := range []struct{ accounted, seen, own, want int64 }{
		{accounted: 80, seen: 70, own: 20, want: 80}, // the peak was between two looks
		{accounted: 1000, seen: 16, own: 1000, want: 16},
		{accounted: 1010, seen: 16, own: 1000, want: 16}, // both inexact
		{accounted: 80, seen: 0, own: 100, want: 80},     // nothing is to be seen here
	} {
		if got := likelierPeak(test.accounted, test.seen, test.own); got != test.want {
			t.Errorf("%+v: got %d", test, got)
		}
	}
}
