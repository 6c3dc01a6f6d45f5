package prove

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// notReached is how a server ends from 13 on when it has replayed everything and
// has not seen its target (xlogrecovery.c, up to 14 xlog.c).
const notReached = "recovery ended before configured recovery target was reached"

// missed tells whether the server ended because there was no target to be seen.
func (r *run) missed(err error) bool {
	var ended *EndedError
	if !errors.As(err, &ended) || r.report.Recovery.Consistent == 0 {
		return false
	}
	for _, message := range ended.Fatal {
		if strings.HasPrefix(message, notReached) {
			return true
		}
	}
	return false
}

func (r *run) targetCase() *Case {
	return &Case{Check: CheckTarget, Subject: r.report.Promise.String(), began: time.Now()}
}

// target checks that recovery went as far as promised, and tells whether the
// server is there to be checked. Up to 12 a server says nothing about a target
// that it has not reached, and takes connections.
func (r *run) target() bool {
	c := r.targetCase()
	how, promise := r.report.Recovery, r.report.Promise
	c.Summary = how.Stopped
	var err error
	switch {
	case promise.Target != "" && how.Stopped == "":
		err = fmt.Errorf("%s (%s)", notReached, how.summary())
		if cause := r.leftOver(); cause != nil {
			err = fmt.Errorf("%w: %w", err, cause)
		}
	case promise.Target == "" && promise.Stop != 0 && how.Replayed != 0 && how.Replayed < promise.Stop:
		err = fmt.Errorf("recovery ended at %s, before the end of the backup at %s", how.Replayed, promise.Stop)
	case promise.Target == "":
		err = r.leftOver()
	}
	if c.Summary == "" && how.Replayed != 0 {
		c.Summary = "replayed to " + how.Replayed.String()
	}
	r.end(c, err)
	return r.s.proc != nil && !r.s.proc.ended()
}

// leftOver is what recovery should have replayed and did not, as far as that can
// be known.
func (r *run) leftOver() error {
	if r.wal == nil || r.report.Recovery.Timeline == 0 {
		return nil
	}
	timeline, end, err := r.s.endOfRecovery(r.report.Recovery.Timeline)
	if err != nil {
		return nil // the server went on where it was: it did not recover from an archive
	}
	return r.wal.exhausted(timeline, end)
}
