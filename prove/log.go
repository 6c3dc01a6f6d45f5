package prove

import (
	"bytes"
	"errors"
	"io"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/pgbasin/pgbasin/lsn"
)

// logPrefix begins each line of the server's log: time and process.
const logPrefix = "%m [%p] "

// follower reads the server's log while it is written, and keeps what it says
// about recovery.
type follower struct {
	path string
	f    *os.File
	rest []byte // the beginning of a line whose end is to come

	ready      bool // connections are accepted
	consistent lsn.LSN
	stopped    string // at what recovery stopped, if at its target
	lastCommit time.Time
	fatal      []string // messages of FATAL and PANIC, with their details
	more       bool     // the last line was such a message: its details count
}

// maxLogLine bounds what is looked at of a line, in bytes, and maxFatal the
// number of messages kept.
const (
	maxLogLine = 16 << 10
	maxFatal   = 20
)

// read looks at what was added to the log since the last call.
func (l *follower) read() error {
	if l.f == nil {
		f, err := os.Open(l.path)
		if err != nil {
			return err
		}
		l.f = f
	}
	buf := make([]byte, 32<<10)
	for {
		n, err := l.f.Read(buf)
		l.take(buf[:n])
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (l *follower) take(b []byte) {
	for len(b) > 0 {
		end := bytes.IndexByte(b, '\n')
		piece := b
		if end >= 0 {
			piece = b[:end]
		}
		l.rest = append(l.rest, piece[:min(len(piece), maxLogLine-len(l.rest))]...)
		if end < 0 {
			return
		}
		l.line(string(l.rest))
		l.rest = l.rest[:0]
		b = b[end+1:]
	}
}

func (l *follower) close() {
	if l.f != nil {
		l.f.Close()
	}
}

var (
	// logLine is logPrefix, the severity and the message.
	logLine        = regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \S+ \[\d+\] ([A-Z]+):  (.*)$`)
	consistentLine = regexp.MustCompile(`^consistent recovery state reached at ([0-9A-F]+/[0-9A-F]+)`)
	stoppedLine    = regexp.MustCompile(`^recovery stopping (?:before|after|at) .*`)
	lastCommitLine = regexp.MustCompile(`^last completed transaction was at log time (.+)$`)
)

// line looks at one line (xlogrecovery.c, up to 14 xlog.c; postmaster.c).
func (l *follower) line(text string) {
	m := logLine.FindStringSubmatch(text)
	if m == nil {
		return
	}
	severity, message := m[1], m[2]
	switch severity {
	case "FATAL", "PANIC":
		l.more = len(l.fatal) < maxFatal
		if l.more {
			l.fatal = append(l.fatal, message)
		}
		return
	case "DETAIL", "HINT", "CONTEXT":
		if l.more {
			l.fatal[len(l.fatal)-1] += "\n" + severity + ": " + message
		}
		return
	}
	l.more = false
	if severity != "LOG" {
		return
	}
	switch {
	case message == "database system is ready to accept connections":
		l.ready = true
	case stoppedLine.MatchString(message):
		l.stopped = message
	default:
		if m := consistentLine.FindStringSubmatch(message); m != nil {
			l.consistent, _ = lsn.Parse(m[1])
		} else if m := lastCommitLine.FindStringSubmatch(message); m != nil {
			l.lastCommit, _ = time.Parse("2006-01-02 15:04:05.999999-07", m[1])
		}
	}
}

// notInstalled is what a server says when it ends because a library that it
// should preload is not there.
var notInstalled = regexp.MustCompile(`^could not (?:access file|load library) "([^"]*)"`)

// missingLibrary returns the library for want of which the server ended, "" if
// it was something else. candidates are what it should preload.
func (l *follower) missingLibrary(candidates []string) string {
	for _, message := range l.fatal {
		m := notInstalled.FindStringSubmatch(message)
		if m == nil {
			continue
		}
		for _, name := range candidates {
			if m[1] == name || strings.TrimSuffix(pathBase(m[1]), ".so") == strings.TrimSuffix(pathBase(name), ".so") {
				return name
			}
		}
	}
	return ""
}

func pathBase(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// tail returns the last lines of a file, at most n of them and maxTail bytes.
func tail(path string, n int) string {
	const maxTail = 64 << 10
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return ""
	}
	from := max(0, info.Size()-maxTail)
	b, err := io.ReadAll(io.NewSectionReader(f, from, maxTail))
	if err != nil {
		return ""
	}
	if from > 0 {
		_, b, _ = bytes.Cut(b, []byte("\n"))
	}
	lines := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
