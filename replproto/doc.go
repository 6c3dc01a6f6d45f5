// Package replproto speaks PostgreSQL's streaming replication protocol: it
// connects as a physical walsender's client, runs the replication commands of
// servers 9.1 and later, and hands out base backup archives and WAL as they
// arrive. It is the only package of the project that touches the network.
package replproto
