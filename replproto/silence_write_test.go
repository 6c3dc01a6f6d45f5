package replproto

import (
	"errors"
	"net"
	"testing"
	"time"
)

func TestAServerThatTakesNothingIsGivenUp(t *testing.T) {
	nc, other := net.Pipe()
	defer nc.Close()
	defer other.Close() // which never reads
	c := &Conn{wire: newWire(nc), timeout: 50 * time.Millisecond}
	err := c.sendCopyData(make([]byte, 34))
	var silent *SilenceError
	if !errors.As(err, &silent) || !errors.Is(err, ErrConnectionLost) {
		t.Fatal(err)
	}
	if want := "could not send data to server: server took nothing for 50ms, the connection is taken for lost"; err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
}
