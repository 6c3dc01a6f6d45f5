package verify

import (
	"strconv"

	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/words"
	"github.com/pgbasin/pgbasin/verify"
)

// result is the object that --json prints.
type result struct {
	Verified bool   `json:"verified"`        // nothing is wrong
	Error    string `json:"error,omitempty"` // why it could not be judged

	Backup           string        `json:"backup"`
	Format           string        `json:"format,omitempty"`            // "plain" or "tar"
	ManifestVersion  int           `json:"manifest_version,omitempty"`  // not there if there is no manifest
	SystemIdentifier string        `json:"system_identifier,omitempty"` // 64 bits: too many for many JSON readers' numbers
	Files            int64         `json:"files"`                       // that the manifest lists, or without one that there are, but for those to be ignored
	Bytes            int64         `json:"bytes"`                       // that were compared with checksums
	WAL              []walResult   `json:"wal"`
	Pages            *pagesResult  `json:"pages,omitempty"` // with --checksums
	Problems         []problemLine `json:"problems"`        // the first 1000
	ProblemCount     int64         `json:"problem_count"`   // of all
}

type walResult struct {
	Timeline uint32 `json:"timeline"`
	Start    string `json:"start_lsn"`
	End      string `json:"end_lsn"`
	Error    string `json:"error,omitempty"`
}

type pagesResult struct {
	Enabled  bool  `json:"enabled"` // the cluster has page checksums
	Checked  int64 `json:"checked"`
	New      int64 `json:"new"`      // without content and checksum
	Replaced int64 `json:"replaced"` // with a wrong checksum, but recovery takes them from WAL
	Unknown  int64 `json:"unknown"`  // with a wrong checksum that could not be judged
	Broken   int64 `json:"broken"`
}

type problemLine struct {
	Kind    string `json:"kind"`
	Path    string `json:"path,omitempty"`
	Archive string `json:"archive,omitempty"`
	Message string `json:"message"`
	Detail  string `json:"detail,omitempty"`
}

// printJSON writes the object as one line on standard output and returns the
// exit status.
func (r *run) printJSON(report *verify.Report, err error) int {
	out := result{
		Verified:        err == nil && report.OK(),
		Backup:          r.o.verify.Path,
		ManifestVersion: report.ManifestVersion,
		Files:           report.Files,
		Bytes:           report.Bytes,
		WAL:             []walResult{},
		Problems:        []problemLine{},
		ProblemCount:    report.Total,
	}
	if err != nil {
		out.Error = words.Of(err)
	}
	if report.Format != verify.Detect {
		out.Format = report.Format.String()
	}
	if report.SystemID != 0 {
		out.SystemIdentifier = strconv.FormatUint(report.SystemID, 10)
	}
	for _, w := range report.WAL {
		line := walResult{w.Timeline, w.Start.String(), w.End.String(), ""}
		if w.Err != nil {
			line.Error = words.Of(w.Err)
		}
		out.WAL = append(out.WAL, line)
	}
	if report.Pages != nil {
		pages := pagesResult(*report.Pages)
		out.Pages = &pages
	}
	for _, p := range report.Problems {
		line := problemLine{Kind: p.Kind.String(), Path: p.Path, Archive: p.Archive, Message: words.Of(p)}
		if p.Kind == verify.BrokenWAL && p.Err != nil {
			line.Detail = words.Of(p.Err)
		}
		out.Problems = append(out.Problems, line)
	}
	return r.p.AnswerJSON(out)
}
