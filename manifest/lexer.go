package manifest

import (
	"fmt"
	"io"
	"unicode/utf8"
)

const (
	bufferSize = 64 << 10
	// maxToken limits what a manifest can make a Reader hold at once. The
	// longest path with every byte written as a six-byte escape fits.
	maxToken = 32 << 10
	// maxEmptyReads is how often in a row an io.Reader may return nothing.
	maxEmptyReads = 100
)

type tokenKind uint8

const (
	tokenEnd tokenKind = iota
	tokenString
	tokenWord // number, true, false, null
	tokenObjectStart
	tokenObjectEnd
	tokenArrayStart
	tokenArrayEnd
	tokenComma
	tokenColon
)

// lexer cuts a stream into JSON tokens, as strict and with the same messages as
// the lexer of PostgreSQL (src/common/jsonapi.c). It reads its source to the
// end, so that a tee in front of it sees every byte, and feeds all of it to a
// digest.
type lexer struct {
	src    io.Reader
	digest digest

	buf        []byte
	start      int // of the current token in buf
	pos, end   int // what is not yet lexed: buf[pos:end]
	base       int64
	line       int64 // of pos, from 1
	srcErr     error // io.EOF included
	emptyReads int

	kind  tokenKind
	at    place
	value []byte // a string's value or a word's text; valid until the next call to next

	unescaped []byte
}

func newLexer(src io.Reader) lexer {
	return lexer{src: src, digest: newDigest(), buf: make([]byte, bufferSize), line: 1}
}

// fill makes at least one more byte available behind end, keeping the current
// token. It returns false at the end of the source, and with an error when the
// source has one or the token has grown too long.
func (x *lexer) fill() (bool, error) {
	if x.end-x.start > maxToken {
		return false, x.tooLong()
	}
	if x.start > 0 {
		copy(x.buf, x.buf[x.start:x.end])
		x.base += int64(x.start)
		x.pos -= x.start
		x.end -= x.start
		x.start = 0
	}
	for x.srcErr == nil {
		n, err := x.src.Read(x.buf[x.end:])
		if n < 0 || n > len(x.buf)-x.end {
			return false, fmt.Errorf("could not read backup manifest: read returned an impossible count of %d bytes", n)
		}
		x.srcErr = err
		if n > 0 {
			x.emptyReads = 0
			x.digest.write(x.buf[x.end : x.end+n])
			x.end += n
			return true, nil
		}
		if x.emptyReads++; err == nil && x.emptyReads >= maxEmptyReads {
			x.srcErr = io.ErrNoProgress
		}
	}
	if x.srcErr != io.EOF {
		return false, fmt.Errorf("could not read backup manifest: %w", x.srcErr)
	}
	return false, nil
}

// here is the place of the next byte to be lexed.
func (x *lexer) here() place { return place{x.line, x.base + int64(x.pos)} }

// raw is the current token as it stands in the manifest.
func (x *lexer) raw() []byte { return x.buf[x.start:x.pos] }

func (x *lexer) invalidToken() error {
	return x.at.parseErrorAt("Token \"%s\" is invalid.", printable(x.raw()))
}

func (x *lexer) tooLong() error {
	return x.at.parseErrorAt("token is longer than %d bytes", maxToken)
}

// cutOff is invalidToken where the reason is that the manifest ends.
func (x *lexer) cutOff() error {
	err := x.at.parseErrorAt("Token \"%s\" is invalid.", printable(x.raw()))
	err.cause = io.ErrUnexpectedEOF
	return err
}

// expected is the error for a current token that the grammar does not allow.
func (x *lexer) expected(what string) error {
	if x.kind == tokenEnd {
		err := x.at.parseErrorAt("The input string ended unexpectedly.")
		err.cause = io.ErrUnexpectedEOF
		return err
	}
	return x.at.parseErrorAt("Expected %s, but found \"%s\".", what, printable(x.raw()))
}

// next makes the next token the current one.
func (x *lexer) next() error {
	for {
		for x.pos < x.end {
			c := x.buf[x.pos]
			if c == '\n' {
				x.line++
			} else if c != ' ' && c != '\t' && c != '\r' {
				return x.token(c)
			}
			x.pos++
		}
		x.start = x.pos
		x.at = x.here()
		if more, err := x.fill(); err != nil {
			return err
		} else if !more {
			x.kind, x.value = tokenEnd, nil
			return nil
		}
	}
}

