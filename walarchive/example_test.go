package walarchive_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pgbasin/pgbasin/walarchive"
)

// A program of one's own as restore_command: the exit status tells the server
// what a missing file means.
func Example() {
	dir, err := os.MkdirTemp("", "archive")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)

	status := func(name, path string) int {
		a, err := walarchive.Open(dir)
		if err == nil {
			err = a.Fetch(context.Background(), name, path)
		}
		switch {
		case err == nil:
			return 0
		case errors.Is(err, fs.ErrNotExist):
			return 1 // recovery ends here
		}
		return 200 // the server stops
	}

	path := filepath.Join(dir, "RECOVERYXLOG")
	fmt.Println(status("000000010000000000000005", path))
	fmt.Println(status("postgresql.conf", path))
	// Output:
	// 1
	// 200
}
