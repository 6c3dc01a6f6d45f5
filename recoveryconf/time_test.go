package recoveryconf_test

import (
	"strings"
	"testing"
	"time"

	"github.com/pgbasin/pgbasin/recoveryconf"
)

// targetTimes are times, and whether ParseTime reads them. The server test of the same table reads them with many time zones and
// date styles.
var targetTimes = []struct {
	text string
	ok   bool
}{
	{"2016-02-13", true},
	{"2016-02-13 UTC", true},
	{"2016-02-13 11:50", true},
	{"2016-2-3 1:50", true},
	{"2016-02-13 11:50:00", true},
	{"  2016-02-13   11:50:00  ", true},
	{"2016-02-13T11:50:00", true},
	{"2016-02-13t11:50:00z", true},
	{"2016-02-13 11:50:00.123456789", true},
	{"2016-02-13 11:50:00.9999999", true},
	{"2016-02-13 11:50:00.5+09", true},
	{"2016-02-13 11:50:00 +9", true},
	{"2016-02-13 11:50:00+0930", true},
	{"2016-02-13 11:50:00+930", true},
	{"2016-02-13 11:50:00-09:30", true},
	{"2016-02-13 11:50:00-09:30:15", true},
	{"2016-02-13 11:50:00+15:59:59", true},
	{"2016-02-13 11:50:00Z", true},
	{"2016-02-13 11:50:00 GMT", true},
	{"2016-02-13 11:50:00 zulu", true},
	{"2016-02-13 11:50:00 KST", true},
	{"2016-02-13 11:50:00PST", true},
	{"2016-02-13 11:50:00 Asia/Seoul", true},
	{"2016-02-13 11:50:00 America/Argentina/Buenos_Aires", true},
	{"2016-02-13 11:50:00 Etc/GMT+5", true},
	{"2016-02-13 11:50:00 Pacific/Kiritimati", true},
	{"2016-02-13 24:00:00", true},
	{"2016-02-13 23:59:60", true},
	{"2016-02-29 00:00:00+14", true},
	{"0001-01-01 00:00:00", true},
	{"9999-12-31 23:59:59.999999", true},
	{"13-FEB-16 11:50:00", true},
	{"13-Feb-2016 11:50:00 KST", true},
	{"3 september 2016 11:50+01", true},
	{"03-Sept-99 11:50", true},
	{"31-DEC-32", true},
	{"32-JAN-16", true},
	{"2016-02-13 11:50:00 PM", false},
	{"2016-02-13 11:50:00 BC", false},
	{"Feb 13 2016 11:50:00", false},
	{"02/13/2016 11:50:00 UTC", false},
	{"20160213T115000Z", false},
	{"Sat Feb 13 11:50:00 2016 KST", false},
	{"2016.044", false},
	{"J2457432", false},
	{"2016-02-13 11:50:00 UTC+3", false},
	{"2016-02-13 115000", false},
}

func TestTimesAreCheckedAndRead(t *testing.T) {
	for _, c := range targetTimes {
		r := recoveryconf.Recovery{RestoreCommand: "x", Target: recoveryconf.Target{Time: c.text}}
		if err := r.Check(90500); err != nil {
			t.Errorf("%q: %v", c.text, err)
		}
		if _, _, ok := recoveryconf.ParseTime(c.text); ok != c.ok {
			t.Errorf("ParseTime(%q) is ok: %v", c.text, ok)
		}
	}
	for _, text := range noTimes {
		r := recoveryconf.Recovery{RestoreCommand: "x", Target: recoveryconf.Target{Time: text}}
		if err := r.Check(180000); err == nil || !strings.HasPrefix(err.Error(), "target-time ") {
			t.Errorf("%q: %v", text, err)
		}
		if _, _, ok := recoveryconf.ParseTime(text); ok {
			t.Errorf("ParseTime(%q) is ok", text)
		}
	}
}

// styled are those that servers read with some date styles only.
var styled = []string{"03-Sept-99 11:50", "31-DEC-32", "32-JAN-16", "02/13/2016 11:50:00 UTC"}

// noTimes are refused by Check and by servers.
var noTimes = []string{
	"2016-02-30", "2015-02-29 00:00", "2016-00-01", "2016-01-00", "0000-01-01", "2016-01-01 24:00:01", "2016-01-01 25:00", "2016-01-01 00:60",
	"2016-01-01 00:00:61", "2016-01-01 00:00+16", "2016-01-01 00:00-1600", "31-APR-2016", "31-APR-33", "noon",
}

func TestExactTimes(t *testing.T) {
	want := time.Date(2016, 2, 13, 2, 50, 0, 250_000_000, time.UTC)
	for _, text := range []string{
		"2016-02-13 11:50:00.25+09", "2016-02-13T02:50:00.25Z", "2016-02-12 16:50:00.25-1000", "2016-02-13 02:50:00.25 utc", "13-Feb-2016 11:50:00.25 +09:00",
	} {
		earliest, latest, ok := recoveryconf.ParseTime(text)
		if !ok || !earliest.Equal(want) || !latest.Equal(want) {
			t.Errorf("%s is from %v to %v, %v", text, earliest, latest, ok)
		}
	}
}

func TestTimesWithoutAZoneAreSpans(t *testing.T) {
	for text, want := range map[string][2]time.Time{
		"2016-02-13 11:50:00": {time.Date(2016, 2, 12, 21, 50, 0, 0, time.UTC), time.Date(2016, 2, 13, 23, 50, 0, 0, time.UTC)},
		"2016-02-13 KST":      {time.Date(2016, 2, 12, 10, 0, 0, 0, time.UTC), time.Date(2016, 2, 13, 12, 0, 0, 0, time.UTC)},
		// The year is 16, or 13 with a DateStyle of YMD.
		"13-FEB-16 12:00": {time.Date(2013, 2, 15, 22, 0, 0, 0, time.UTC), time.Date(2016, 2, 14, 0, 0, 0, 0, time.UTC)},
	} {
		earliest, latest, ok := recoveryconf.ParseTime(text)
		if !ok || !earliest.Equal(want[0]) || !latest.Equal(want[1]) {
			t.Errorf("%s is from %v to %v, %v", text, earliest, latest, ok)
		}
	}
}

func FuzzParseTime(f *testing.F) {
	for _, c := range targetTimes {
		f.Add(c.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		earliest, latest, ok := recoveryconf.ParseTime(text)
		if !ok {
			return
		}
		if latest.Before(earliest) {
			t.Fatalf("%q is from %v to %v", text, earliest, latest)
		}
		if again, _, ok := recoveryconf.ParseTime(earliest.Format("2006-01-02 15:04:05.999999999Z07:00")); earliest.Year() > 0 && earliest.Year() < 10000 && (!ok || !again.Equal(earliest)) {
			t.Fatalf("%q begins at %v, which is read as %v", text, earliest, again)
		}
	})
}
