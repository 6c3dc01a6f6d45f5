package receive

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/connection"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/getopt"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/usage"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/words"
	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/lsn"
)

// options are what the command line says, in the terms of pg_receivewal 18.
type options struct {
	directory   usage.Optional
	endPos      lsn.LSN
	noLoop      bool
	noSync      bool
	synchronous bool
	status      time.Duration
	slot        usage.Optional
	verbose     bool
	compression struct {
		method, detail string
		hasDetail      bool
		spec           codec.Spec // set by check
	}
	create, drop, ifNotExists bool
	listen                    usage.Optional

	connection connection.Options
}

// serverTimeout is wal_receiver_timeout's default. A standby gives a connection up
// in the same way, and loses as little by it.
const serverTimeout = time.Minute

// newOptions are pg_receivewal's defaults.
func newOptions() *options {
	o := &options{status: 10 * time.Second}
	o.connection.ServerTimeout = serverTimeout
	o.compression.method = codec.None.String()
	return o
}

// table lists the options. Those of pg_receivewal come first and in its order,
// which is the order in which complaints about abbreviations name them.
func (o *options) table(dropIn bool) []getopt.Option {
	info := func(err error) func(string) error {
		if dropIn {
			// As anything but the first argument they are known, but not obeyed.
			err = &usage.Error{Help: true}
		}
		return usage.Fail(err)
	}
	table := []getopt.Option{
		{Long: "help", Set: info(usage.ErrHelp)},
		{Long: "version", Set: info(usage.ErrVersion)},
		{Long: "directory", Short: 'D', Arg: true, Set: o.directory.Set},
		{Long: "dbname", Short: 'd', Arg: true, Set: o.connection.String.Set},
		{Long: "endpos", Short: 'E', Arg: true, Set: o.setEndPos},
		{Long: "host", Short: 'h', Arg: true, Set: usage.Text(&o.connection.Host)},
		{Long: "port", Short: 'p', Arg: true, Set: usage.Text(&o.connection.Port)},
		{Long: "username", Short: 'U', Arg: true, Set: usage.Text(&o.connection.User)},
		{Long: "no-loop", Short: 'n', Set: usage.Flag(&o.noLoop)},
		{Long: "no-password", Short: 'w', Set: o.connection.SetPassword(false)},
		{Long: "password", Short: 'W', Set: o.connection.SetPassword(true)},
		{Long: "status-interval", Short: 's', Arg: true, Set: o.setStatusInterval},
		{Long: "slot", Short: 'S', Arg: true, Set: o.slot.Set},
		{Long: "verbose", Short: 'v', Set: usage.Flag(&o.verbose)},
		{Long: "compress", Short: 'Z', Arg: true, Set: o.setCompression},
		{Long: "create-slot", Set: usage.Flag(&o.create)},
		{Long: "drop-slot", Set: usage.Flag(&o.drop)},
		{Long: "if-not-exists", Set: usage.Flag(&o.ifNotExists)},
		{Long: "synchronous", Set: usage.Flag(&o.synchronous)},
		{Long: "no-sync", Set: usage.Flag(&o.noSync)},

		// As a drop-in, --stat is an abbreviation of --status-interval alone.
		{Long: "status-listen", Arg: true, NoAbbrev: dropIn, Set: o.listen.Set},
		{Long: "server-timeout", Arg: true, NoAbbrev: dropIn, Set: o.connection.SetServerTimeout},
	}
	if !dropIn {
		table = append(table,
			getopt.Option{Short: '?', Set: info(usage.ErrHelp)},
			getopt.Option{Short: 'V', Set: info(usage.ErrVersion)})
	}
	return table
}

// parse reads the command line. The error is one that usage.Answered knows.
func parse(args []string, dropIn bool) (*options, error) {
	o := newOptions()
	if err := usage.AskedFirst(args); dropIn && err != nil {
		return o, err
	}
	operands, err := getopt.Parse(o.table(dropIn), args)
	if err != nil {
		return o, err
	}
	if len(operands) > 0 {
		return o, usage.RefuseWithHelp("too many command-line arguments (first is \"%s\")", operands[0])
	}
	return o, o.check()
}

