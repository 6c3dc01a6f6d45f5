package codec

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// tools are the reference implementations' commands, by Debian package.
var tools = map[Algorithm]struct{ command, pkg string }{Gzip: {"gzip", "gzip"}, LZ4: {"lz4", "lz4"}, Zstd: {"zstd", "zstd"}}

// run runs the command of a with input on standard input and returns its standard output.
func run(t *testing.T, a Algorithm, input []byte, args ...string) []byte {
	t.Helper()
	tool := tools[a]
	path, err := exec.LookPath(tool.command)
	if err != nil {
		t.Fatalf("this test needs the command %s: install the package %s", tool.command, tool.pkg)
	}
	cmd := exec.Command(path, args...)
	cmd.Stdin = bytes.NewReader(input)
	var out, msg bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &msg
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %v: %v: %s", tool.command, args, err, msg.Bytes())
	}
	return out.Bytes()
}

func TestTheRealToolsReadWhatIsWritten(t *testing.T) {
	data := append(pages(1<<20), noise(200<<10)...)
	data = append(data, make([]byte, 500<<10)...)
	for a, levels := range map[Algorithm][]int{Gzip: {1, 6, 9}, LZ4: {0, 3, 12}, Zstd: {1, 3, 6, 10}} {
		for _, level := range levels {
			for _, size := range []int{0, 1, len(data)} {
				z := compress(t, Spec{Algorithm: a, Level: level, LevelSet: true}, data[:size])
				same(t, run(t, a, z, "-dc"), data[:size])
			}
		}
		file := filepath.Join(t.TempDir(), "data"+a.Suffix())
		if err := os.WriteFile(file, compress(t, Spec{Algorithm: a}, data), 0o600); err != nil {
			t.Fatal(err)
		}
		run(t, a, nil, "-t", file)
	}
	z := compress(t, Spec{Algorithm: Zstd, Long: true}, data)
	same(t, run(t, Zstd, z, "-dc"), data)
}

func TestWhatTheRealToolsWriteIsRead(t *testing.T) {
	noLeak(t)
	data := append(pages(2<<20), noise(100<<10)...)
	data = append(data, make([]byte, 500<<10)...)
	for _, c := range []struct {
		a    Algorithm
		args []string
	}{
		{Gzip, []string{"-1"}},
		{Gzip, []string{"-9"}},
		{LZ4, []string{"-1"}},
		{LZ4, []string{"-9", "-B4", "-BD"}}, // linked blocks, as PostgreSQL writes them
		{LZ4, []string{"-BX", "-B7"}},
		{LZ4, []string{"--no-frame-crc"}},
		{LZ4, []string{"-l"}}, // legacy format
		{Zstd, []string{"-1"}},
		{Zstd, []string{"-6", "--long=27"}},
		{Zstd, []string{"--fast=10", "--no-check"}},
		{Zstd, []string{"-T2", "-B1MiB"}},
	} {
		z := run(t, c.a, data, append(c.args, "-c")...)
		if got := Detect(z); got != c.a {
			t.Errorf("%s %v was detected as %s", c.a, c.args, got)
		}
		got, err := decompress(c.a, bytes.NewReader(z))
		if err != nil {
			t.Errorf("%s %v: %v", c.a, c.args, err)
			continue
		}
		same(t, got, data)
	}
}
