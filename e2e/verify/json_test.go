//go:build linux

package verify

import (
	"encoding/json"
	"strings"
	"testing"
)

// result is what --json prints.
type result struct {
	Verified         bool
	Error            string
	Backup, Format   string
	ManifestVersion  int    `json:"manifest_version"`
	SystemIdentifier string `json:"system_identifier"`
	Files, Bytes     int64
	WAL              []struct {
		Timeline uint32
		Start    string `json:"start_lsn"`
		End      string `json:"end_lsn"`
		Error    string
	}
	Pages *struct {
		Enabled                                 bool
		Checked, New, Replaced, Unknown, Broken int64
	}
	Problems     []struct{ Kind, Path, Archive, Message, Detail string }
	ProblemCount int64 `json:"problem_count"`
}

// asJSON runs "pgbasin verify --json".
func asJSON(t *testing.T, args ...string) (result, outcome) {
	t.Helper()
	o := run(t, 0, pgbasin, append([]string{"verify", "--json"}, args...)...)
	if strings.Count(o.stdout, "\n") != 1 {
		t.Fatalf("--json prints %q and %q", o.stdout, o.stderr)
	}
	var r result
	if err := json.Unmarshal([]byte(o.stdout), &r); err != nil {
		t.Fatalf("%v: %q", err, o.stdout)
	}
	return r, o
}

// verifiedJSON is asJSON of a good backup.
func verifiedJSON(t *testing.T, args ...string) result {
	t.Helper()
	r, o := asJSON(t, args...)
	if o.status != 0 || !r.Verified || r.ProblemCount != 0 || len(r.Problems) != 0 || r.Error != "" {
		t.Fatalf("%+v", o)
	}
	return r
}

func TestJSONTellsWhatWasChecked(t *testing.T) {
	plain, inTar := verifiedJSON(t, plainBackup), verifiedJSON(t, tarBackup)
	if plain.Format != "plain" || inTar.Format != "tar" {
		t.Errorf("formats %q and %q", plain.Format, inTar.Format)
	}
	for _, r := range []result{plain, inTar} {
		if r.Files < 900 || r.Bytes < 20<<20 || r.ManifestVersion != 1 || len(r.SystemIdentifier) < 19 {
			t.Errorf("%+v", r)
		}
		if len(r.WAL) != 1 || r.WAL[0].Timeline != 1 || !strings.HasPrefix(r.WAL[0].Start, "0/") || r.WAL[0].Error != "" {
			t.Errorf("WAL %+v", r.WAL)
		}
	}
}

func TestJSONNamesEachProblem(t *testing.T) {
	b := cloneOf(t, plainBackup)
	b.flip(table, 0)
	b.remove(index)
	b.flip(b.segment(), b.walOffset()+30)
	r, o := asJSON(t, b.dir)
	if o.status != 1 || r.Verified || r.ProblemCount != 3 || len(r.Problems) != 3 {
		t.Fatalf("%+v", o)
	}
	for i, want := range []struct{ kind, path string }{{"missing", index}, {"checksum", table}, {"wal", ""}} {
		if p := r.Problems[i]; p.Kind != want.kind || p.Path != want.path || !strings.Contains(o.stderr, p.Message) {
			t.Errorf("%+v, want %+v", p, want)
		}
	}
	if d := r.Problems[2].Detail; !strings.Contains(d, "0/") || d != r.WAL[0].Error {
		t.Errorf("detail %q, WAL %+v", d, r.WAL)
	}
	b.write("backup_manifest", nil)
	if r, o := asJSON(t, b.dir); o.status != 1 || r.Verified || !strings.HasPrefix(r.Error, "could not parse backup manifest: ") {
		t.Errorf("%+v", o)
	}
}
