// Package manifest reads PostgreSQL's backup_manifest as a stream and compares
// the files of a backup with it while both are still arriving.
//
// A backup_manifest (server version 13 and later) is a JSON document that lists
// every file which the server sent, with its size and checksum. Format version
// 1 is written by 13 to 16, version 2 by 17 and later. Neither a Reader nor a
// Ledger holds the list in memory: a manifest of a million files takes no more
// of it than one of ten.
package manifest
