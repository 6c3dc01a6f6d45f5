// Package prove shows that a backup restores: it restores it into a scratch
// directory, starts a server on it that nothing else can reach, waits until the
// server has recovered, checks the data, and reports.
//
// The server takes no network connections and no setting of the cluster it was
// a part of, except for those that change what its data mean (see carriedOver):
// it archives nothing, connects to nobody, follows no publication, runs no
// worker of an extension. It ends with the program that started it.
//
// Servers are started on Unix only.
package prove
