//go:build linux && amd64

package crash

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/internal/filetrace"
	"github.com/pgbasin/pgbasin/internal/pgfake"
)

// A write that takes a part only is gone on with.
func TestShortWritesAreGoneOnWith(t *testing.T) {
	short := func(c *filetrace.Call) {
		switch c.Name {
		case "write", "pwrite64", "copy_file_range", "read", "pread64":
			if c.Args[2] > 1000 {
				c.Short = 1 + c.Args[2]*2/3
			}
		}
	}
	s := pgfake.Serve(t, cluster(t, "/srv/space"))
	for _, format := range []string{"-Fp", "-Ft", "-Ft -Zgzip"} {
		root := record(t).Log.Root
		args := append([]string{"backup", "-d", s.ConnString(), "-D", root + "/backup"}, strings.Fields(format)...)
		if format == "-Fp" {
			args = append(args, "-T", "/srv/space="+root+"/space")
		}
		run(t, nil, short, nil, args...).succeeded(t)
		run(t, nil, short, nil, "verify", "-n", root+"/backup").succeeded(t)
		if format != "-Fp" {
			run(t, nil, short, nil, "restore", "-D", root+"/data", "-T", "/srv/space="+root+"/space", root+"/backup").succeeded(t)
		}
	}
	files := newPushes(t)
	for name, compression := range map[string]string{segment(0): "none", segment(1): "lz4"} {
		files.push(t, short, nil, name, compression).succeeded(t)
	}
	files.check(t, 0)
	for _, algorithm := range []codec.Algorithm{codec.None, codec.LZ4} {
		a := newArchive(t, 250_000, algorithm, "--synchronous")
		end := walStart + segmentSize + 100_000
		a.run(t, short, nil, end-1).succeeded(t)
		if acked := a.check(t, algorithm, 0); acked < end {
			t.Errorf("acknowledged to %v, want %v", acked, end)
		}
		got, err := os.ReadFile(filepath.Join(a.Log.Root, segment(0)))
		if algorithm == codec.None && (err != nil || !bytes.Equal(got, a.wal(walStart, walStart+segmentSize))) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	}
}
