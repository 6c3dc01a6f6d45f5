// Package combine writes a chain of backups, a full one and the incremental ones
// that follow it, as one full backup: a data directory, or a directory of tar
// files. It does what pg_combinebackup does, with backups in any form.
//
// Everything is checked before anything is written, each file of the backups is
// compared with its manifest on the way, and the result gets the file that makes
// it a backup last, when it is durable. A run that fails removes what it made.
package combine
