package tarstream

import (
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// crew is goroutines of which the first error is told as soon as it is known.
type crew struct {
	group  errgroup.Group
	failed atomic.Bool // one of the group
}

// start runs f, when there is room for it. The error is of what was started before.
func (c *crew) start(f func() error) error {
	c.group.Go(func() error {
		err := f()
		if err != nil {
			c.failed.Store(true)
		}
		return err
	})
	return c.firstError()
}

// firstError is nil as long as nothing is known to have failed.
func (c *crew) firstError() error {
	if c.failed.Load() {
		return c.wait()
	}
	return nil
}

// wait waits for all that were started, and returns the first error of them.
func (c *crew) wait() error { return c.group.Wait() }
