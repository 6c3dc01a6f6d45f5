// Thirdparty lists the modules that pgbasin is built of and tested with, their
// licences, and the texts that have to go with its binaries. Everything is read
// from the module cache. "make licences" writes docs/THIRD_PARTY.md with it.
package main

import (
	"fmt"
	"os"
)

func main() {
	text, err := document(".")
	if err != nil {
		fmt.Fprintf(os.Stderr, "thirdparty: %v\n", err)
		os.Exit(1)
	}
	if _, err := os.Stdout.WriteString(text); err != nil {
		os.Exit(1)
	}
}
