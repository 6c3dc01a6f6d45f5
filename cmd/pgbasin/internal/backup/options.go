package backup

import (
	"strings"
	"time"

	"github.com/pgbasin/pgbasin/basebackup"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/connection"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/getopt"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/usage"
	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/internal/durable"
)

// options are what the command line says, in the terms of pg_basebackup 18.
type options struct {
	directory   usage.Optional
	format      byte           // 'p', 't', 0 = not given
	previous    usage.Optional // the manifest that an incremental backup builds on
	target      usage.Optional
	waldir      usage.Optional
	tablespaces []basebackup.TablespaceMapping
	recovery    bool
	maxRate     int // kB/s

	wal     basebackup.WALMethod
	walSet  bool // -X was given
	walOld  bool // -x was given
	slot    usage.Optional
	create  bool
	noSlot  bool
	status  time.Duration
	fast    bool
	label   usage.Optional
	noClean bool
	noSync  bool
	syncBy  durable.SyncMethod

	compression compression

	noEstimate        bool
	noManifest        bool
	manifestEncode    bool
	manifestChecksums usage.Optional
	noPageChecksums   bool
	noVerify          bool

	progress bool
	verbose  int
	json     bool

	resume resume

	connection connection.Options
}

// compression is what -z and -Z ask for, and what is made of it.
type compression struct {
	where     codec.Location
	method    string
	detail    string
	hasDetail bool
	given     bool

	client codec.Spec // set by check, for compression here
}

// newOptions are pg_basebackup's defaults.
func newOptions() *options {
	return &options{status: 10 * time.Second, compression: compression{method: codec.None.String()}}
}

// table lists the options. Those of pg_basebackup come first and in its order,
// which is the order in which complaints about abbreviations name them. As a
// drop-in their abbreviations mean what they mean there.
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
		{Long: "pgdata", Short: 'D', Arg: true, Set: o.directory.Set},
		{Long: "format", Short: 'F', Arg: true, Set: usage.Format("output", &o.format, 'p', 't')},
		{Long: "incremental", Short: 'i', Arg: true, Set: o.previous.Set},
		{Long: "checkpoint", Short: 'c', Arg: true, Set: o.setCheckpoint},
		{Long: "create-slot", Short: 'C', Set: usage.Flag(&o.create)},
		{Long: "max-rate", Short: 'r', Arg: true, Set: o.setMaxRate},
		{Long: "write-recovery-conf", Short: 'R', Set: usage.Flag(&o.recovery)},
		{Long: "slot", Short: 'S', Arg: true, Set: o.slot.Set},
		{Long: "target", Short: 't', Arg: true, Set: o.target.Set},
		{Long: "tablespace-mapping", Short: 'T', Arg: true, Set: o.addTablespace},
		{Long: "wal-method", Short: 'X', Arg: true, Set: o.setWALMethod},
		{Long: "gzip", Short: 'z', Set: o.setGzip},
		{Long: "compress", Short: 'Z', Arg: true, Set: o.setCompression},
		{Long: "label", Short: 'l', Arg: true, Set: o.label.Set},
		{Long: "no-clean", Short: 'n', Set: usage.Flag(&o.noClean)},
		{Long: "no-sync", Short: 'N', Set: usage.Flag(&o.noSync)},
		{Long: "dbname", Short: 'd', Arg: true, Set: o.connection.String.Set},
		{Long: "host", Short: 'h', Arg: true, Set: usage.Text(&o.connection.Host)},
		{Long: "port", Short: 'p', Arg: true, Set: usage.Text(&o.connection.Port)},
		{Long: "username", Short: 'U', Arg: true, Set: usage.Text(&o.connection.User)},
		{Long: "no-password", Short: 'w', Set: o.connection.SetPassword(false)},
		{Long: "password", Short: 'W', Set: o.connection.SetPassword(true)},
		{Long: "status-interval", Short: 's', Arg: true, Set: o.setStatusInterval},
		{Long: "verbose", Short: 'v', Set: func(string) error { o.verbose++; return nil }},
		{Long: "progress", Short: 'P', Set: usage.Flag(&o.progress)},
		{Long: "waldir", Arg: true, Set: o.waldir.Set},
		{Long: "no-slot", Set: usage.Flag(&o.noSlot)},
		{Long: "no-verify-checksums", Set: usage.Flag(&o.noPageChecksums)},
		{Long: "no-estimate-size", Set: usage.Flag(&o.noEstimate)},
		{Long: "no-manifest", Set: usage.Flag(&o.noManifest)},
		{Long: "manifest-force-encode", Set: usage.Flag(&o.manifestEncode)},
		{Long: "manifest-checksums", Arg: true, Set: o.manifestChecksums.Set},
		{Long: "sync-method", Arg: true, Set: o.setSyncMethod},

		// Names of 9.1 to 9.6.
		{Long: "xlog", Short: 'x', NoAbbrev: true, Set: o.setOldXlog},
		{Long: "xlog-method", Arg: true, NoAbbrev: true, Set: o.setWALMethod},
		{Long: "xlogdir", Arg: true, NoAbbrev: true, Set: o.waldir.Set},

		// As a drop-in, --no-verify is an abbreviation of an option above.
		{Long: "json", NoAbbrev: dropIn, Set: usage.Flag(&o.json)},
		{Long: "no-verify", NoAbbrev: dropIn, Set: usage.Flag(&o.noVerify)},
		{Long: "server-timeout", Arg: true, NoAbbrev: dropIn, Set: o.connection.SetServerTimeout},
	}
	if !dropIn {
		table = append(table, o.resumeTable()...)
		table = append(table,
			getopt.Option{Short: '?', Set: info(usage.ErrHelp)},
			getopt.Option{Short: 'V', Set: info(usage.ErrVersion)})
	}
	return table
}

