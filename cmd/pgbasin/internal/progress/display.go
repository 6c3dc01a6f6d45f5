package progress

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/program"
)

// display keeps one line of a terminal up to date. It is redrawn by a clock and
// not by the data, which is too fast for it, and may also stop.
type display struct {
	console *program.Console
	quit    chan struct{}
	done    chan struct{}
	closed  sync.Once

	mu      sync.Mutex
	p       State
	step    string    // what is shown while no data moves
	started time.Time // of the data; zero before
	rate    rate
}

const redrawInterval = 200 * time.Millisecond

func newDisplay(console *program.Console) *display {
	d := &display{console: console, quit: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(d.done)
		tick := time.NewTicker(redrawInterval)
		defer tick.Stop()
		for {
			select {
			case now := <-tick.C:
				console.Status(d.line(now, console.Columns()))
			case <-d.quit:
				return
			}
		}
	}()
	return d
}

func (d *display) Checkpoint() { d.Step("waiting for checkpoint") }

func (d *display) Step(what string) {
	d.mu.Lock()
	d.step = what
	d.mu.Unlock()
}

func (d *display) Update(p State) {
	d.mu.Lock()
	if d.started.IsZero() {
		d.started = time.Now()
		d.rate.add(d.started, 0)
	}
	p.Total = max(p.Total, p.Done)
	d.p = p
	d.mu.Unlock()
}

func (d *display) Close(complete bool) {
	d.closed.Do(func() {
		close(d.quit)
		<-d.done
		d.console.Status("")
		if complete {
			d.console.Line(d.summary(time.Now()))
		}
	})
}

// line is what the terminal shows now.
func (d *display) line(now time.Time, columns int) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := &d.p
	if p.Parts == 0 {
		return fit(columns, d.step)
	}
	d.rate.add(now, p.Done)

	var parts []string
	if p.Total > 0 {
		parts = append(parts, fmt.Sprintf("%3d%%", percent(p.Done, p.Total)), size(p.Done)+"/"+size(p.Total))
	} else {
		parts = append(parts, size(p.Done))
	}
	if !p.Finished {
		parts = append(parts, size(int64(d.rate.perSecond))+"/s")
		if left, ok := d.rate.until(p.Total - p.Done); ok && p.Total > 0 {
			parts = append(parts, "ETA "+clock(left))
		}
	}
	if p.Parts > 1 && !p.Finished {
		parts = append(parts, fmt.Sprintf("%d/%d %ss", p.Part, p.Parts, p.unit()))
	}
	what := p.File
	if p.Finished {
		what = d.step
	}
	return fit(columns, append(parts, what)...)
}

func (d *display) summary(now time.Time) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	took := now.Sub(d.started)
	if d.started.IsZero() {
		took = 0
	}
	text := fmt.Sprintf("100%%  %s in %s", size(d.p.Done), clock(took))
	if seconds := took.Seconds(); seconds >= 1 {
		text += fmt.Sprintf("  %s/s", size(int64(float64(d.p.Done)/seconds)))
	}
	return text
}

func percent(done, total int64) int64 {
	return int64(float64(done) / float64(total) * 100)
}

// rate is a moving average.
type rate struct {
	perSecond float64
	at        time.Time
	done      int64
	age       time.Duration
}

// rateWindow is how long a burst or a stall is remembered. Servers report once
// a second, so it is several of those.
const rateWindow = 5 * time.Second

func (r *rate) add(now time.Time, done int64) {
	if r.at.IsZero() {
		r.at, r.done = now, done
		return
	}
	passed := now.Sub(r.at)
	if passed < redrawInterval/2 {
		return
	}
	r.age += passed
	// In the beginning the average is over what there is.
	window := min(rateWindow, r.age)
	weight := 1 - math.Exp(-float64(passed)/float64(window))
	if r.age == passed {
		weight = 1
	}
	r.perSecond += weight * (float64(done-r.done)/passed.Seconds() - r.perSecond)
	r.at, r.done = now, done
}

// until is the time that the rest takes at this rate, if that can be said yet.
func (r *rate) until(rest int64) (time.Duration, bool) {
	seconds := float64(rest) / r.perSecond
	if r.age < time.Second || r.perSecond < 1 || seconds > 99*3600 {
		return 0, false
	}
	return time.Duration(seconds * float64(time.Second)), true
}

// size writes bytes with the units that pg_size_pretty uses, powers of 1024.
func size(n int64) string {
	if n < 10*1024 {
		return fmt.Sprintf("%d bytes", n)
	}
	value, unit := float64(n)/1024, "kB"
	for _, next := range []string{"MB", "GB", "TB", "PB"} {
		if value < 1000 {
			break
		}
		value, unit = value/1024, next
	}
	if value < 10 {
		return fmt.Sprintf("%.1f %s", value, unit)
	}
	return fmt.Sprintf("%.0f %s", value, unit)
}

func clock(d time.Duration) string {
	s := int64(d / time.Second)
	if s >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}

// fit joins parts to a status line. The last part, a file, loses its beginning
// if need be; then parts are left out from the end.
func fit(columns int, parts ...string) string {
	room := columns - program.StatusMargin
	last := ascii(parts[len(parts)-1])
	parts = parts[:len(parts)-1]
	for {
		line := strings.Join(parts, "  ")
		gap := 0
		if line != "" {
			gap = 2
		}
		switch left := room - len(line) - gap; {
		case last == "" && len(line) <= room:
			return line
		case last != "" && len(last) <= left:
			return line + "  "[:gap] + last
		case last != "" && left >= 12:
			return line + "  "[:gap] + "..." + last[len(last)-left+3:]
		case last != "":
			last = "" // too little room to mean anything
		case len(parts) == 0:
			return ""
		default:
			parts = parts[:len(parts)-1]
		}
	}
}

// ascii keeps the width of a file's name, which can hold anything, equal to its
// length.
func ascii(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}
