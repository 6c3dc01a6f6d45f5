package harness

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os/exec"
	"slices"
	"time"
)

// Measurement is what one run of a program took.
type Measurement struct {
	Wall time.Duration
	Peak int64 // highest resident set, in bytes; 0 if it is not known
}

// Measure runs a program. Its peak memory is what Linux accounts to it from the
// moment at which it is executed: VmHWM begins anew there, while the figure that
// wait4(2) returns has this program's own in it.
func Measure(ctx context.Context, program string, args ...string) (Measurement, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	started := time.Now()
	if err := cmd.Start(); err != nil {
		return Measurement{}, err
	}
	peak := WatchPeak(cmd.Process.Pid)
	err := cmd.Wait()
	m := Measurement{Wall: time.Since(started), Peak: peak()}
	if err != nil {
		return m, fmt.Errorf("%s %q: %w\n%s", program, args, err, stderr.Bytes())
	}
	return m, nil
}

// peakInterval is how often a watched process is looked at.
const peakInterval = 2 * time.Millisecond

// WatchPeak looks at a process while it runs. end must be called once, and returns
// the highest resident set that was seen, in bytes; 0 if the system does not show
// it.
func WatchPeak(pid int) (end func() int64) {
	quit, peak := make(chan struct{}), make(chan int64)
	go func() {
		tick := time.NewTicker(peakInterval)
		defer tick.Stop()
		var highest int64
		for {
			select {
			case <-tick.C:
				highest = max(highest, ResidentPeak(pid))
			case <-quit:
				peak <- highest
				return
			}
		}
	}()
	return func() int64 {
		close(quit)
		return <-peak
	}
}

// Median is the middle one of some values, of two in the middle the higher.
func Median[T cmp.Ordered](v []T) T {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// Missed is what a benchmark's line says of a goal that was missed, and "" if it was
// not.
func Missed(is bool, what string) string {
	if is {
		return "  MISSED: " + what
	}
	return ""
}
