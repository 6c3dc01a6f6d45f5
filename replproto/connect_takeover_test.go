package replproto

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/pgbasin/pgbasin/conninfo"
)

// lateConn finishes its first write only when the answer has been read and
// somebody waits for more: as slow as a busy machine can be.
type lateConn struct {
	net.Conn
	reads   chan struct{} // one per Read
	written bool
}

func (c *lateConn) Read(p []byte) (int, error) {
	c.reads <- struct{}{}
	return c.Conn.Read(p)
}

func (c *lateConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if !c.written {
		c.written = true
		<-c.reads
		<-c.reads
	}
	return n, err
}

// pgconn reads in the background while it writes for long. That reader must
// have ended, and what it read must not be lost, when the connection is used.
func TestBackgroundReadingEndsBeforeTheTakeover(t *testing.T) {
	server, client := net.Pipe()
	defer server.Close()
	late := &lateConn{Conn: client, reads: make(chan struct{}, 100)}
	startup := frame('R', "\x00\x00\x00\x00") + frame('S', "server_version\x0015.18\x00") + frame('S', "integer_datetimes\x00on\x00") + frame('Z', "I")
	early := frame('N', "SWARNING\x00VWARNING\x00C01000\x00Mearly\x00\x00")
	answer := frame('T', "\x00\x01x\x00"+strings.Repeat("\x00", 18)) + frame('D', "\x00\x01\x00\x00\x00\x03abc") + frame('C', "SHOW\x00") + frame('Z', "I")
	go func() {
		buf := make([]byte, 4096)
		if _, err := server.Read(buf); err != nil {
			return
		}
		io.WriteString(server, startup+early)
		if _, err := server.Read(buf); err != nil {
			return
		}
		io.WriteString(server, answer)
		io.Copy(io.Discard, server)
	}()

	given, err := conninfo.Parse("host=h user=u")
	if err != nil {
		t.Fatal(err)
	}
	settings, err := conninfo.Resolve(given, nil)
	if err != nil {
		t.Fatal(err)
	}
	var notices []string
	cfg := &Config{Settings: settings, Notice: func(n *Notice) { notices = append(notices, n.Message) }}
	d, err := newDialer(cfg, "")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s, err := (&attempt{dialer: d, address: address{host: d.hosts[0]}, replication: true}).startup(ctx, late, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := takeOver(ctx, s, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if value, err := c.Show(ctx, "x"); err != nil || value != "abc" {
		t.Errorf("SHOW gives %q, %v", value, err)
	}
	if len(notices) != 1 || notices[0] != "early" {
		t.Errorf("notices %q", notices)
	}
}
