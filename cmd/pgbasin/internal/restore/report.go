package restore

import (
	"strconv"
	"strings"

	"github.com/pgbasin/pgbasin/conninfo"
	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/recoveryconf"
	"github.com/pgbasin/pgbasin/restore"
)

// report is the object that --json prints, for a plan, a result, or a failure.
// What is not known is left out.
type report struct {
	Error *string `json:"error,omitempty"`

	Backup           string   `json:"backup,omitempty"`
	Incrementals     []string `json:"incrementals,omitempty"` // that follow it
	Format           string   `json:"format,omitempty"`
	Version          string   `json:"version,omitempty"`           // major version of the server
	SystemIdentifier string   `json:"system_identifier,omitempty"` // 64 bits: too many for many JSON readers' numbers
	Label            string   `json:"label,omitempty"`
	Timeline         uint32   `json:"timeline,omitempty"`
	StartLSN         string   `json:"start_lsn,omitempty"`
	StopLSN          string   `json:"stop_lsn,omitempty"`

	DataDirectory string               `json:"data_directory,omitempty"`
	WALDirectory  string               `json:"wal_directory,omitempty"`
	Tablespaces   []restore.Tablespace `json:"tablespaces,omitempty"`
	Configuration []confReport         `json:"configuration,omitempty"`
	Warnings      []string             `json:"warnings,omitempty"`

	Bytes *int64 `json:"bytes,omitempty"` // of all files, of a plan as far as they are known

	*planReport
	*resultReport
}

type confReport struct {
	File     string `json:"file"`
	Append   bool   `json:"append"`
	Contents string `json:"contents"`
	Signal   string `json:"signal,omitempty"`
}

type planReport struct {
	BytesExact bool          `json:"bytes_exact"`
	WillVerify bool          `json:"will_verify"`
	WAL        walReport     `json:"wal"`
	Debris     []string      `json:"debris,omitempty"`
	Archives   []archiveInfo `json:"archives"`
}

type archiveInfo struct {
	Name        string `json:"name"`
	Kind        string `json:"kind"`
	OID         uint32 `json:"oid,omitempty"`
	Compression string `json:"compression"`
	StoredBytes int64  `json:"stored_bytes"` // -1 if not known
	Bytes       int64  `json:"bytes"`        // -1 if not known
}

type walReport struct {
	Known     bool     `json:"known"`
	Needed    int64    `json:"needed_segments"`
	InBackup  int64    `json:"in_backup"`
	InArchive int64    `json:"in_archive"`
	Missing   []string `json:"missing"`
}

type resultReport struct {
	Files           int64   `json:"files"`
	Verified        bool    `json:"verified"`
	DurationSeconds float64 `json:"duration_seconds"`
}

// shown is what is written into a configuration file, with the passwords of
// --primary-conninfo hidden.
func (o *options) shown(contents []byte) string {
	primary := o.Recovery.recovery.PrimaryConnInfo
	if primary == "" {
		return string(contents)
	}
	return strings.ReplaceAll(string(contents), recoveryconf.Quote(primary), recoveryconf.Quote(conninfo.Mask(primary)))
}

// newReport fills in what is known; either may be nil.
func (o *options) newReport(p *restore.Plan, result *restore.Result) *report {
	r := new(report)
	if p == nil {
		return r
	}
	r.Backup, r.Incrementals, r.Format, r.Label = p.Backup, p.Incrementals, p.Form.String(), p.Label
	r.Timeline, r.StartLSN, r.StopLSN = p.Timeline, position(p.Start), position(p.Stop)
	r.DataDirectory, r.WALDirectory, r.Tablespaces, r.Warnings = p.DataDir, p.WALDir, p.Tablespaces, p.Warnings
	version, id := p.Version, p.SystemID
	if result != nil {
		version, id = result.Version, result.SystemID
	}
	if version != 0 {
		r.Version = version.String()
	}
	if id != 0 {
		r.SystemIdentifier = strconv.FormatUint(id, 10)
	}
	for _, f := range p.Configuration {
		r.Configuration = append(r.Configuration, confReport{f.Name, f.Append, o.shown(f.Contents), f.Signal})
	}
	return r
}

func position(l lsn.LSN) string {
	if l == 0 {
		return ""
	}
	return l.String()
}

func (r *report) withPlan(p *restore.Plan) *report {
	r.Bytes = &p.Bytes
	w := walReport{p.WAL.Known, p.WAL.Needed, p.WAL.InBackup, p.WAL.InArchive, p.WAL.Missing}
	if w.Missing == nil {
		w.Missing = []string{}
	}
	r.planReport = &planReport{BytesExact: p.BytesKnown, WillVerify: p.Verify, WAL: w, Debris: p.Debris}
	for _, a := range p.Archives {
		r.planReport.Archives = append(r.planReport.Archives,
			archiveInfo{a.Name, a.Kind.String(), a.OID, a.Compression.String(), a.Stored, a.Content})
	}
	return r
}

func (r *report) withResult(result *restore.Result) *report {
	r.Bytes = &result.Bytes
	r.resultReport = &resultReport{result.Files, result.Verified, float64(result.Duration.Milliseconds()) / 1000}
	return r
}

func (r *run) succeed(plan *restore.Plan, result *restore.Result) int {
	if r.o.json {
		return r.p.AnswerJSON(r.o.newReport(plan, result).withResult(result))
	}
	if r.o.verbose {
		r.p.Info("base backup restored")
	}
	return 0
}
