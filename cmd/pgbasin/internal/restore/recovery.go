package restore

import (
	"path/filepath"
	"runtime"
	"strings"

	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/getopt"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/program"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/usage"
	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/recoveryconf"
	"github.com/pgbasin/pgbasin/restore"
)

// RecoveryOptions are the options about how the restored server recovers, and
// how the backup is read. "pgbasin prove" has them, too.
type RecoveryOptions struct {
	recovery   recoveryconf.Recovery
	command    usage.Optional
	walArchive usage.Optional
	settings   recoveryconf.Params
	noVerify   bool
	jobs       int
}

// Table lists the options.
func (o *RecoveryOptions) Table() []getopt.Option {
	t := &o.recovery.Target
	return []getopt.Option{
		{Long: "target-time", Arg: true, Set: usage.NotEmpty("target-time", &t.Time)},
		{Long: "target-lsn", Arg: true, Set: o.setLSN},
		{Long: "target-xid", Arg: true, Set: usage.NotEmpty("target-xid", &t.XID)},
		{Long: "target-name", Arg: true, Set: usage.NotEmpty("target-name", &t.Name)},
		{Long: "target-immediate", Set: usage.Flag(&t.Immediate)},
		{Long: "target-exclusive", Set: usage.Flag(&t.Exclusive)},
		{Long: "target-timeline", Arg: true, Set: usage.NotEmpty("target-timeline", &t.Timeline)},
		{Long: "target-action", Arg: true, Set: usage.NotEmpty("target-action", &t.Action)},
		{Long: "standby", Set: usage.Flag(&o.recovery.Standby)},
		{Long: "primary-conninfo", Arg: true, Set: usage.NotEmpty("primary-conninfo", &o.recovery.PrimaryConnInfo)},
		{Long: "primary-slot", Arg: true, Set: usage.NotEmpty("primary-slot", &o.recovery.PrimarySlot)},
		{Long: "restore-command", Arg: true, Set: o.command.Set},
		{Long: "wal-archive", Arg: true, Set: o.walArchive.Set},
		{Long: "set", Arg: true, Set: o.addSetting},
		{Long: "no-verify", Set: usage.Flag(&o.noVerify)},
		{Long: "jobs", Short: 'j', Arg: true, Set: o.setJobs},
	}
}

func (o *RecoveryOptions) setLSN(v string) error {
	pos, err := lsn.Parse(v)
	if err != nil || pos == 0 {
		return usage.Refuse("could not parse LSN \"%s\"", v)
	}
	o.recovery.LSN = pos
	return nil
}

func (o *RecoveryOptions) addSetting(v string) error {
	name, value, ok := strings.Cut(v, "=")
	if name = strings.TrimSpace(name); !ok || name == "" {
		return usage.RefuseWithHelp("invalid setting \"%s\", must be \"NAME=VALUE\"", v)
	}
	o.settings = append(o.settings, recoveryconf.Param{Name: name, Value: value})
	return nil
}

func (o *RecoveryOptions) setJobs(v string) (err error) {
	o.jobs, err = usage.ParseInt(v, "-j/--jobs", 1, 1024)
	return err
}

// Check refuses options that contradict each other.
func (o *RecoveryOptions) Check() error {
	if o.command.Given && o.walArchive.Given {
		return usage.RefuseWithHelp("--restore-command and --wal-archive cannot be used together")
	}
	if o.command.Given && o.command.Text == "" {
		return usage.RefuseWithHelp("no value for option --restore-command")
	}
	if o.walArchive.Given && o.walArchive.Text == "" {
		return usage.RefuseWithHelp("no value for option --wal-archive")
	}
	return nil
}

// Library are the options in the library's terms.
func (o *RecoveryOptions) Library(*program.Program) (restore.Options, error) {
	lib := restore.Options{Recovery: o.recovery, Settings: o.settings, NoVerify: o.noVerify, Jobs: o.jobs}
	lib.Recovery.RestoreCommand = o.command.Text
	if o.walArchive.Given {
		dir, err := filepath.Abs(o.walArchive.Text)
		if err != nil {
			return lib, err
		}
		self, err := executable()
		if err != nil {
			return lib, err
		}
		lib.WALArchive = dir
		lib.Recovery.RestoreCommand = fetchCommand(self, dir, runtime.GOOS == "windows")
	}
	return lib, nil
}

// fetchCommand is a restore_command that takes WAL from dir.
func fetchCommand(self, dir string, windows bool) string {
	quote := shellQuote
	if windows {
		quote = func(s string) string { return `"` + s + `"` } // no path has quotes there
	}
	// The server replaces %f and %p, and makes one % of two.
	escape := strings.NewReplacer("%", "%%")
	return escape.Replace(quote(self)) + " wal-fetch --from " + escape.Replace(quote(dir)) + ` "%f" "%p"`
}

// shellQuote quotes a word for sh, if it needs to be.
func shellQuote(s string) string {
	safe := strings.IndexFunc(s, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("/._-+,:@%", c))
	}) < 0
	if safe && s != "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