func (x *lexer) token(c byte) error {
	x.start = x.pos
	x.at = x.here()
	x.pos++
	switch c {
	case '{':
		x.kind = tokenObjectStart
	case '}':
		x.kind = tokenObjectEnd
	case '[':
		x.kind = tokenArrayStart
	case ']':
		x.kind = tokenArrayEnd
	case ',':
		x.kind = tokenComma
	case ':':
		x.kind = tokenColon
	default:
		return x.longToken(c)
	}
	return nil
}

// longToken lexes the rest of a token of more than one byte, which begins with c.
func (x *lexer) longToken(c byte) (err error) {
	switch {
	case c == '"':
		x.kind = tokenString
		err = x.string()
	case c == '-' || '0' <= c && c <= '9':
		x.kind = tokenWord
		err = x.number(c)
	default:
		x.kind = tokenWord
		err = x.word(c)
	}
	// A token that came in one piece has not met the limit in fill.
	if x.pos-x.start > maxToken {
		return x.tooLong()
	}
	return err
}

// plain tells which bytes of a string stand for themselves.
var plain = func() (t [256]bool) {
	for c := range t {
		t[c] = c >= ' ' && c != '"' && c != '\\'
	}
	return t
}()

// skipPlain moves to the first byte that does not stand for itself, or to the
// end of the manifest.
func (x *lexer) skipPlain() error {
	for {
		buf, i := x.buf[:x.end], x.pos
		for i < len(buf) && plain[buf[i]] {
			i++
		}
		x.pos = i
		if i < len(buf) {
			return nil
		}
		if more, err := x.fill(); err != nil || !more {
			return err
		}
	}
}

// peek returns the next byte; ok is false at the end of the manifest.
func (x *lexer) peek() (c byte, ok bool, err error) {
	if x.pos == x.end {
		if more, err := x.fill(); err != nil || !more {
			return 0, false, err
		}
	}
	return x.buf[x.pos], true, nil
}

// string lexes the rest of a string, whose opening quote is behind pos.
func (x *lexer) string() error {
	if err := x.skipPlain(); err != nil {
		return err
	}
	if x.pos < x.end && x.buf[x.pos] == '"' {
		x.pos++
		x.value = x.buf[x.start+1 : x.pos-1]
		return nil
	}
	return x.escapedString()
}

// escapedString goes on at the first byte of a string that does not stand for
// itself.
func (x *lexer) escapedString() error {
	out := append(x.unescaped[:0], x.buf[x.start+1:x.pos]...)
	high := rune(-1) // first half of a surrogate pair, waiting for the second
	lone := func() error {
		return x.here().parseErrorAt("Unicode low surrogate must follow a high surrogate.")
	}
	for {
		c, ok, err := x.peek()
		if err != nil {
			return err
		}
		if !ok {
			return x.cutOff()
		}
		if c != '\\' && high != -1 {
			return lone()
		}
		switch {
		case c == '"':
			x.pos++
			x.unescaped, x.value = out, out
			return nil
		case c == '\\':
			x.pos++
			c, ok, err = x.peek()
			if err != nil {
				return err
			}
			if !ok {
				return x.cutOff()
			}
			if c != 'u' {
				if high != -1 {
					return lone()
				}
				c, err = x.simpleEscape(c)
				if err != nil {
					return err
				}
				out = append(out, c)
				continue
			}
			x.pos++
			r, err := x.fourHex()
			if err != nil {
				return err
			}
			switch {
			case r >= 0xD800 && r < 0xDC00:
				if high != -1 {
					return x.here().parseErrorAt("Unicode high surrogate must not follow a high surrogate.")
				}
				high = r
				continue
			case r >= 0xDC00 && r < 0xE000:
				if high == -1 {
					return lone()
				}
				r = (high-0xD800)<<10 + (r - 0xDC00) + 0x10000
				high = -1
			case high != -1:
				return lone()
			case r == 0:
				return x.here().parseErrorAt("\\u0000 cannot be converted to text.")
			}
			out = utf8.AppendRune(out, r)
		case c < ' ':
			return x.here().parseErrorAt("Character with value 0x%02x must be escaped.", c)
		default:
			// The current token stays where it is relative to start, while
			// fill may move both.
			from := x.pos - x.start
			if err := x.skipPlain(); err != nil {
				return err
			}
			out = append(out, x.buf[x.start+from:x.pos]...)
		}
	}
}

