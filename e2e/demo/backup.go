package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// demo is what the parts of the story share.
type demo struct {
	ctx     context.Context
	program string
	server  *pgtest.Server
	load    *pgtest.Workload
	home    string
	want    map[string]string
	taken   []*backup
}

// backup is one that was taken.
type backup struct {
	name    string
	data    string // the data directory it can be started on; "" if it has to be unpacked first
	stored  int64  // bytes
	took    time.Duration
	before  int64 // commits when it began
	commits int64 // while it was taken
	report  report
	equal   bool
	balance int64 // transactions in it
}

// report is what of --json is shown.
type report struct {
	StartLSN string `json:"start_lsn"`
	StopLSN  string `json:"stop_lsn"`
	Bytes    int64  `json:"bytes"`
	WALBytes int64  `json:"wal_bytes"`
	Files    int64  `json:"files"`
	Verified bool   `json:"verified"`
}

func (d *demo) plain() error {
	heading("1. A plain backup: a data directory")
	say("Slowed down to 50 MB a second, so that there is something to see. The WAL written meanwhile comes over a second connection.")
	dir := filepath.Join(d.home, "plain")
	b, err := d.take("plain", nil, "-D", dir, "--max-rate=50M")
	if err != nil {
		return err
	}
	b.data = dir
	b.stored, err = size(dir)
	return err
}

func (d *demo) zstd() error {
	heading("2. Compressed tar files")
	dir := filepath.Join(d.home, "tar.zst")
	b, err := d.take("tar.zst", nil, "-D", dir, "-Ft", "-Z", "zstd")
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return err
		}
		say("  %-16s %12s bytes", e.Name(), count(info.Size()))
		b.stored += info.Size()
	}
	if _, err := exec.LookPath("zstd"); err != nil {
		say("It is not started below, because there is no zstd here to unpack it.")
		return nil
	}
	data := filepath.Join(d.home, "unpacked")
	if err := os.MkdirAll(filepath.Join(data, "pg_wal"), 0o700); err != nil {
		return err
	}
	for _, unpack := range [][2]string{{"base.tar.zst", data}, {"pg_wal.tar.zst", filepath.Join(data, "pg_wal")}} {
		command := fmt.Sprintf("zstd -dcq %s | tar -xf - -C %s", filepath.Join(dir, unpack[0]), unpack[1])
		say("$ %s", command)
		out, err := exec.CommandContext(d.ctx, "bash", "-o", "pipefail", "-c", command).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
	}
	b.data = data
	return nil
}

func (d *demo) pipe() (err error) {
	heading("3. Into a pipe")
	say("One tar on standard output, with the WAL and the manifest in it, unpacked by tar on the other side: ... -D - | tar -x")
	dir := filepath.Join(d.home, "piped")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	tar := exec.CommandContext(d.ctx, "tar", "-xf", "-", "-C", dir)
	tar.Stderr = os.Stderr
	in, err := tar.StdinPipe()
	if err != nil {
		return err
	}
	if err := tar.Start(); err != nil {
		return err
	}
	b, err := d.take("-D - | tar -x", in, "-D", "-", "-Ft")
	err = errors.Join(err, in.Close(), tar.Wait())
	if err != nil {
		return err
	}
	b.data = dir
	b.stored, err = size(dir)
	return err
}

// take runs the program. With out, the backup goes there.
func (d *demo) take(name string, out io.Writer, args ...string) (*backup, error) {
	args = append([]string{"backup", "-h", d.server.SocketDir(), "-p", strconv.Itoa(d.server.Port()), "-U", "postgres",
		"--checkpoint=fast", "--progress", "--json"}, args...)
	say("$ %s %s", d.program, strings.Join(args, " "))
	cmd := exec.CommandContext(d.ctx, d.program, args...)
	// The Ctrl-C that ends the demo reaches the program by itself, and it is to
	// clean up.
	cmd.Cancel = func() error { return nil }
	cmd.WaitDelay = 10 * time.Second
	var answer bytes.Buffer
	cmd.Stdout, cmd.Stderr = &answer, os.Stderr
	finish := func() {}
	if out != nil {
		// With the backup on standard output, the answer is on standard error.
		cmd.Stdout = out
		r, w := io.Pipe()
		cmd.Stderr = w
		var reader sync.WaitGroup
		reader.Go(func() { divert(r, os.Stderr, &answer) })
		finish = func() { w.Close(); reader.Wait() }
	}
	b := &backup{name: name, before: d.load.Commits()}
	started := time.Now()
	err := cmd.Run()
	finish()
	b.took, b.commits = time.Since(started), d.load.Commits()-b.before
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.program, err)
	}
	if err := json.Unmarshal(answer.Bytes(), &b.report); err != nil {
		return nil, fmt.Errorf("%s --json: %w", d.program, err)
	}
	if d.server.Major() >= 13 && !b.report.Verified {
		return nil, errors.New("the backup was not verified")
	}
	if b.report.Verified {
		say("Verified on arrival: each of %s files has the size and the checksum that the server's manifest says,", count(b.report.Files))
		say("and the manifest has its own. Read once, %s, WAL from %s to %s.", megabytes(b.report.Bytes), b.report.StartLSN, b.report.StopLSN)
	}
	say("It took %.1f seconds, in which %s transactions were committed.", b.took.Seconds(), count(b.commits))
	d.taken = append(d.taken, b)
	return b, nil
}

// divert passes lines on, but for the JSON object.
func divert(r io.Reader, w, object io.Writer) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		to := w
		if strings.HasPrefix(lines.Text(), "{") {
			to = object
		}
		fmt.Fprintln(to, lines.Text())
	}
	// A line that is too long must not stop the writer.
	io.Copy(io.Discard, r)
}

// size is the sum of the sizes of a directory's files.
func size(dir string) (total int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			total += info.Size()
		}
		return err
	})
	return total, err
}
