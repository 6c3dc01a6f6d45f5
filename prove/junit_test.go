package prove

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

// sample is a report with everything in it that needs care.
func sample() *Report {
	began := time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	return &Report{
		Backup: "/backups/<last> & \"best\"", Started: began, ServerVersion: "15.18", SystemID: 7710902998162987622,
		Promise:  Promise{Target: "time", Value: "2026-11-22 02:00:00+00"},
		Recovery: Recovery{Consistent: 0x2000100, Replayed: 0x3000000, Timeline: 2, Stopped: "recovery stopping before commit", Newest: began.Add(-90 * time.Second)},
		Restore:  1500 * time.Millisecond, Recover: 250 * time.Millisecond, Total: 3 * time.Second,
		Log: "LOG:  a line\x00 with \x1b[31mwhat\xff is no XML\n",
		Cases: []*Case{
			{Check: CheckRestore, Status: Passed, Duration: 1500 * time.Millisecond, Summary: "12 files"},
			{Check: CheckAssert, Database: "app", Subject: "select '<&>' = \"x\"", Status: Failed, Duration: time.Millisecond, Problems: []string{"the assertion returned false", "more\xfe"}, Count: 7},
			{Check: CheckDump, Status: Skipped, Summary: "restore failed"},
		},
	}
}

func TestJUnitReportsAreWhatReadersExpect(t *testing.T) {
	var b bytes.Buffer
	if err := sample().WriteJUnit(&b); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/junit.xml")
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("the report is\n%s\nand not\n%s", b.String(), want)
	}
	// Readers refuse the whole report for one byte that is not XML.
	for d := xml.NewDecoder(&b); ; {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func TestJSONIsOneLineThatSaysWhatIsNotKnown(t *testing.T) {
	text, err := json.Marshal(sample())
	if err != nil {
		t.Fatal(err)
	}
	if bytes.ContainsAny(text, "\n") {
		t.Error("more than one line")
	}
	for _, want := range []string{
		`"ok":false`, `"system_identifier":"7710902998162987622"`, `"last_commit":null`, `"data_age_seconds":90`, `"replayed_lsn":"0/3000000"`,
		`"target":{"kind":"time","value":"2026-11-22 02:00:00+00","stopped":"recovery stopping before commit"}`, `"problem_count":7`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s lacks %s", text, want)
		}
	}
	text, err = json.Marshal(&Report{})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), `"ok":false,"backup":"","started":"0001-01-01T00:00:00Z","server_version":null,"system_identifier":null,"timeline":null,"target":null`) {
		t.Errorf("an empty report is %s", text)
	}
}
