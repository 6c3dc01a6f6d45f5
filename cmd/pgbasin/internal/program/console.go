package program

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/term"
)

// Console writes lines to standard error. On a terminal it can hold a status
// line below them, which is redrawn as needed. It is safe for concurrent use.
type Console struct {
	w  io.Writer
	fd int // of the terminal, -1 if it is none

	mu     sync.Mutex
	status string // as it stands on the terminal; "" = none

	notices notices
}

// NewConsole makes a Console that writes to w.
func NewConsole(w io.Writer) *Console {
	c := &Console{w: w, fd: -1}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		c.fd = int(f.Fd())
	}
	return c
}

// Terminal tells whether somebody is watching.
func (c *Console) Terminal() bool { return c.fd >= 0 }

// defaultColumns are assumed for a terminal that does not tell its width.
const defaultColumns = 80

// Columns is the width of the terminal at the moment.
func (c *Console) Columns() int {
	if c.fd < 0 {
		return defaultColumns
	}
	if columns, _, err := term.GetSize(c.fd); err == nil && columns > 0 {
		return columns
	}
	return defaultColumns
}

// Line prints text and ends the line. A status line moves below it.
func (c *Console) Line(text string) {
	if c.Terminal() {
		text = printable(text)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	status := c.status
	c.draw("")
	fmt.Fprintf(c.w, "%s\n", text)
	c.draw(status)
}

// StatusMargin is how many columns a status line leaves free: the last one, where
// some terminals wrap, and two for the "^C" that they show.
const StatusMargin = 3

// Status shows text, which must be ASCII and narrower than the terminal by
// StatusMargin, as the status line; "" removes it. Only a terminal has one.
func (c *Console) Status(text string) {
	if !c.Terminal() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.draw(text)
}

// draw replaces the status line. Blanks wipe out what was longer before: they
// work on every terminal.
func (c *Console) draw(text string) {
	if text == c.status {
		return
	}
	line := "\r" + text
	if c.status != "" {
		n := max(len(c.status)-len(text), 0) + StatusMargin - 1
		line += strings.Repeat(" ", n) + strings.Repeat("\b", n)
	}
	c.status = text
	io.WriteString(c.w, line)
}

// printable keeps control characters, which can come from a server, from
// taking over the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && (r < ' ' || r >= 0x7f && r < 0xa0) {
			return '?'
		}
		return r
	}, s)
}

// Write passes text on as it is, for what is not a whole line: a question.
func (c *Console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.draw("")
	return c.w.Write(p)
}
