//go:build !linux

// Soak runs on Linux only.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "soak: the processes are looked at through /proc, which only Linux has")
	os.Exit(1)
}
