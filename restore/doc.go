// Package restore lays out a data directory from a stored base backup, so that
// a server can be started on it: files, tablespaces, WAL and the configuration
// of recovery, by the backup's server version. It works offline.
//
// Prepare reads the backup, decides where everything goes and refuses what
// cannot work; it writes nothing. Plan.Run carries the plan out. Until every
// file is complete, compared with the backup's manifest and durable, the
// directory cannot be started: global/pg_control has another name, and a marker
// file says what the directory is. A restore that fails removes what it made.
package restore
