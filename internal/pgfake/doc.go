// Package pgfake is a PostgreSQL server for tests, for what a real one cannot
// be made to do: answer as 9.1 does, lie about a length, send a notice inside
// a COPY, or die at a chosen byte.
//
// There are three ways to use it, from the most literal to the most automatic:
//
//   - Start runs a Script for each accepted connection: steps that read like
//     the protocol, in order, and that fail the test when the client does
//     something else.
//   - Serve answers replication commands the way a whole server of some version
//     does, from a Cluster, with one thing changed by its Tamper or Faults.
//   - Replay serves recorded connections of a real 9.5 server.
//
// Package faultproxy stands between a client and a server, real or not, and cuts or
// stalls.
//
// Everything is closed, and every goroutine has ended, when the test's cleanup
// functions have run. Facts about messages and result sets come from the
// server's sources (walsender.c, basebackup.c, repl_gram.y of the version in
// question) and from the recordings in testdata.
package pgfake
