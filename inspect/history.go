package inspect

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/pgbasin/pgbasin/pgdata"
	"github.com/pgbasin/pgbasin/walarchive"
)

// BackupHistory returns the backup history file of a backup, or nil if the archive
// has none. The name tells the segment that the backup starts in and how far into
// it, so that there are few to look at.
func BackupHistory(archive *walarchive.Archive, label *pgdata.BackupLabel) (*pgdata.BackupLabel, error) {
	listing, err := archive.List(context.Background())
	if err != nil {
		return nil, err
	}
	for _, name := range listing.Backups {
		if !strings.HasPrefix(name, label.StartFile+".") {
			continue
		}
		content, err := archive.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // just removed
		}
		if err != nil {
			return nil, err
		}
		l, err := pgdata.ParseBackupHistory(content)
		if err != nil {
			return nil, fmt.Errorf("file %q of the WAL archive: %w", name, err)
		}
		if l.Start == label.Start && l.Label == label.Label && l.StartTimeText == label.StartTimeText {
			return l, nil
		}
	}
	return nil, nil
}
