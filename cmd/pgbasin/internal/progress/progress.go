// Package progress shows how far a backup, a restore or a reading is: as lines shaped like those of
// pg_basebackup and pg_verifybackup, or on a terminal as one line that is redrawn.
package progress

import (
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/program"
)

// State is how far the work is.
type State struct {
	Done  int64 // bytes processed, uncompressed, as far as known
	Total int64 // an estimate in bytes; 0 = unknown
	// Part counts what is complete of Parts, which are called Unit.
	Part, Parts int
	Unit        string // "" = tablespace
	File        string // under way; "" = none
	// Milestone is set where pg_basebackup reports in any case.
	Milestone bool
	Finished  bool // all data is there
}

func (s *State) unit() string {
	if s.Unit == "" {
		return "tablespace"
	}
	return s.Unit
}

// Reporter shows progress. Update and Step may be called from different
// goroutines.
type Reporter interface {
	// Checkpoint is called when the server has been asked for a checkpoint.
	Checkpoint()
	// Step tells what goes on while no data moves.
	Step(what string)
	// Update is called for every piece of data.
	Update(p State)
	// Close ends the report, of a backup that is complete or one that failed.
	// Only the first call counts.
	Close(complete bool)
}

// New returns the Reporter for what standard error is. verbose is the -v option,
// which shows the current file in lines, too.
func New(console *program.Console, verbose bool) Reporter {
	if console.Terminal() {
		return newDisplay(console)
	}
	return &lines{console: console, verbose: verbose}
}

// None shows nothing.
type None struct{}

func (None) Checkpoint()  {}
func (None) Step(string)  {}
func (None) Update(State) {}
func (None) Close(bool)   {}
