// Package faultproxy stands between a client and a PostgreSQL server, for tests,
// and does to their connections what networks do: cut them, reset them, stall
// them, lose what one side says, cut messages into pieces.
//
// What is to happen is said before, by connection (counted from 0) or for all of
// them, by side, and by a place: a number of bytes, a message of the protocol, or
// the answer to a command. Nothing depends on time, and there is something to wait
// for instead of sleeping: a fault's Struck, the proxy's WaitConnections and
// WaitBytes.
//
//	p := faultproxy.New(t, "127.0.0.1:5432")
//	f := p.On(0, faultproxy.Server, faultproxy.AtAnswer("BASE_BACKUP").Message("d", 40).Plus(7), faultproxy.Reset)
//	... the client connects to p.Addr() ...
//	f.Struck(t)
//
// The proxy knows the framing of messages from the startup packet on. Once a
// connection is encrypted only bytes are known: After works, messages do not come.
//
// It closes sockets of its own. The kernels at both ends go on acknowledging, as
// they do not when a host vanishes; what a client does about silence has to be found
// out above TCP, which is what these tests are for.
package faultproxy
