// Package basebackup takes one base backup: it asks a server for it, checks
// every file against the server's manifest as it passes, streams the WAL that
// the backup needs beside it, and makes the whole durable under its final name.
package basebackup
