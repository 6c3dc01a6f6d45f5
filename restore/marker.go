package restore

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/pgbasin/pgbasin/backupset"
	"github.com/pgbasin/pgbasin/internal/claim"
	"github.com/pgbasin/pgbasin/internal/durable"
)

// marker is the content of the file that stands in every directory which a
// restore has not finished. By it the next restore into the same place knows
// debris from data.
type marker struct {
	Note          string   `json:"note"`
	Restore       string   `json:"restore"` // the same for all directories of one restore
	DataDirectory string   `json:"data_directory"`
	Directories   []string `json:"directories"` // all of them
}

const markerNote = "A restore by pgbasin did not finish here: this is no data directory. Run the restore again, or remove the directory."

// maxMarker bounds what is read of a marker.
const maxMarker = 1 << 20

// newMarker makes a marker for all directories. One that removes what an earlier
// restore left has that one's name, so that it can be killed between any two
// steps, too.
func newMarker(earlier, dataDir string, directories []string) *marker {
	if earlier == "" {
		earlier = rand.Text()
	}
	return &marker{Note: markerNote, Restore: earlier, DataDirectory: dataDir, Directories: directories}
}

// put writes the marker into a directory, durably unless synced is false: after
// a crash of the machine, too, what came after it is known as debris.
func (m *marker) put(dir *os.Root, synced bool) error {
	content, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	f, name, err := durable.CreateTemp(dir, claim.ProbePrefix)
	if err == nil {
		_, err = f.Write(append(content, '\n'))
		err = errors.Join(err, f.Close())
		if err == nil && synced {
			err = durable.Rename(dir, name, backupset.RestoreMarker)
		} else if err == nil {
			err = dir.Rename(name, backupset.RestoreMarker)
		}
	}
	if err != nil {
		return fmt.Errorf("could not write file %q: %w", filepath.Join(dir.Name(), backupset.RestoreMarker), err)
	}
	return nil
}

// readMarker returns the marker in a directory, nil if there is none.
func readMarker(dir *os.Root) *marker {
	f, err := dir.Open(backupset.RestoreMarker)
	if err != nil {
		return nil
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxMarker))
	m := new(marker)
	if err != nil || json.Unmarshal(content, m) != nil || m.Restore == "" || m.DataDirectory == "" {
		return nil
	}
	return m
}

// debris tells whether what is in dir was left by an earlier restore into
// dataDir that did not finish: both must have that restore's marker, and the
// data directory no pg_control. A directory that a server can have run on is
// never debris.
func debris(dir *os.Root, dataDir string) bool {
	id := unfinished(dataDir)
	here := readMarker(dir)
	return id != "" && here != nil && here.Restore == id && here.DataDirectory == dataDir
}

// debrisAt is debris by a path.
func debrisAt(path, dataDir string) bool {
	dir, err := os.OpenRoot(path)
	if err != nil {
		return false
	}
	defer dir.Close()
	return debris(dir, dataDir)
}

// unfinished is the name of the restore that did not finish in dataDir, "" if
// there is none.
func unfinished(dataDir string) string {
	dir, err := os.OpenRoot(dataDir)
	if err != nil {
		return ""
	}
	defer dir.Close()
	m := readMarker(dir)
	if m == nil || m.DataDirectory != dataDir {
		return ""
	}
	if _, err := dir.Lstat(backupset.ControlName); !os.IsNotExist(err) {
		return ""
	}
	return m.Restore
}
