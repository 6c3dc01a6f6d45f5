package restore

import (
	"path"
	"strings"

	"github.com/pgbasin/pgbasin/recoveryconf"
)

// staleFiles are files at the root of a data directory that say something of
// the server which ran on it, or of an earlier recovery. The server leaves the
// first group out of its own base backups (basebackup.c, excludeFiles), copies
// made by hand have them.
var staleFiles = map[string]bool{
	"postmaster.pid": true, "postmaster.opts": true,
	"postgresql.auto.conf.tmp": true, "current_logfiles.tmp": true, "current_logfiles": true,
	"backup_label.old": true, "tablespace_map.old": true,

	"recovery.done":             true,
	recoveryconf.RecoveryConf:   true,
	recoveryconf.RecoverySignal: true,
	recoveryconf.StandbySignal:  true,
	"promote":                   true, "fallback_promote": true, // what is left of a promotion would be one
}

// staleContents are directories whose contents are of one run of a server
// (basebackup.c, excludeDirContents). The directories themselves must be there.
var staleContents = []string{"pg_stat_tmp", "pg_replslot", "pg_dynshmem", "pg_notify", "pg_serial", "pg_snapshots", "pg_subtrans"}

// logs are the directories that log_directory usually names.
var logs = []string{"pg_log", "log"}

// stale tells what belongs to the server that was copied and not to the
// cluster. byHand is set for copies that were not made by a server: these have
// its logs.
func stale(name string, byHand bool) bool {
	if staleFiles[name] {
		return true
	}
	base := path.Base(name)
	// Temporary files and tables' relation cache (basebackup.c).
	if strings.HasPrefix(base, "pgsql_tmp") || strings.HasPrefix(base, "pg_internal.init") {
		return true
	}
	top, _, below := strings.Cut(name, "/")
	if !below {
		return false
	}
	for _, dir := range staleContents {
		if top == dir {
			return true
		}
	}
	for _, dir := range logs {
		if byHand && top == dir {
			return true
		}
	}
	return false
}
