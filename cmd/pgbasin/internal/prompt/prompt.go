// Package prompt asks for passwords, on the terminal if there is one.
package prompt

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// Prompt asks on the controlling terminal or, without one, on Out and In, as
// simple_prompt of PostgreSQL's tools does.
type Prompt struct {
	In  io.Reader // standard input
	Out io.Writer // standard error
	// NoTerminal asks there in any case.
	NoTerminal bool
}

// Password asks for a password, which is not shown while it is typed. The end
// of the input counts as an empty password. The terminal shows again what is
// typed when Password returns, also when ctx ended it.
func (p Prompt) Password(ctx context.Context) (string, error) {
	in, out := p.In, p.Out
	if !p.NoTerminal {
		if tty, err := openTerminal(); err == nil {
			defer tty.Close()
			in, out = tty.in, tty.out
		}
	}
	return ask(ctx, in, out)
}

// terminal is the controlling terminal, or the console of Windows.
type terminal struct{ in, out *os.File }

func (t *terminal) Close() error {
	if t.in == t.out {
		return t.in.Close()
	}
	return errors.Join(t.in.Close(), t.out.Close())
}

// answer is what was read from the user.
type answer struct {
	text string
	err  error
}

func ask(ctx context.Context, in io.Reader, out io.Writer) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", context.Cause(ctx)
	}
	if f, ok := in.(*os.File); ok {
		if on, err := echoOff(f); err == nil {
			defer on()
			defer fmt.Fprintln(out) // the user's own line end was not shown
		}
	}
	if _, err := io.WriteString(out, "Password: "); err != nil {
		return "", err
	}
	// The read cannot be taken back. When ctx ends, so does the program, and
	// the reader with it.
	result := make(chan answer, 1)
	go func() {
		line, err := bufio.NewReader(in).ReadString('\n')
		result <- answer{strings.TrimRight(line, "\r\n"), err}
	}()
	select {
	case a := <-result:
		if a.err == io.EOF {
			a.err = nil
		}
		return a.text, a.err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}
