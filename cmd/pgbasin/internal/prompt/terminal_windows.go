package prompt

import "os"

func openTerminal() (*terminal, error) {
	// Switching echo off needs the right to write, on the input too.
	in, err := os.OpenFile("CONIN$", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	out, err := os.OpenFile("CONOUT$", os.O_RDWR, 0)
	if err != nil {
		in.Close()
		return nil, err
	}
	return &terminal{in, out}, nil
}
