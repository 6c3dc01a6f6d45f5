package prompt

import (
	"os"

	"golang.org/x/sys/windows"
)

// echoOff keeps the console f from showing what is typed, until on is called.
// It is an error if f is no console.
func echoOff(f *os.File) (on func(), err error) {
	h := windows.Handle(f.Fd())
	var before uint32
	if err := windows.GetConsoleMode(h, &before); err != nil {
		return nil, err
	}
	if err := windows.SetConsoleMode(h, windows.ENABLE_LINE_INPUT|windows.ENABLE_PROCESSED_INPUT); err != nil {
		return nil, err
	}
	return func() { windows.SetConsoleMode(h, before) }, nil
}
