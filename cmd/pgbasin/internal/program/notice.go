package program

import (
	"strings"
	"time"
	"unicode/utf8"
)

// Bounds on what is shown of a server's notices. A server that finds pages with
// wrong checksums has some thousands to say at once; one that says the same thing
// forever must not fill a log with it.
const (
	noticeBurst  = 10_000      // at once
	noticePeriod = time.Second // for one more after that
	noticeLength = 8 << 10     // bytes of each
)

// notices are those that may still be shown.
type notices struct {
	now   func() time.Time // nil = time.Now
	left  int
	since time.Time // when left was right
	begun bool
	muted bool
}

// Notice prints what a server said, unless it says too much.
func (c *Console) Notice(text string) {
	show, last := c.notices.take(c)
	switch {
	case show:
		c.Line(shortened(text))
	case last:
		c.Line("WARNING: the server sends too many messages; not all of them are shown")
	}
}

// take tells whether one more is shown; last is set for the first that is not.
func (n *notices) take(c *Console) (show, last bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now
	if n.now != nil {
		now = n.now
	}
	t := now()
	if !n.begun {
		n.begun, n.left, n.since = true, noticeBurst, t
	}
	if more := t.Sub(n.since) / noticePeriod; more > 0 {
		n.left = int(min(time.Duration(n.left)+more, noticeBurst))
		n.since = n.since.Add(more * noticePeriod)
		n.muted = n.muted && n.left < noticeBurst
	}
	if n.left > 0 {
		n.left--
		return true, false
	}
	last = !n.muted
	n.muted = true
	return false, last
}

// shortened cuts a text that is too long at the end of a character.
func shortened(text string) string {
	if len(text) <= noticeLength {
		return text
	}
	end := noticeLength
	for end > noticeLength-utf8.UTFMax && !utf8.RuneStart(text[end]) {
		end--
	}
	return strings.TrimRight(text[:end], "\n") + " ..."
}
