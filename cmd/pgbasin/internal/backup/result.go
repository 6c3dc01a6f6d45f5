package backup

import (
	"strconv"
	"strings"

	"github.com/pgbasin/pgbasin/basebackup"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/program"
)

// report is the object that --json prints. What a failed backup has no value
// for is left out; Error and SQLState are there after a failure alone.
type report struct {
	Error    *string `json:"error,omitempty"`
	SQLState *string `json:"sqlstate,omitempty"` // "" if the error is not the server's

	*resultReport
	Destination string `json:"destination,omitempty"` // directory, "-" or target
	Format      string `json:"format,omitempty"`      // "plain" or "tar"; of a target none
}

type resultReport struct {
	SystemIdentifier string             `json:"system_identifier"` // 64 bits: too many for many JSON readers' numbers
	ServerVersion    string             `json:"server_version"`
	Label            string             `json:"label"`
	Timeline         uint32             `json:"timeline"`
	StartLSN         string             `json:"start_lsn"`
	StopLSN          string             `json:"stop_lsn"`
	StopTimeline     uint32             `json:"stop_timeline"`
	DurationSeconds  float64            `json:"duration_seconds"`
	Bytes            int64              `json:"bytes"`
	WALBytes         int64              `json:"wal_bytes"`
	Files            int64              `json:"files"`
	Manifest         bool               `json:"manifest"`
	Verified         bool               `json:"verified"`
	Incremental      bool               `json:"incremental"`
	FromLSN          string             `json:"incremental_from_lsn,omitempty"` // of an incremental backup, if its backup_label was seen
	FromTimeline     uint32             `json:"incremental_from_timeline,omitempty"`
	Attempts         int                `json:"attempts,omitempty"`   // of a backup that could be resumed
	KeptBytes        int64              `json:"kept_bytes,omitempty"` // of files that earlier attempts brought
	Tablespaces      []tablespaceReport `json:"tablespaces"`
}

type tablespaceReport struct {
	OID      uint32 `json:"oid"`      // 0 = the data directory
	Location string `json:"location"` // on the server; "" for the data directory
	Path     string `json:"path"`     // "" if it was not put here
	Bytes    int64  `json:"bytes"`
}

func (o *options) newReport(result *basebackup.Result) *report {
	r := &report{Destination: o.directory.Text}
	switch {
	case o.target.Given:
		r.Destination = o.target.Text
	case o.format == 'p':
		r.Format = "plain"
	case o.format == 't':
		r.Format = "tar"
	}
	if result == nil {
		return r
	}
	r.resultReport = &resultReport{
		SystemIdentifier: strconv.FormatUint(result.SystemID, 10),
		ServerVersion:    result.ServerVersion,
		Label:            result.Label,
		Timeline:         result.Timeline,
		StartLSN:         result.Start.String(),
		StopLSN:          result.Stop.String(),
		StopTimeline:     result.StopTimeline,
		DurationSeconds:  float64(result.Duration.Milliseconds()) / 1000,
		Bytes:            result.Bytes,
		WALBytes:         result.WALBytes,
		Files:            result.Files,
		Manifest:         result.Manifest,
		Verified:         result.Verified,
		Incremental:      result.Incremental,
		FromTimeline:     result.FromTimeline,
		Attempts:         result.Attempts,
		KeptBytes:        result.Kept,
		Tablespaces:      make([]tablespaceReport, 0, len(result.Tablespaces)),
	}
	if result.From != 0 {
		r.FromLSN = result.From.String()
	}
	for _, t := range result.Tablespaces {
		r.Tablespaces = append(r.Tablespaces, tablespaceReport{t.OID, t.Location, t.Path, t.Bytes})
	}
	return r
}

// print writes the object as one line, on standard output unless that holds the
// backup.
func (r *report) print(p *program.Program, o *options) int {
	if !o.toStdout() {
		return p.AnswerJSON(r)
	}
	line, err := program.JSONLine(r)
	if err != nil {
		p.Error(err.Error())
		return 1
	}
	p.Console.Line(strings.TrimSuffix(line, "\n"))
	return 0
}

func (o *options) succeed(p *program.Program, result *basebackup.Result) int {
	if !o.json {
		return 0
	}
	return o.newReport(result).print(p, o)
}

// fail prints a failure and returns the exit status. result is nil unless the
// data has arrived.
func (o *options) fail(p *program.Program, result *basebackup.Result, f failure) int {
	f.print(p)
	if o.json {
		r := o.newReport(result)
		r.Error, r.SQLState = &f.text, &f.sqlState
		r.print(p, o)
	}
	return 1
}
