package pgdata_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/pgbasin/pgbasin/internal/seeds"
	"github.com/pgbasin/pgbasin/pgdata"
)

const (
	label95 = "START WAL LOCATION: 0/4000028 (file 000000010000000000000004)\nCHECKPOINT LOCATION: 0/4000060\nBACKUP METHOD: streamed\n" +
		"BACKUP FROM: master\nSTART TIME: 2016-02-13 11:29:46 KST\nLABEL: lab: \"x\" mode\n"
	label18 = "START WAL LOCATION: A/FF000028 (file 0000000B0000000A000000FF)\nCHECKPOINT LOCATION: A/FF000080\nBACKUP METHOD: streamed\n" +
		"BACKUP FROM: standby\nSTART TIME: 2026-11-22 11:06:19 UTC\nLABEL: pg_basebackup base backup\nSTART TIMELINE: 11\n" +
		"INCREMENTAL FROM LSN: A/2000028\nINCREMENTAL FROM TLI: 10\n"
	history14 = "START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\nSTOP WAL LOCATION: 0/3000138 (file 000000010000000000000003)\n" +
		"CHECKPOINT LOCATION: 0/2000060\nBACKUP METHOD: pg_start_backup\nBACKUP FROM: primary\nSTART TIME: 2021-07-01 12:00:00 +0530\n" +
		"LABEL: \nSTART TIMELINE: 1\nSTOP TIME: 2021-07-01 12:01:30 -03\nSTOP TIMELINE: 1\n"
)

