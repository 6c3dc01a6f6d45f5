// Package walstream receives write-ahead log over a replication connection,
// cuts it into segments, and tells the server how far it is durable.
//
// An [Archiver] keeps an archive of a cluster's log in a directory, for months:
// it finds where to go on, connects again after losses, follows timelines, and
// waits while a disk is full. What it uses for each connection is a [Receiver],
// which streams into a [Sink], once: [Directory] keeps segments as files, for a
// backup or for an archive; [Compressed] compresses them; [Tar] makes them members
// of a backup's archive. What is reported to the server as flushed is what a
// sink's Sync has returned for, never more, and never an apply position.
package walstream
