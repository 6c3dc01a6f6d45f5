package faultproxy

import "time"

// mergeWait is how long bytes are held back at most when nothing follows them.
const mergeWait = 2 * time.Millisecond

// send writes b, shaped.
func (d *direction) send(b []byte, header bool) bool {
	l := d.link
	l.mu.Lock()
	lost, pieces, delay, merge, limit := d.lost, d.pieces, d.delay, d.merge, d.limit
	d.passed += int64(len(b))
	l.mu.Unlock()
	defer l.p.wake()
	if lost {
		return true
	}
	if delay > 0 && !d.pause(delay) {
		return false
	}
	if limit > 0 && !d.pause(time.Duration(len(b))*time.Second/time.Duration(limit)) {
		return false
	}
	if merge > 0 {
		d.merged = append(d.merged, b...)
		return len(d.merged) < merge || d.flush()
	}
	for first := true; len(b) > 0; first = false {
		n := len(b)
		if pieces != nil {
			n = pieces(header, first, n)
		}
		if !d.write(b[:n]) {
			return false
		}
		b = b[n:]
	}
	return true
}

// flush writes what was held back to be merged.
func (d *direction) flush() bool {
	if len(d.merged) == 0 {
		return true
	}
	b := d.merged
	d.merged = d.merged[:0]
	return d.write(b)
}

func (d *direction) write(b []byte) bool {
	if _, err := d.to.Write(b); err == nil {
		return true
	}
	l := d.link
	l.mu.Lock()
	defer l.mu.Unlock()
	if d.side == Client && l.directions[Server].lost {
		l.vanish() // the server's end is lost, too
	} else {
		l.end(false)
	}
	return false
}

func (d *direction) pause(t time.Duration) bool {
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-d.link.over:
		return false
	}
}

// split is Split.
func split(header, first bool, left int) int {
	if header || first || left == 1 {
		return 1
	}
	return left - 1
}

// bytewise is Bytewise.
func bytewise(bool, bool, int) int { return 1 }
