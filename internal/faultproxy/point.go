package faultproxy

import (
	"fmt"
	"strings"
)

// Side is who sends: a direction of a connection.
type Side int

const (
	Server Side = iota
	Client
)

func (s Side) String() string { return [...]string{"server", "client"}[s] }

func (s Side) other() Side { return 1 - s }

// Any stands for every connection.
const Any = -1

// A Point is a place in what one side sends on a connection. The zero value is
// before its first byte.
type Point struct {
	command string // counted from the answer to the first command that begins so; "" = from the start
	kind    string // of the message that is counted; "" = bytes alone
	n       int    // which of those messages, from 1
	plus    int64  // bytes further
}

// After is behind so many bytes.
func After(bytes int64) Point { return Point{plus: bytes} }

// AtMessage is before the n-th message, from 1, of a kind: its type byte, and for
// CopyData, if wanted, the first byte of the data as well ("dw" is WAL, "dn" the
// beginning of an archive). The kind of a query goes on with its text: "QSHOW".
func AtMessage(kind string, n int) Point { return Point{}.Message(kind, n) }

// AtAnswer is before the first byte that the server sends after the client sent
// the first command that begins with these words.
func AtAnswer(command string) Point { return Point{command: command} }

// Message is before the n-th message of a kind from p on. p has no message yet.
func (p Point) Message(kind string, n int) Point {
	p.kind, p.n = kind, n
	return p
}

// Plus is so many bytes further, in the message, for example: five bytes are its
// header.
func (p Point) Plus(bytes int64) Point {
	p.plus += bytes
	return p
}

func (p Point) String() string {
	var b strings.Builder
	if p.command != "" {
		fmt.Fprintf(&b, "answer to %s, ", p.command)
	}
	if p.kind != "" {
		fmt.Fprintf(&b, "message %q %d, ", p.kind, p.n)
	}
	fmt.Fprintf(&b, "+%d", p.plus)
	return b.String()
}

// place is a Point on its way to becoming a number of bytes.
type place struct {
	Point
	counts bool  // the command was sent, if there is one
	seen   int   // messages of that kind so far
	known  bool  // at is valid
	at     int64 // bytes of this side before the place
}

func newPlace(p Point) place {
	w := place{Point: p, counts: p.command == ""}
	w.known, w.at = w.counts && p.kind == "", p.plus
	return w
}

// message tells of one that begins after so many bytes.
func (w *place) message(kind string, at int64) {
	if !w.counts || w.known || !strings.HasPrefix(kind, w.kind) {
		return
	}
	if w.seen++; w.seen == w.n {
		w.known, w.at = true, at+w.plus
	}
}

// sent tells of a command that the client sends while the server has sent so many
// bytes.
func (w *place) sent(command string, at int64) {
	if w.counts || !strings.HasPrefix(command, w.command) {
		return
	}
	w.counts = true
	if w.kind == "" {
		w.known, w.at = true, at+w.plus
	}
}
