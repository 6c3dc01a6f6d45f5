package prove

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

// The elements of a JUnit report, as Jenkins, GitLab and the actions of GitHub
// read them.
type (
	junitSuites struct {
		XMLName xml.Name `xml:"testsuites"`
		junitCounts
		Suite junitSuite `xml:"testsuite"`
	}
	junitCounts struct {
		Name     string `xml:"name,attr"`
		Tests    int    `xml:"tests,attr"`
		Failures int    `xml:"failures,attr"`
		Errors   int    `xml:"errors,attr"`
		Time     string `xml:"time,attr"`
	}
	junitSuite struct {
		junitCounts
		Skipped    int             `xml:"skipped,attr"`
		Timestamp  string          `xml:"timestamp,attr"`
		Properties []junitProperty `xml:"properties>property"`
		Cases      []junitCase     `xml:"testcase"`
		SystemErr  string          `xml:"system-err,omitempty"`
	}
	junitProperty struct {
		Name  string `xml:"name,attr"`
		Value string `xml:"value,attr"`
	}
	junitCase struct {
		Name      string        `xml:"name,attr"`
		ClassName string        `xml:"classname,attr"`
		Time      string        `xml:"time,attr"`
		Skipped   *junitSkipped `xml:"skipped"`
		Failure   *junitFailure `xml:"failure"`
		SystemOut string        `xml:"system-out,omitempty"`
	}
	junitSkipped struct {
		Message string `xml:"message,attr,omitempty"`
	}
	junitFailure struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
		Text    string `xml:",chardata"`
	}
)

// WriteJUnit writes the report with one test case for each check, in a class
// named "pgbasin.prove." and the check.
func (r *Report) WriteJUnit(w io.Writer) error {
	counts := junitCounts{
		Name: "pgbasin prove", Tests: len(r.Cases), Failures: r.count(Failed), Time: junitTime(seconds(r.Total)),
	}
	suite := junitSuite{
		junitCounts: counts, Skipped: r.count(Skipped), Timestamp: r.Started.UTC().Format("2006-01-02T15:04:05"),
		Properties: r.properties(), SystemErr: valid(r.Log),
	}
	for _, c := range r.Cases {
		junit := junitCase{
			Name: valid(c.Name()), ClassName: "pgbasin.prove." + string(c.Check), Time: junitTime(seconds(c.Duration)),
		}
		switch c.Status {
		case Failed:
			text := strings.Join(c.Problems, "\n")
			if more := c.Count - int64(len(c.Problems)); more > 0 {
				text += fmt.Sprintf("\n(and %d more)", more)
			}
			junit.Failure = &junitFailure{Message: valid(c.Message()), Type: string(c.Check), Text: valid(text)}
		case Skipped:
			junit.Skipped = &junitSkipped{Message: valid(c.Summary)}
		case Passed:
			junit.SystemOut = valid(c.Summary)
		}
		suite.Cases = append(suite.Cases, junit)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(junitSuites{junitCounts: counts, Suite: suite}); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// properties are the figures of the report.
func (r *Report) properties() []junitProperty {
	all := []junitProperty{{"backup", valid(r.Backup)}}
	add := func(name, value string) {
		if value != "" {
			all = append(all, junitProperty{name, valid(value)})
		}
	}
	for _, path := range r.Incrementals {
		add("incremental", path)
	}
	add("server_version", r.ServerVersion)
	if r.SystemID != 0 {
		add("system_identifier", fmt.Sprint(r.SystemID))
	}
	if p := r.Promise; p.Target != "" {
		add("target", p.String())
	}
	if r.Recovery.Replayed != 0 {
		add("replayed_lsn", r.Recovery.Replayed.String())
		add("timeline", fmt.Sprint(r.Recovery.Timeline))
	}
	if !r.Recovery.Newest.IsZero() {
		add("newest_data", r.Recovery.Newest.UTC().Format("2006-01-02T15:04:05Z"))
		add("data_age_seconds", junitTime(seconds(r.Age())))
	}
	add("restore_seconds", junitTime(seconds(r.Restore)))
	add("recovery_seconds", junitTime(seconds(r.Recover)))
	return all
}

func junitTime(seconds float64) string { return fmt.Sprintf("%.3f", seconds) }

// valid replaces what is no UTF-8: names and messages come in the encoding of
// their database. What XML cannot hold besides is replaced by its encoder.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