// parse reads the command line. The error is a *getopt.SyntaxError, a
// *usage.Error, usage.ErrHelp or usage.ErrVersion.
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

func (o *options) setCheckpoint(v string) error {
	switch strings.ToLower(v) {
	case "fast":
		o.fast = true
	case "spread":
		o.fast = false
	default:
		return usage.Refuse("invalid checkpoint argument \"%s\", must be \"fast\" or \"spread\"", v)
	}
	return nil
}

func (o *options) setMaxRate(v string) (err error) {
	o.maxRate, err = parseMaxRate(v)
	return err
}

func (o *options) addTablespace(v string) error {
	from, to, err := usage.ParseMapping(v)
	o.tablespaces = append(o.tablespaces, basebackup.TablespaceMapping{Old: from, New: to})
	return err
}

// errTwoMethods is what 9.1 to 9.6 said about -x beside -X.
var errTwoMethods = usage.Refuse("cannot specify both --xlog and --xlog-method")

func (o *options) setWALMethod(v string) error {
	switch v {
	case "n", "none":
		o.wal = basebackup.WALNone
	case "f", "fetch":
		o.wal = basebackup.WALFetch
	case "s", "stream":
		o.wal = basebackup.WALStream
	default:
		return usage.Refuse("invalid wal-method option \"%s\", must be \"fetch\", \"stream\", or \"none\"", v)
	}
	o.walSet = true
	if o.walOld {
		return errTwoMethods
	}
	return nil
}

func (o *options) setOldXlog(string) error {
	o.wal, o.walOld = basebackup.WALFetch, true
	if o.walSet {
		return errTwoMethods
	}
	return nil
}

func (o *options) setGzip(string) error {
	o.compression = compression{method: codec.Gzip.String(), given: true}
	return nil
}

func (o *options) setCompression(v string) error {
	c := compression{given: true}
	c.where, c.method, c.detail, c.hasDetail = codec.ParseOption(v)
	o.compression = c
	return nil
}

// statusInterval is -s in the library's terms, where 0 stands for the default.
func (o *options) statusInterval() time.Duration {
	if o.status == 0 {
		return -1
	}
	return o.status
}

func (o *options) setStatusInterval(v string) error {
	const maxSeconds = (1<<31 - 1) / 1000 // milliseconds fit into a C int
	seconds, err := usage.ParseInt(v, "-s/--status-interval", 0, maxSeconds)
	o.status = time.Duration(seconds) * time.Second
	return err
}

func (o *options) setSyncMethod(v string) error {
	if v == "syncfs" && !durable.SyncfsSupported {
		return usage.Refuse("this build does not support sync method \"%s\"", v)
	}
	return usage.SyncMethod(&o.syncBy)(v)
}