// simpleEscape consumes the character after a backslash and returns what it
// stands for.
func (x *lexer) simpleEscape(c byte) (byte, error) {
	x.pos++
	switch c {
	case '"', '\\', '/':
		return c, nil
	case 'b':
		return '\b', nil
	case 'f':
		return '\f', nil
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	}
	// The message shows one whole character, so far as there is one.
	from := x.pos - 1 - x.start
	for n := sequenceLength(c) - 1; n > 0; n-- {
		if _, ok, err := x.peek(); err != nil {
			return 0, err
		} else if !ok {
			break
		}
		x.pos++
	}
	return 0, x.here().parseErrorAt("Escape sequence \"\\%s\" is invalid.", printable(x.buf[x.start+from:x.pos]))
}

// sequenceLength is the length in bytes that the first byte of a UTF-8 sequence
// announces.
func sequenceLength(c byte) int {
	switch {
	case c >= 0xF8 || c < 0xC0:
		return 1
	case c >= 0xF0:
		return 4
	case c >= 0xE0:
		return 3
	}
	return 2
}

func (x *lexer) fourHex() (rune, error) {
	var r rune
	for range 4 {
		c, ok, err := x.peek()
		if err != nil {
			return 0, err
		}
		if !ok {
			return 0, x.cutOff()
		}
		d := hexDigit(c)
		if d < 0 {
			return 0, x.here().parseErrorAt("\"\\u\" must be followed by four hexadecimal digits.")
		}
		r = r<<4 | rune(d)
		x.pos++
	}
	return r, nil
}

// hexDigit returns the value of a hexadecimal digit, or -1.
func hexDigit(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// digits consumes decimal digits and returns how many there were.
func (x *lexer) digits() (int, error) {
	n := 0
	for {
		c, ok, err := x.peek()
		if err != nil || !ok || c < '0' || c > '9' {
			return n, err
		}
		x.pos++
		n++
	}
}

// accept consumes the next byte if it is one of two.
func (x *lexer) accept(a, b byte) (bool, error) {
	c, ok, err := x.peek()
	if err != nil || !ok || c != a && c != b {
		return false, err
	}
	x.pos++
	return true, nil
}

// number lexes the rest of a number that begins with c. What looks like a word
// behind it belongs to the token, and makes it invalid.
func (x *lexer) number(c byte) error {
	bad := false
	if c == '-' {
		first, ok, err := x.peek()
		if err != nil {
			return err
		}
		if ok && first >= '0' && first <= '9' {
			c = first
			x.pos++
		} else {
			bad = true
		}
	}
	if c >= '1' && c <= '9' {
		if _, err := x.digits(); err != nil {
			return err
		}
	}
	if yes, err := x.accept('.', '.'); err != nil {
		return err
	} else if yes {
		n, err := x.digits()
		if err != nil {
			return err
		}
		bad = bad || n == 0
	}
	if yes, err := x.accept('e', 'E'); err != nil {
		return err
	} else if yes {
		if _, err := x.accept('+', '-'); err != nil {
			return err
		}
		n, err := x.digits()
		if err != nil {
			return err
		}
		bad = bad || n == 0
	}
	if n, err := x.wordBytes(); err != nil {
		return err
	} else if bad || n > 0 {
		return x.invalidToken()
	}
	x.value = x.raw()
	return nil
}

// wordBytes consumes what can be part of a word and returns how much there was.
func (x *lexer) wordBytes() (int, error) {
	n := 0
	for {
		c, ok, err := x.peek()
		if err != nil || !ok || !isWordByte(c) {
			return n, err
		}
		x.pos++
		n++
	}
}

func isWordByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c >= 0x80
}

// word lexes the rest of a token that begins with c and is none of the others.
func (x *lexer) word(c byte) error {
	if !isWordByte(c) {
		return x.invalidToken()
	}
	if _, err := x.wordBytes(); err != nil {
		return err
	}
	switch string(x.raw()) {
	case "true", "false", "null":
		x.value = x.raw()
		return nil
	}
	return x.invalidToken()
}
