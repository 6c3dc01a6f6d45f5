package combine

import (
	"strconv"

	"github.com/pgbasin/pgbasin/combine"
)

// report is the object that --json prints, for a result or a failure. What is
// not known is left out.
type report struct {
	Error *string `json:"error,omitempty"`

	Output           string   `json:"output,omitempty"`
	Format           string   `json:"format,omitempty"`
	DryRun           bool     `json:"dry_run,omitempty"`
	Backups          []string `json:"backups,omitempty"`
	Version          string   `json:"version,omitempty"`           // major version of the server
	SystemIdentifier string   `json:"system_identifier,omitempty"` // 64 bits: too many for many JSON readers' numbers
	Label            string   `json:"label,omitempty"`
	Timeline         uint32   `json:"timeline,omitempty"`
	StartLSN         string   `json:"start_lsn,omitempty"`

	Tablespaces []tablespace `json:"tablespaces,omitempty"`

	*outcome
}

type tablespace struct {
	OID     uint32 `json:"oid"`
	Old     string `json:"old,omitempty"`
	New     string `json:"new,omitempty"`
	InPlace bool   `json:"in_place"`
}

type outcome struct {
	Files           int64   `json:"files"`
	Bytes           int64   `json:"bytes"`
	Verified        bool    `json:"verified"`
	DurationSeconds float64 `json:"duration_seconds"`
}

func newReport(o *combine.Options, result *combine.Result) *report {
	r := &report{
		Output: result.Output, Format: "plain", DryRun: o.DryRun, Backups: o.Backups, Version: result.Version.String(),
		SystemIdentifier: strconv.FormatUint(result.SystemID, 10), Label: result.Label, Timeline: result.Timeline, StartLSN: result.Start.String(),
	}
	if o.Format == combine.Tar {
		r.Format = "tar"
	}
	for _, t := range result.Tablespaces {
		r.Tablespaces = append(r.Tablespaces, tablespace(t))
	}
	if !o.DryRun {
		r.outcome = &outcome{result.Files, result.Bytes, result.Verified, float64(result.Duration.Milliseconds()) / 1000}
	}
	return r
}
