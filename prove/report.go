package prove

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/pgbasin/pgbasin/lsn"
)

// Report is what came of a proof.
type Report struct {
	Backup        string   // of a chain the full one
	Incrementals  []string // those that follow it, oldest first
	Started       time.Time
	ServerVersion string // of the server that was started, "" if none was found
	SystemID      uint64
	Promise       Promise
	Recovery      Recovery
	Cases         []*Case
	Restore       time.Duration // to lay out the data directory
	Recover       time.Duration // from the start of the server until it took connections
	Total         time.Duration
	Scratch       string // the scratch directory if it was kept
	Log           string // the end of the server's log, if something failed
}

// Recovery is how far a server recovered.
type Recovery struct {
	Consistent lsn.LSN // 0 if the data directory needed no recovery
	Replayed   lsn.LSN // end of the last record that was replayed
	Timeline   uint32  // that the server is on now
	// Stopped is the server's message about where it stopped, if that was at a
	// target.
	Stopped string
	// LastCommit is the time of the last transaction that was replayed; zero if
	// there was none.
	LastCommit time.Time
	// Newest is the time of the newest data that are certainly there: LastCommit,
	// or else when the backup began; zero if neither is known.
	Newest time.Time
}

// Age is how old the newest data were when the proof began: what would be lost
// if this backup had to be used. It is 0 if that is not known.
func (r *Report) Age() time.Duration {
	if r.Recovery.Newest.IsZero() {
		return 0
	}
	return max(0, r.Started.Sub(r.Recovery.Newest))
}

// Check is a kind of check.
type Check string

// The checks, in the order in which they are done.
const (
	CheckRestore   Check = "restore"   // the backup is whole and can be laid out
	CheckServer    Check = "server"    // there is a server for it
	CheckRecovery  Check = "recovery"  // the server recovers to a consistent state
	CheckTarget    Check = "target"    // and as far as promised
	CheckAmcheck   Check = "amcheck"   // in each database
	CheckDump      Check = "dump"      // in each database
	CheckSQL       Check = "sql"       // for each file
	CheckAssert    Check = "assert"    // for each assertion
	CheckChecksums Check = "checksums" // of all pages
	CheckCleanup   Check = "cleanup"   // a case only when something is left behind
)

// Status is how a check ended.
type Status string

// What a check may come to.
const (
	Passed  Status = "passed"
	Failed  Status = "failed"
	Skipped Status = "skipped" // something before it failed, or there is nothing to check
)

// Case is one check and what came of it.
type Case struct {
	Check    Check
	Database string // "" for checks of the whole cluster
	Subject  string // of sql and assert: the file, the SQL
	Status   Status
	Duration time.Duration
	// Summary says what was checked, or why it was skipped.
	Summary string
	// Problems are the first MaxProblems of what is wrong, of Count.
	Problems []string
	Count    int64
	// Err is the error that the case ended with, if it was one.
	Err error

	began time.Time
}

// MaxProblems is how many problems of one check a Report keeps.
const MaxProblems = 20

// Name tells the case from all others of a report, unless two are the same.
func (c *Case) Name() string {
	parts := []string{string(c.Check)}
	if c.Database != "" {
		parts = append(parts, c.Database)
	}
	name := strings.Join(parts, " ")
	if c.Subject != "" {
		name += ": " + c.Subject
	}
	return name
}

// OK tells whether everything held.
func (r *Report) OK() bool {
	if len(r.Cases) == 0 {
		return false
	}
	for _, c := range r.Cases {
		if c.Status == Failed {
			return false
		}
	}
	return true
}

// count returns how many cases have a status.
func (r *Report) count(s Status) int {
	n := 0
	for _, c := range r.Cases {
		if c.Status == s {
			n++
		}
	}
	return n
}

func (c *Case) problem(text string) {
	c.Count++
	if len(c.Problems) < MaxProblems {
		c.Problems = append(c.Problems, text)
	}
}

