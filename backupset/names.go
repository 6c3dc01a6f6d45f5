package backupset

import (
	"regexp"
	"strings"

	"github.com/pgbasin/pgbasin/pgdata"
	"github.com/pgbasin/pgbasin/wal"
)

// Names of a backup's files.
const (
	ManifestName      = "backup_manifest"
	LabelName         = "backup_label"
	TablespaceMapName = "tablespace_map"
	VersionName       = "PG_VERSION"
	ControlName       = "global/pg_control"
	TablespaceDir     = "pg_tblspc"

	// RestoreMarker is in a directory that a restore has not finished.
	RestoreMarker = "pgbasin_restore.incomplete"
)

const heldSuffix = ".tmp" // of what has not got its final name yet

// tarName takes the names of a backup's tar files apart. How they are compressed
// is told by their content; another suffix, such as ".old", makes another file.
var tarName = regexp.MustCompile(`^(base|pg_wal|pg_xlog|[1-9][0-9]{0,9})\.(?:tar(?:\.(?:gz|gzip|z|zst|zstd|lz4|xz|bz2))?|tgz)$`)

// archiveOf tells what part of a backup a tar file holds, by its name.
func archiveOf(name string) (k Kind, oid uint32, ok bool) {
	m := tarName.FindStringSubmatch(name)
	if m == nil || strings.HasSuffix(name, heldSuffix) {
		return 0, 0, false
	}
	switch m[1] {
	case "base":
		return Data, 0, true
	case "pg_wal", "pg_xlog":
		return WAL, 0, true
	}
	n, ok := pgdata.ParseOID(m[1])
	return Tablespace, n, ok
}

// tablespaceOf returns the OID in a name pg_tblspc/<oid>, or below it.
func tablespaceOf(name string) (oid uint32, rest string, ok bool) {
	below, ok := strings.CutPrefix(name, TablespaceDir+"/")
	if !ok {
		return 0, "", false
	}
	digits, rest, _ := strings.Cut(below, "/")
	oid, ok = pgdata.ParseOID(digits)
	return oid, rest, ok
}

// isWALDirectory tells the names of the WAL's directory: pg_xlog up to 9.6.
func isWALDirectory(name string) bool { return name == "pg_wal" || name == "pg_xlog" }

// isWALFile tells the names that an archive of WAL has.
func isWALFile(name string) bool {
	name = strings.TrimSuffix(name, wal.PartialSuffix)
	for _, suffix := range []string{".gz", ".lz4", ".zst"} {
		name = strings.TrimSuffix(name, suffix)
	}
	name = strings.TrimSuffix(name, wal.PartialSuffix)
	return wal.IsSegmentName(name) || wal.IsHistoryName(name)
}

// topLevel are the names at the root of a data directory, of all versions from
// 9.1 on.
var topLevel = map[string]bool{
	"PG_VERSION": true, "backup_label": true, "backup_label.old": true, "tablespace_map": true, "tablespace_map.old": true, "backup_manifest": true,
	"base": true, "global": true, "pg_tblspc": true, "pg_wal": true, "pg_xlog": true, "pg_xact": true, "pg_clog": true,
	"pg_commit_ts": true, "pg_dynshmem": true, "pg_logical": true, "pg_multixact": true, "pg_notify": true, "pg_replslot": true,
	"pg_serial": true, "pg_snapshots": true, "pg_stat": true, "pg_stat_tmp": true, "pg_subtrans": true, "pg_twophase": true,
	"pg_log": true, "log": true, "current_logfiles": true, "pg_hba.conf": true, "pg_ident.conf": true, "postgresql.conf": true, "postgresql.auto.conf": true,
	"postmaster.opts": true, "postmaster.pid": true, "recovery.conf": true, "recovery.done": true, "recovery.signal": true, "standby.signal": true,
}

// decisive are those of them that a directory of a data directory never holds.
var decisive = map[string]bool{
	"PG_VERSION": true, "backup_label": true, "tablespace_map": true, "base": true, "global": true, "pg_tblspc": true, "pg_wal": true, "pg_xlog": true,
	"pg_xact": true, "pg_clog": true, "pg_multixact": true, "pg_subtrans": true, "pg_twophase": true, "pg_notify": true, "pg_serial": true,
	"pg_snapshots": true, "pg_stat": true, "pg_stat_tmp": true, "pg_replslot": true, "pg_dynshmem": true, "pg_logical": true, "pg_commit_ts": true,
	"postgresql.conf": true, "postgresql.auto.conf": true, "postmaster.opts": true, "postmaster.pid": true, "pg_hba.conf": true, "pg_ident.conf": true,
	"backup_manifest": true,
}
