// Package progress shows how far a backup is: as lines shaped like those of
// pg_basebackup, or on a terminal as one line that is redrawn.
package progress

import (
	"github.com/pgbasin/pgbasin/basebackup"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/program"
)

// Reporter shows progress. Update and Step may be called from different
// goroutines.
type Reporter interface {
	// Checkpoint is called when the server has been asked for a checkpoint.
	Checkpoint()
	// Step tells what goes on while no data moves.
	Step(what string)
	// Update is called for every piece of data.
	Update(p basebackup.Progress)
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

func (None) Checkpoint()                {}
func (None) Step(string)                {}
func (None) Update(basebackup.Progress) {}
func (None) Close(bool)                 {}
