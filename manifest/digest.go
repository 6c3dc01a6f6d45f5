package manifest

import (
	"bytes"
	"crypto/sha256"
	"encoding"
	"fmt"
	"hash"
)

// digest computes the checksum that a manifest states about itself: the SHA-256
// of everything before its last line. Which line is the last is only known at
// the end, so the state of the hash after each of the two newest newlines is
// kept, rather than the bytes that follow them: a line may be of any length.
type digest struct {
	hash     hash.Hash
	newlines int64
	last     byte
	// State of the hash after the newest newline, and after the one before it.
	newest, previous []byte
}

func newDigest() digest { return digest{hash: sha256.New()} }

func (d *digest) write(p []byte) {
	if len(p) == 0 {
		return
	}
	d.last = p[len(p)-1]
	end := bytes.LastIndexByte(p, '\n')
	if end >= 0 {
		d.newlines += int64(bytes.Count(p, []byte{'\n'}))
		// Only the newest two newlines of p can still matter.
		if before := bytes.LastIndexByte(p[:end], '\n'); before >= 0 {
			d.hash.Write(p[:before+1])
			d.mark()
			p, end = p[before+1:], end-before-1
		}
		d.hash.Write(p[:end+1])
		d.mark()
		p = p[end+1:]
	}
	d.hash.Write(p)
}

// mark notes that the hash stands right after a newline.
func (d *digest) mark() {
	d.newest, d.previous = d.previous, d.newest
	state, err := d.hash.(encoding.BinaryAppender).AppendBinary(d.newest[:0])
	if err != nil {
		panic(fmt.Sprintf("manifest: state of SHA-256: %v", err)) // documented never to fail
	}
	d.newest = state
}

// sum is the checksum of everything before the last line. It needs at least two
// newlines, the second of them at the very end.
func (d *digest) sum() []byte {
	if err := d.hash.(encoding.BinaryUnmarshaler).UnmarshalBinary(d.previous); err != nil {
		panic(fmt.Sprintf("manifest: state of SHA-256: %v", err)) // written by mark
	}
	return d.hash.Sum(nil)
}