// Message is the failure in one line.
func (c *Case) Message() string {
	if len(c.Problems) == 0 {
		return c.Summary
	}
	message, _, _ := strings.Cut(c.Problems[0], "\n")
	if c.Count > 1 {
		message += fmt.Sprintf(" (and %d more)", c.Count-1)
	}
	return message
}

// MarshalJSON writes the report with times in RFC 3339, durations in seconds and
// WAL positions as PostgreSQL writes them. What is not known is null.
func (r *Report) MarshalJSON() ([]byte, error) {
	type check struct {
		Name     string   `json:"name"`
		Check    Check    `json:"check"`
		Database string   `json:"database,omitempty"`
		Subject  string   `json:"subject,omitempty"`
		Status   Status   `json:"status"`
		Seconds  float64  `json:"seconds"`
		Summary  string   `json:"summary,omitempty"`
		Problems []string `json:"problems,omitempty"`
		Count    int64    `json:"problem_count,omitempty"`
	}
	type target struct {
		Kind    string  `json:"kind"`
		Value   string  `json:"value,omitempty"`
		Stopped *string `json:"stopped"`
	}
	view := struct {
		OK            bool       `json:"ok"`
		Backup        string     `json:"backup"`
		Incrementals  []string   `json:"incrementals,omitempty"` // that follow it
		Started       time.Time  `json:"started"`
		ServerVersion *string    `json:"server_version"`
		SystemID      *string    `json:"system_identifier"`
		Timeline      *uint32    `json:"timeline"`
		Target        *target    `json:"target"`
		ConsistentLSN *string    `json:"consistent_lsn"`
		ReplayedLSN   *string    `json:"replayed_lsn"`
		LastCommit    *time.Time `json:"last_commit"`
		Newest        *time.Time `json:"newest_data"`
		Age           *float64   `json:"data_age_seconds"`
		Restore       float64    `json:"restore_seconds"`
		Recover       float64    `json:"recovery_seconds"`
		Total         float64    `json:"total_seconds"`
		Checks        []check    `json:"checks"`
		Scratch       string     `json:"scratch,omitempty"`
		Log           string     `json:"log,omitempty"`
	}{
		OK: r.OK(), Backup: r.Backup, Incrementals: r.Incrementals, Started: r.Started,
		ServerVersion: known(r.ServerVersion), Timeline: known(r.Recovery.Timeline),
		ConsistentLSN: position(r.Recovery.Consistent), ReplayedLSN: position(r.Recovery.Replayed),
		LastCommit: instant(r.Recovery.LastCommit), Newest: instant(r.Recovery.Newest),
		Restore: seconds(r.Restore), Recover: seconds(r.Recover), Total: seconds(r.Total),
		Checks: []check{}, Scratch: r.Scratch, Log: r.Log,
	}
	if r.SystemID != 0 {
		id := fmt.Sprint(r.SystemID) // more than a JSON number holds in many languages
		view.SystemID = &id
	}
	if !r.Recovery.Newest.IsZero() {
		age := seconds(r.Age())
		view.Age = &age
	}
	if p := r.Promise; p.Target != "" {
		view.Target = &target{p.Target, p.Value, known(r.Recovery.Stopped)}
	}
	for _, c := range r.Cases {
		view.Checks = append(view.Checks, check{c.Name(), c.Check, c.Database, c.Subject, c.Status, seconds(c.Duration), c.Summary, c.Problems, c.Count})
	}
	return json.Marshal(view)
}

// seconds is a duration to the millisecond.
func seconds(d time.Duration) float64 { return float64(d.Milliseconds()) / 1000 }

// known is nil for what is not known.
func known[T comparable](value T) *T {
	var zero T
	if value == zero {
		return nil
	}
	return &value
}

func position(l lsn.LSN) *string {
	if l == 0 {
		return nil
	}
	text := l.String()
	return &text
}

func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
