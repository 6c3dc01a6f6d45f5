package prove

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/getopt"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/restore"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/usage"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/words"
	"github.com/pgbasin/pgbasin/prove"
)

// options are what the command line says.
type options struct {
	backup     string
	increments []string // the incremental backups that follow it
	checks     prove.Checks
	database   string // of the statements that follow
	server     prove.ServerOptions
	keep       bool
	timeout    time.Duration
	json       bool
	junit      usage.Optional
	progress   bool
	verbose    bool

	recovery restore.RecoveryOptions
}

func (o *options) table() []getopt.Option {
	table := append(usage.HelpAndVersion(), []getopt.Option{
		{Long: "amcheck", Set: usage.Flag(&o.checks.Amcheck)},
		{Long: "dump", Set: usage.Flag(&o.checks.Dump)},

		{Long: "checksums", Set: usage.Flag(&o.checks.Checksums)},
		{Long: "sql", Arg: true, Set: o.addFile},
		{Long: "assert", Arg: true, Set: o.addAssertion},
		{Long: "dbname", Short: 'd', Arg: true, Set: usage.NotEmpty("dbname", &o.database)},
		{Long: "bindir", Arg: true, Set: usage.NotEmpty("bindir", &o.server.BinDir)},
		{Long: "run-as", Arg: true, Set: usage.NotEmpty("run-as", &o.server.User)},
		{Long: "username", Short: 'U', Arg: true, Set: usage.NotEmpty("username", &o.server.Superuser)},
		{Long: "scratch", Arg: true, Set: usage.NotEmpty("scratch", &o.server.TempDir)},
		{Long: "keep", Set: usage.Flag(&o.keep)},
		{Long: "timeout", Arg: true, Set: o.setTimeout},
		{Long: "json", Set: usage.Flag(&o.json)},
		{Long: "junit", Arg: true, Set: o.junit.Set},
		{Long: "progress", Short: 'P', Set: usage.Flag(&o.progress)},
		{Long: "verbose", Short: 'v', Set: usage.Flag(&o.verbose)},
	}...)
	return append(table, o.recovery.Table()...)
}

// parse reads the command line. The error is one that usage.Answered knows.
func parse(args []string) (*options, error) {
	o := &options{database: "postgres", timeout: prove.DefaultTimeout}
	operands, err := getopt.Parse(o.table(), args)
	if err != nil {
		return o, err
	}
	switch {
	case len(operands) == 0 || slices.Contains(operands, ""):
		return o, usage.RefuseWithHelp("no backup specified")
	case o.junit.Given && o.junit.Text == "":
		return o, usage.RefuseWithHelp("no value for option --junit")
	}
	o.backup, o.increments = operands[0], operands[1:]
	return o, o.recovery.Check()
}

func (o *options) addFile(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return usage.Refuse("%s", words.Of(fmt.Errorf("could not read SQL file \"%s\": %w", path, err)))
	}
	o.checks.Statements = append(o.checks.Statements, prove.Statement{Database: o.database, SQL: string(text), Name: path})
	return nil
}

func (o *options) addAssertion(sql string) error {
	if strings.TrimSpace(sql) == "" {
		return usage.RefuseWithHelp("no value for option --assert")
	}
	o.checks.Statements = append(o.checks.Statements, prove.Statement{Database: o.database, SQL: sql, Assert: true})
	return nil
}

// setTimeout takes a number with a unit, or a number of seconds.
func (o *options) setTimeout(v string) error {
	d, err := time.ParseDuration(v)
	if seconds, serr := strconv.ParseUint(v, 10, 31); serr == nil {
		d, err = time.Duration(seconds)*time.Second, nil
	}
	if err != nil || d <= 0 {
		return &usage.Error{Text: fmt.Sprintf("invalid timeout \"%s\"", v), Hint: "Give a number with a unit: 90s, 30m, 2h."}
	}
	o.timeout = d
	return nil
}
