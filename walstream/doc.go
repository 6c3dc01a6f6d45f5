// Package walstream receives write-ahead log over a replication connection,
// cuts it into segments, and tells the server how far it is durable.
//
// A [Receiver] streams from a connection into a [Sink]. [Directory] keeps
// segments as files, for a backup or for an archive; [Tar] makes them members of
// a backup's archive. What is reported to the server as flushed is what a sink's
// Sync has returned for, never more, and never an apply position.
package walstream
