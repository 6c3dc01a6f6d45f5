package replproto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"testing/iotest"
)

func frame(typ byte, body string) string {
	return string(typ) + string(binary.BigEndian.AppendUint32(nil, uint32(len(body)+4))) + body
}

// The gate must deliver the same bytes however they arrive, and must not take
// more from the connection than the message that ends the startup.
func TestGateDeliversWholeStartupAndNothingMore(t *testing.T) {
	startup := frame('v', "\x00\x03\x00\x00\x00\x00\x00\x00") + frame('R', "\x00\x00\x00\x00") + frame('S', "a\x00b\x00") +
		frame('N', "SWARNING\x00Mtext\x00\x00") + frame('K', "12345678") + frame('Z', "I")
	const after = "the rest"
	for _, split := range []func(io.Reader) io.Reader{
		func(r io.Reader) io.Reader { return r }, iotest.OneByteReader, iotest.HalfReader, iotest.DataErrReader,
	} {
		in := bytes.NewReader([]byte(startup + after))
		notices := 0
		g := &gate{r: split(in), policy: &authPolicy{}, notice: func(*Notice) { notices++ }}
		var got []byte
		buf := make([]byte, 4096)
		for !g.deliver || g.left > 0 || len(g.pending) > 0 {
			n, err := g.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, buf[:n]...)
		}
		if string(got) != startup || notices != 1 {
			t.Errorf("got %q, %d notices", got, notices)
		}
		if rest, err := io.ReadAll(g); string(rest) != after || err != nil {
			t.Errorf("after the startup %q, %v", rest, err)
		}
	}
}

func TestGateErrorsAreSticky(t *testing.T) {
	g := &gate{r: bytes.NewReader([]byte(frame('R', "\x00\x00\x00\x03"))), policy: &authPolicy{}}
	for range 2 {
		if _, err := g.Read(make([]byte, 10)); !errors.Is(err, errNoPassword) {
			t.Errorf("got %v", err)
		}
	}
}

func FuzzGate(f *testing.F) {
	f.Add([]byte(frame('R', "\x00\x00\x00\x00") + frame('S', "a\x00b\x00") + frame('Z', "I")))
	f.Add([]byte(frame('R', "\x00\x00\x00\x0aSCRAM-SHA-256\x00\x00")))
	f.Add([]byte(frame('E', "SFATAL\x00C28000\x00Mno\x00\x00")))
	f.Add([]byte("Eold error\n\x00"))
	f.Add([]byte("R\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, p := range []*authPolicy{{}, {password: "secret", encrypted: true, channelBinding: "require"}} {
			g := &gate{r: bytes.NewReader(data), policy: p}
			out, err := io.ReadAll(g)
			if !bytes.HasPrefix(data, out) {
				t.Errorf("%q is delivered as %q", data, out)
			}
			if err == nil && !g.deliver {
				t.Errorf("the end of %q is taken for a good one", data)
			}
		}
	})
}
