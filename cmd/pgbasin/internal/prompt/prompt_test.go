package prompt

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestWithoutATerminalThePasswordIsALineOfTheInput(t *testing.T) {
	for in, want := range map[string]string{
		"secret\n":      "secret",
		"secret\r\n":    "secret",
		" s e \nmore\n": " s e ",
		"no newline":    "no newline",
		"":              "",
	} {
		var out strings.Builder
		got, err := ask(context.Background(), strings.NewReader(in), &out)
		if err != nil || got != want || out.String() != "Password: " {
			t.Errorf("%q: %q, %v, prompt %q", in, got, err, out.String())
		}
	}
}

func TestCanceledPromptReturnsTheCause(t *testing.T) {
	cause := errors.New("stop")
	ctx, cancel := context.WithCancelCause(context.Background())
	r, w := io.Pipe()
	defer w.Close()
	asked := make(chan struct{})
	go func() {
		<-asked
		cancel(cause)
	}()
	if _, err := ask(ctx, r, writer(func() { close(asked) })); err != cause {
		t.Errorf("canceled: %v", err)
	}
	if _, err := ask(ctx, r, io.Discard); err != cause {
		t.Errorf("canceled before: %v", err)
	}
}

// writer calls a function for each write.
type writer func()

func (w writer) Write(p []byte) (int, error) { w(); return len(p), nil }
