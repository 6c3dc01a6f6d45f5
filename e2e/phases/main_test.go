//go:build unix

package phases

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

var (
	majorsFlag = flag.String("majors", "13,18", "server versions, 13 or later, for the tests with Matrix in their name")
	allFlag    = flag.Bool("all", false, "every fault in every phase, also where one is tried here and another one there")
)

func TestMain(m *testing.M) {
	flag.Parse()
	// Most cells wait for a silent server to be given up.
	if err := flag.Set("test.parallel", "48"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}
