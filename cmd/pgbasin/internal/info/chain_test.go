package info

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// madeUp writes the smallest thing that is taken for a plain backup. from is the
// start of the backup that it builds on, "" for a full one.
func madeUp(t *testing.T, dir, name, start, from string) {
	t.Helper()
	label := fmt.Sprintf("START WAL LOCATION: %s (file 000000010000000000000002)\nCHECKPOINT LOCATION: %s\nBACKUP METHOD: streamed\nSTART TIME: 2026-01-31 12:00:%s UTC\nLABEL: %s\nSTART TIMELINE: 1\n",
		start, start, start[len(start)-2:], name)
	if from != "" {
		label += fmt.Sprintf("INCREMENTAL FROM LSN: %s\nINCREMENTAL FROM TLI: 1\n", from)
	}
	for file, content := range map[string]string{"PG_VERSION": "18\n", "backup_label": label, "base/1/x": "", "pg_tblspc/x": "", "pg_wal/x": ""} {
		path := filepath.Join(dir, name, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAnIncrementalBackupIsShownWithWhatItBuildsOn(t *testing.T) {
	dir := t.TempDir()
	madeUp(t, dir, "full", "0/2000010", "")
	madeUp(t, dir, "monday", "0/2000020", "0/2000010")
	madeUp(t, dir, "tuesday", "0/2000030", "0/2000020")
	madeUp(t, dir, "orphan", "0/2000040", "0/1000099")

	path := func(name string) string { return filepath.Join(dir, name) }
	_, out, errs := info(t, path("tuesday"))
	want := "needs:              " + path("full") + "\n                    " + path("monday") + "\n"
	if !strings.Contains(out, want) {
		t.Errorf("no %q in\n%s%s", want, out, errs)
	}
	_, out, _ = info(t, path("full"))
	if strings.Contains(out, "needs:") || strings.Contains(out, "missing:") {
		t.Errorf("a full backup needs others:\n%s", out)
	}
	_, out, _ = info(t, path("orphan"))
	if want := "missing:            the backup that started at 0/1000099 on timeline 1, which is not beside it\n"; !strings.Contains(out, want) {
		t.Errorf("no %q in\n%s", want, out)
	}
	_, out, errs = info(t, dir)
	for _, want := range []string{
		"incremental on full, monday\n", "incremental on full\n", "incremental; missing: the backup that started at 0/1000099 on timeline 1\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s%s", want, out, errs)
		}
	}
	if err := os.WriteFile(path("monday/backup_manifest.tmp"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, out, _ = info(t, path("tuesday"))
	if want := path("monday") + ", which is incomplete\n"; !strings.Contains(out, want) {
		t.Errorf("no %q in\n%s", want, out)
	}
	_, out, _ = info(t, "--json", path("tuesday"))
	var got backup
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	if got.Chain == nil || fmt.Sprint(got.Chain.Backups) != fmt.Sprint([]string{path("full"), path("monday"), path("tuesday")}) || got.Chain.Missing != nil {
		t.Errorf("chain %+v in %s", got.Chain, out)
	}
}

func TestAChainThatLeadsInACircleEnds(t *testing.T) {
	dir := t.TempDir()
	madeUp(t, dir, "one", "0/2000010", "0/2000020")
	madeUp(t, dir, "two", "0/2000020", "0/2000010")
	status, out, errs := info(t, filepath.Join(dir, "two"))
	if status != 0 || !strings.Contains(out, "missing:            the backup that started at 0/2000020") {
		t.Errorf("status %d\n%s%s", status, out, errs)
	}
}
