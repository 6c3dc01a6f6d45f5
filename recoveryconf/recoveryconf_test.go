package recoveryconf_test

import (
	"fmt"
	"testing"

	"github.com/pgbasin/pgbasin/recoveryconf"
)

func TestQuoteDoublesWhatTheServerWouldRead(t *testing.T) {
	for _, c := range []struct{ value, want string }{
		{"", `''`},
		{"plain", `'plain'`},
		{"host='/tmp' password='a\\'b'", `'host=''/tmp'' password=''a\\''b'''`},
		{`C:\data`, `'C:\\data'`},
		{"two\nlines", `'two\nlines'`},
		{"not\\nnewline", `'not\\nnewline'`},
		{"naïve # = ;", `'naïve # = ;'`},
	} {
		if got := recoveryconf.Quote(c.value); got != c.want {
			t.Errorf("Quote(%q) = %s, want %s", c.value, got, c.want)
		}
	}
}

func TestStandbyFilesFollowTheServerVersion(t *testing.T) {
	params := recoveryconf.Primary("user=u host='/tmp'", "slot_1")
	const lines = "primary_conninfo = 'user=u host=''/tmp'''\nprimary_slot_name = 'slot_1'\n"
	for _, c := range []struct {
		version int
		want    recoveryconf.Files
	}{
		{90500, recoveryconf.Files{Name: "recovery.conf", Contents: []byte("standby_mode = 'on'\n" + lines)}},
		{110022, recoveryconf.Files{Name: "recovery.conf", Contents: []byte("standby_mode = 'on'\n" + lines)}},
		{120000, recoveryconf.Files{Name: "postgresql.auto.conf", Append: true, Contents: []byte(lines), Signal: "standby.signal"}},
		{180004, recoveryconf.Files{Name: "postgresql.auto.conf", Append: true, Contents: []byte(lines), Signal: "standby.signal"}},
	} {
		if got := recoveryconf.Standby(c.version, params); fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("Standby(%d) = %+v, want %+v", c.version, got, c.want)
		}
	}
	if len(params) != 2 {
		t.Errorf("Standby changed its argument: %v", params)
	}
}

func TestNoSlotNoLine(t *testing.T) {
	if got := string(recoveryconf.Primary("user=u", "").Render()); got != "primary_conninfo = 'user=u'\n" {
		t.Errorf("got %q", got)
	}
}
