package restore_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/pgbasin/pgbasin/"

// offline are the packages that work on what is stored.
var offline = []string{
	"restore", "verify", "inspect", "combine", "chain", "backupset", "walarchive",
	"incremental", "manifest", "tarstream", "codec", "recoveryconf", "pgdata", "wal",
}

// dependencies are all packages that each of some packages is built of.
func dependencies(t *testing.T, names []string) map[string][]string {
	t.Helper()
	args := []string{"list", "-f", `{{.ImportPath}} {{join .Deps " "}}`}
	for _, name := range names {
		args = append(args, module+name)
	}
	out, err := exec.Command("go", args...).Output()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string][]string)
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		all[strings.TrimPrefix(fields[0], module)] = fields[1:]
	}
	if len(all) != len(names) {
		t.Fatalf("%d packages, want %q", len(all), names)
	}
	return all
}

func TestWhatIsOfflineNeedsNoNetwork(t *testing.T) {
	for name, needed := range dependencies(t, offline) {
		for _, path := range needed {
			if path == "net" || strings.HasPrefix(path, "net/") || path == module+"replproto" {
				t.Errorf("%s depends on %s", name, path)
			}
		}
	}
}

func TestWhatTakesBackupsReadsNoStoredOnes(t *testing.T) {
	reads := []string{"restore", "verify", "inspect", "combine", "chain", "backupset", "walarchive"}
	for name, needed := range dependencies(t, []string{"basebackup", "walstream", "replproto"}) {
		for _, path := range needed {
			if slices.Contains(reads, strings.TrimPrefix(path, module)) {
				t.Errorf("%s depends on %s", name, path)
			}
		}
	}
}
