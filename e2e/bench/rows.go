//go:build linux || darwin

package main

// row is one comparison. Both programs get the same options, pgbasin under the
// name of the other one; or pgbasin restores a backup, and tar unpacks what is in
// base.tar.gz of the same data.
type row struct {
	work    string
	args    []string // without the connection and -D; of a restore those of its backup
	stdout  bool     // the backup goes to standard output, which is /dev/null
	restore []string // the options of the restore; nil for a backup
	goals   goals
}

// goals are upper bounds of the ratios of pgbasin to the reference; 0 is none.
type goals struct{ wall, size float64 }

var rows = []row{
	{
		work: "tar to /dev/null", args: []string{"-Ft", "-X", "none"}, stdout: true,
		goals: goals{wall: 1.05},
	},
	{
		work: "plain", args: []string{"-Fp", "-X", "stream"},
		goals: goals{wall: 1},
	},
	{
		work: "plain, not synced", args: []string{"-Fp", "-X", "stream", "--no-sync"},
		goals: goals{wall: 1},
	},
	{
		work: "tar.gz, level 6", args: []string{"-Ft", "-X", "none", "-Z", "client-gzip:6"},
		goals: goals{wall: 0.4, size: 1.05},
	},
	{
		work: "tar.zst", args: []string{"-Ft", "-X", "none", "-Z", "client-zstd"},
		goals: goals{wall: 0.8},
	},
	{
		work: "tar.lz4", args: []string{"-Ft", "-X", "none", "-Z", "client-lz4"},
	},
	{
		work: "restore tar.gz", args: []string{"-Ft", "-X", "none", "-Z", "client-gzip:6"}, restore: []string{"--no-sync"},
		goals: goals{wall: 0.5},
	},
	{
		work: "restore tar.zst", args: []string{"-Ft", "-X", "none", "-Z", "client-zstd"}, restore: []string{"--no-sync"},
		goals: goals{wall: 0.25},
	},
	{
		work: "restore .gz, synced", args: []string{"-Ft", "-X", "none", "-Z", "client-gzip:6"}, restore: []string{},
		goals: goals{wall: 0.5},
	},
	{
		work: "restore .zst, synced", args: []string{"-Ft", "-X", "none", "-Z", "client-zstd"}, restore: []string{},
		goals: goals{wall: 0.25},
	},
}

// peakRows are the backups whose peak memory has a bound, whatever the size of
// the database.
var peakRows = []row{
	{work: "pgbasin backup -Fp", args: []string{"-Fp"}},
	{work: "pgbasin backup -Ft", args: []string{"-Ft"}},
}

// peakBound is in bytes. Of several runs the highest peak counts.
const peakBound = 64 << 20
