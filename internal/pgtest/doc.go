// Package pgtest gives tests, the demo and the benchmark real PostgreSQL servers, made for one run and removed after it.
//
// A test needs two lines:
//
//	s := pgtest.Start(t, 18)
//	conn := s.Conn(t)
//
// What has no testing.TB uses Launch, and Close at the end. Binaries are found by Installation. A server that cannot be had
// fails the test with a sentence that says what to install; nothing is skipped.
//
// A new server is a copy of a data directory that initdb made once per server version and set of initdb options. Servers
// started with the same major and the same options therefore have the same system identifier, unless FreshInitdb is asked for.
package pgtest
