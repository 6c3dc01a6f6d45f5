// Package pgdata reads the small files that say what a data directory or a backup is: PG_VERSION, pg_control, backup_label,
// the archive's backup history files, and tablespace_map.
//
// Everything here works on the contents of a file that the caller has read, keeps no reference to them, and takes them for
// hostile.
package pgdata
