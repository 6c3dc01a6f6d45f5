package main

import (
	"strings"

	"github.com/pgbasin/pgbasin/conninfo"
)

// takeArguments returns a copy of the arguments, and writes over what is or holds
// a password in the originals, which other users can see where the system shows
// what a process was started with. For a moment they could; a password file, a
// service file and PGPASSWORD have no such moment.
func takeArguments(args []string) []string {
	taken := make([]string, len(args))
	for i, arg := range args {
		taken[i] = strings.Clone(arg)
	}
	for i, arg := range taken {
		if at := conninfo.SecretAt(arg); at >= 0 && i > 0 {
			overwrite(args[i], at)
		}
	}
	return taken
}