func (o *options) setEndPos(v string) error {
	pos, ok := scanLSN(v)
	if !ok {
		return usage.Refuse("could not parse end position \"%s\"", v)
	}
	o.endPos = pos
	return nil
}

// scanLSN reads a position as sscanf(3) with "%X/%X" does: blanks, signs and "0x"
// in front of both numbers, of which the lowest 32 bits count, and anything
// behind them.
func scanLSN(s string) (lsn.LSN, bool) {
	high, rest, ok := scanHex(s)
	if !ok || !strings.HasPrefix(rest, "/") {
		return 0, false
	}
	low, _, ok := scanHex(rest[1:])
	return lsn.LSN(uint64(high)<<32 | uint64(low)), ok
}

func scanHex(s string) (n uint32, rest string, ok bool) {
	s = strings.TrimLeft(s, " \t\n\v\f\r")
	negative := strings.HasPrefix(s, "-")
	if negative || strings.HasPrefix(s, "+") {
		s = s[1:]
	}
	if len(s) > 1 && s[0] == '0' && s[1]|0x20 == 'x' {
		s = s[2:]
		// glibc takes "0x" by itself for a 0.
		ok = true
	}
	for ; s != ""; s = s[1:] {
		i := strings.IndexByte("0123456789abcdef", s[0]|0x20)
		if s[0] < '0' || i < 0 {
			break
		}
		n, ok = n<<4|uint32(i), true
	}
	if negative {
		n = -n
	}
	return n, s, ok
}

func (o *options) setStatusInterval(v string) error {
	const maxSeconds = (1<<31 - 1) / 1000 // milliseconds fit into a C int
	seconds, err := usage.ParseInt(v, "-s/--status-interval", 0, maxSeconds)
	o.status = time.Duration(seconds) * time.Second
	return err
}

func (o *options) setCompression(v string) error {
	c := &o.compression
	where, method, detail, hasDetail := codec.ParseOption(v)
	if where != codec.Unspecified {
		// There is but one place here: the prefix belongs to the name.
		method, detail, hasDetail = strings.Cut(v, ":")
	}
	c.method, c.detail, c.hasDetail = method, detail, hasDetail
	return nil
}

// check refuses options that contradict each other, in pg_receivewal's order and
// words.
func (o *options) check() (err error) {
	switch {
	case o.drop && o.create:
		return usage.RefuseWithHelp("cannot use --create-slot together with --drop-slot")
	case !o.slot.Given && o.drop:
		return usage.RefuseWithHelp("%s needs a slot to be specified using --slot", "--drop-slot")
	case !o.slot.Given && o.create:
		return usage.RefuseWithHelp("%s needs a slot to be specified using --slot", "--create-slot")
	case o.synchronous && o.noSync:
		return usage.RefuseWithHelp("cannot use --synchronous together with --no-sync")
	case !o.directory.Given && !o.action():
		return usage.RefuseWithHelp("no target directory specified")
	}
	c := &o.compression
	a, err := codec.ParseAlgorithm(c.method)
	if err != nil {
		return usage.Refuse("%s", err)
	}
	c.spec = codec.Spec{Algorithm: a}
	if c.hasDetail {
		if c.spec, err = codec.ParseDetail(a, c.detail); err != nil {
			return usage.Refuse("%s", err)
		}
	}
	if !o.action() {
		if err := checkDirectory(o.directory.Text); err != nil {
			return usage.Refuse("%s", words.Of(err))
		}
	}
	if o.slot.Given && o.slot.Text == "" {
		// The server would be asked for a slot without a name.
		return usage.Refuse("replication slot name \"\" is too short")
	}
	return nil
}

// action tells whether the command is about a slot only.
func (o *options) action() bool { return o.create || o.drop }

func checkDirectory(path string) error {
	f, err := os.Open(path)
	if err == nil {
		var info os.FileInfo
		if info, err = f.Stat(); err == nil && !info.IsDir() {
			err = syscall.ENOTDIR
		}
		f.Close()
	}
	if err != nil {
		return fmt.Errorf("could not open directory \"%s\": %w", path, err)
	}
	return nil
}
