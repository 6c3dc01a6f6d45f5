//go:build linux && amd64

package crash

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/pgbasin/pgbasin/internal/pgfake"
	"github.com/pgbasin/pgbasin/internal/pgtest"
	"github.com/pgbasin/pgbasin/pgdata"
)

// major is that of the servers, real and fake.
const major = 18

// control is the pg_control of a real server: by it a backup of a fake one can
// be restored.
var control struct {
	once    sync.Once
	content []byte
	system  uint64
}

// cluster is a small cluster of a fake server whose backups can be restored. It
// has a tablespace at /srv/space unless told otherwise.
func cluster(t *testing.T, space string) *pgfake.Cluster {
	t.Helper()
	control.once.Do(func() {
		s := pgtest.Start(t, major, pgtest.WALSegSize(1))
		content, err := os.ReadFile(filepath.Join(s.DataDir(), "global", "pg_control"))
		if err != nil {
			t.Fatal(err)
		}
		c, err := pgdata.ParseControl(content)
		if err != nil {
			t.Fatal(err)
		}
		control.content, control.system = content, c.SystemID
	})
	data := pgfake.SmallData("18.0", space)
	data.Files = append(data.Files, pgfake.File{Path: "global/pg_control", Data: control.content})
	return &pgfake.Cluster{Version: "18.0", SystemID: control.system, Data: data}
}

// old is a cluster of a version without manifests, and without tablespaces.
func old(t *testing.T) *pgfake.Cluster {
	t.Helper()
	content, err := os.ReadFile("../../pgdata/testdata/pg_control-9.5")
	if err != nil {
		t.Fatal(err)
	}
	c, err := pgdata.ParseControl(content)
	if err != nil {
		t.Fatal(err)
	}
	data := pgfake.SmallData("9.5.3", "")
	data.Files = append(data.Files, pgfake.File{Path: "global/pg_control", Data: content})
	return &pgfake.Cluster{Version: "9.5.3", SystemID: c.SystemID, Data: data}
}
