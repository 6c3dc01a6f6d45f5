package program

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestAServerThatTalksForeverDoesNotFillTheLog(t *testing.T) {
	var out bytes.Buffer
	c := NewConsole(&out)
	at := time.Unix(1000, 0)
	c.notices.now = func() time.Time { return at }
	say := func(n int) (lines []string) {
		out.Reset()
		for i := range n {
			c.Notice(fmt.Sprint("NOTICE:  ", i))
		}
		return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	}
	const muted = "WARNING: the server sends too many messages; not all of them are shown"
	if lines := say(30_000); len(lines) != noticeBurst+1 || lines[0] != "NOTICE:  0" || lines[noticeBurst] != muted {
		t.Errorf("%d lines, the last is %q", len(lines), lines[len(lines)-1])
	}
	if lines := say(1000); len(lines) != 1 || lines[0] != "" {
		t.Errorf("a second warning: %q", lines)
	}
	at = at.Add(3500 * time.Millisecond)
	if lines := say(1000); len(lines) != 3 || lines[2] != "NOTICE:  2" {
		t.Errorf("after three seconds: %q", lines)
	}
	at = at.Add(24 * time.Hour)
	if lines := say(30_000); len(lines) != noticeBurst+1 || lines[noticeBurst] != muted {
		t.Errorf("after a day: %d lines", len(lines))
	}
}

func TestALongNoticeIsCutAtTheEndOfACharacter(t *testing.T) {
	var out bytes.Buffer
	c := NewConsole(&out)
	c.Notice("x" + strings.Repeat("é", 1<<20))
	if got := out.String(); len(got) > noticeLength+5 || !strings.HasSuffix(got, "é ...\n") {
		t.Errorf("%d bytes, ending in %q", len(got), got[len(got)-10:])
	}
	out.Reset()
	c.Notice("short")
	if out.String() != "short\n" {
		t.Errorf("%q", out.String())
	}
}
