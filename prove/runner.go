package prove

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"time"
)

// runner starts programs as the server's user, in the scratch directory.
type runner struct {
	dir   string
	owner owner
	env   []string
}

// environment is what programs get of env: without what libpq and PostgreSQL
// read from it, and with messages in English, which are what is understood here.
func environment(env []string) []string {
	kept := []string{"LC_ALL=C"}
	for _, e := range env {
		name, _, _ := strings.Cut(e, "=")
		if strings.HasPrefix(name, "PG") || strings.HasPrefix(name, "LC_") || name == "LANG" || name == "LANGUAGE" || name == "TZ" {
			continue
		}
		kept = append(kept, e)
	}
	return kept
}

// maxOutput bounds what is kept of a program's output, in bytes.
const maxOutput = 64 << 10

// output runs a program and returns what it prints.
func (r *runner) output(ctx context.Context, path string, args ...string) (string, error) {
	cmd := exec.Command(path, args...)
	cmd.Dir, cmd.Env = r.dir, r.env
	var out boundedBuffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second // a child that outlives it may hold the pipe
	p, err := start(cmd, r.owner)
	if err != nil {
		return "", err
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		return "", errors.Join(context.Cause(ctx), p.kill())
	}
	if p.err != nil && !errors.Is(p.err, exec.ErrWaitDelay) {
		if text := firstLine(out.String()); text != "" {
			return out.String(), errors.New(text)
		}
		return out.String(), p.err
	}
	return out.String(), nil
}

// boundedBuffer keeps the first maxOutput bytes.
type boundedBuffer struct{ b []byte }

func (w *boundedBuffer) Write(p []byte) (int, error) {
	w.b = append(w.b, p[:min(len(p), maxOutput-len(w.b))]...)
	return len(p), nil
}

func (w *boundedBuffer) String() string { return string(w.b) }