func TestLabelsOfAllVersions(t *testing.T) {
	for name, c := range map[string]struct {
		parse func([]byte) (*pgdata.BackupLabel, error)
		text  string
		want  pgdata.BackupLabel
	}{
		"9.5": {pgdata.ParseBackupLabel, label95, pgdata.BackupLabel{
			Start: 0x4000028, StartFile: "000000010000000000000004", StartTimeline: 1, Checkpoint: 0x4000060, Method: "streamed", From: "master",
			Label: `lab: "x" mode`, StartTimeText: "2016-02-13 11:29:46 KST",
		}},
		"18, incremental": {pgdata.ParseBackupLabel, label18, pgdata.BackupLabel{
			Start: 0xA_FF000028, StartFile: "0000000B0000000A000000FF", StartTimeline: 11, Checkpoint: 0xA_FF000080, Method: "streamed", From: "standby",
			Label: "pg_basebackup base backup", StartTimeText: "2026-11-22 11:06:19 UTC", StartTime: time.Date(2026, 11, 22, 11, 6, 19, 0, time.UTC),
			IncrementalFromLSN: 0xA_02000028, IncrementalFromTLI: 10,
		}},
		"history of 14": {pgdata.ParseBackupHistory, history14, pgdata.BackupLabel{
			Start: 0x2000028, StartFile: "000000010000000000000002", StartTimeline: 1, Checkpoint: 0x2000060, Method: "pg_start_backup", From: "primary",
			StartTimeText: "2021-07-01 12:00:00 +0530", StartTime: time.Date(2021, 7, 1, 6, 30, 0, 0, time.UTC),
			Stop: 0x3000138, StopFile: "000000010000000000000003", StopTimeline: 1,
			StopTimeText: "2021-07-01 12:01:30 -03", StopTime: time.Date(2021, 7, 1, 15, 1, 30, 0, time.UTC),
		}},
		// As far as a server needs it.
		"two lines": {pgdata.ParseBackupLabel, strings.Join(strings.SplitAfter(label95, "\n")[:2], ""), pgdata.BackupLabel{
			Start: 0x4000028, StartFile: "000000010000000000000004", StartTimeline: 1, Checkpoint: 0x4000060,
		}},
		// Servers let a label hold newlines; the lines after its first belong to it, whatever they say.
		"label with newlines": {pgdata.ParseBackupLabel, strings.Replace(label95, "mode\n", "mode\nLABEL: no\nBACKUP FROM: standby\n\n: \nSTOP\n", 1), pgdata.BackupLabel{
			Start: 0x4000028, StartFile: "000000010000000000000004", StartTimeline: 1, Checkpoint: 0x4000060, Method: "streamed", From: "master",
			Label: `lab: "x" mode`, StartTimeText: "2016-02-13 11:29:46 KST",
		}},
		"CR LF after the lines that matter": {pgdata.ParseBackupLabel, strings.Replace(strings.ReplaceAll(label95, "\n", "\r\n"), "\r\n", "\n", 2), pgdata.BackupLabel{
			Start: 0x4000028, StartFile: "000000010000000000000004", StartTimeline: 1, Checkpoint: 0x4000060, Method: "streamed", From: "master",
			Label: "lab: \"x\" mode\r", StartTimeText: "2016-02-13 11:29:46 KST",
		}},
	} {
		got, err := c.parse([]byte(c.text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !reflect.DeepEqual(*got, c.want) {
			t.Errorf("%s: %+v, want %+v", name, *got, c.want)
		}
		if err == nil && got.Incremental() != strings.Contains(name, "incremental") {
			t.Errorf("%s: incremental is %v", name, got.Incremental())
		}
	}
}

func TestLabelsThatNoServerReadsAreRefused(t *testing.T) {
	replace := func(old, text string) string { return strings.Replace(label18, old, text, 1) }
	for name, c := range map[string]struct{ text, says string }{
		"empty":                   {"", "no line START WAL LOCATION"},
		"one line":                {strings.SplitAfter(label18, "\n")[0], "no line CHECKPOINT LOCATION"},
		"no end of the last line": {strings.TrimSuffix(strings.Join(strings.SplitAfter(label18, "\n")[:2], ""), "\n"), "has no end"},
		"CR LF":                   {strings.ReplaceAll(label18, "\n", "\r\n"), "line 1: the line ends in CR LF, which the server refuses"},
		"CR LF in line 2":         {replace("FF000080\n", "FF000080\r\n"), "line 2: the line ends in CR LF"},
		"byte order mark":         {"\uFEFF" + label18, "expected START WAL LOCATION"},
		"empty line first":        {"\n" + label18, "expected START WAL LOCATION"},
		"order":                   {"CHECKPOINT LOCATION: 0/1\n" + label18, "expected START WAL LOCATION"},
		"history as label":        {history14, "expected CHECKPOINT LOCATION"},
		"start zero":              {replace("A/FF000028", "0/0"), "0/0 is not a position"},
		"start not hexadecimal":   {replace("A/FF000028", "A/XY"), "could not parse"},
		"start too long":          {replace("A/FF000028", "A/FF0000281"), "could not parse"},
		"no file":                 {replace(" (file 0000000B0000000A000000FF)", ""), "no name of a WAL file"},
		"short file":              {replace("0000000B0000000A000000FF", "0000000B"), "no name of a WAL file"},
		"file not closed":         {replace("000000FF)", "000000FF"), "no name of a WAL file"},
		"file with a path":        {replace("0000000B0000000A000000FF", "../../../../../../../../x"), "no name of a WAL file"},
		"timeline zero":           {replace("0000000B0000000A000000FF", "000000000000000A000000FF"), "no timeline"},
		"other timeline":          {replace("TIMELINE: 11", "TIMELINE: 10"), "timeline 10, but the start is on timeline 11"},
		"timeline not a number":   {replace("TIMELINE: 11", "TIMELINE: 1x"), "is not a timeline"},
		"checkpoint":              {replace("A/FF000080", ""), "could not parse"},
		"incremental from":        {replace("A/2000028", "A"), "could not parse"},
		"too large":               {label18 + strings.Repeat("x\n", 40000), "too many"},
	} {
		l, err := pgdata.ParseBackupLabel([]byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.says) || !strings.HasPrefix(err.Error(), "backup_label: ") {
			t.Errorf("%s: %+v, %v", name, l, err)
		}
	}
	if _, err := pgdata.ParseBackupHistory([]byte(label95)); err == nil || !strings.HasPrefix(err.Error(), "backup history file: line 2 ") {
		t.Errorf("a label taken for a history file: %v", err)
	}
}

// Only UTC, GMT and numbers tell the instant; anything else leaves a span that holds it.
func TestTimesOfLabels(t *testing.T) {
	local := time.Date(2016, 2, 13, 11, 29, 46, 0, time.UTC)
	for text, c := range map[string]struct {
		exact bool
		east  time.Duration // for exact times
		ok    bool
	}{
		"2016-02-13 11:29:46 UTC":    {true, 0, true},
		"2016-02-13 11:29:46 GMT":    {true, 0, true},
		"2016-02-13 11:29:46 +09":    {true, 9 * time.Hour, true},
		"2016-02-13 11:29:46 -0330":  {true, -(3*time.Hour + 30*time.Minute), true},
		"2016-02-13 11:29:46 +05:45": {true, 5*time.Hour + 45*time.Minute, true},
		"2016-02-13 11:29:46 KST":    {ok: true},
		"2016-02-13 11:29:46 CEST":   {ok: true},
		"2016-02-13 11:29:46":        {ok: true},
		"2016-02-13 11:29":           {},
		"2016-02-30 11:29:46 UTC":    {},
		"":                           {},
		"yesterday":                  {},
	} {
		l, err := pgdata.ParseBackupLabel([]byte(strings.Replace(label95, "2016-02-13 11:29:46 KST", text, 1)))
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		earliest, latest, ok := l.StartSpan()
		if ok != c.ok || l.StartTimeText != text {
			t.Errorf("%q: ok %v, text %q", text, ok, l.StartTimeText)
		}
		switch want := local.Add(-c.east); {
		case c.exact && (!l.StartTime.Equal(want) || !earliest.Equal(want) || !latest.Equal(want)):
			t.Errorf("%q: %v, from %v to %v", text, l.StartTime, earliest, latest)
		case !c.exact && !l.StartTime.IsZero():
			t.Errorf("%q is taken for exactly %v", text, l.StartTime)
		case !c.exact && ok && (!earliest.Equal(local.Add(-14*time.Hour)) || !latest.Equal(local.Add(12*time.Hour))):
			t.Errorf("%q: from %v to %v", text, earliest, latest)
		}
	}
}

func FuzzParseBackupLabel(f *testing.F) {
	seeds.Require(f, 13)
	for _, text := range []string{label95, label18, history14, strings.ReplaceAll(label95, "\n", "\r\n"), ""} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, parse := range []func([]byte) (*pgdata.BackupLabel, error){pgdata.ParseBackupLabel, pgdata.ParseBackupHistory} {
			l, err := parse(b)
			if err != nil {
				continue
			}
			if l.Start == 0 || l.StartTimeline == 0 || l.Checkpoint == 0 || len(l.StartFile) != 24 || strings.Contains(l.Label, "\n") {
				t.Fatalf("%q is read as %+v", b, l)
			}
			if earliest, latest, ok := l.StartSpan(); ok && latest.Before(earliest) || !l.StartTime.IsZero() && !l.StartTime.Equal(latest) {
				t.Fatalf("%q started at %v, from %v to %v", b, l.StartTime, earliest, latest)
			}
		}
	})
}
