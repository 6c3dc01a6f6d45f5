package basebackup

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pgbasin/pgbasin/internal/claim"
	"github.com/pgbasin/pgbasin/internal/durable"
	"github.com/pgbasin/pgbasin/replproto"
)

// createManifest makes the file for the manifest, which is not called so yet.
func createManifest(dir *os.Root, mode fs.FileMode) (io.WriteCloser, error) {
	f, err := durable.Create(dir, replproto.ManifestName+heldSuffix, mode)
	return manifestFile{f}, err
}

// manifestFile names the file in errors as the others are named.
type manifestFile struct{ *os.File }

func (m manifestFile) Write(p []byte) (int, error) {
	n, err := m.File.Write(p)
	if err != nil {
		return n, fmt.Errorf("could not write to file %q: %w", m.Name(), err)
	}
	return n, nil
}

// commitFile gives a file that is held back its final name.
func commitFile(dir *os.Root, name string, m durable.SyncMethod) error {
	if m != durable.NoSync {
		return durable.Rename(dir, name+heldSuffix, name)
	}
	if err := dir.Rename(name+heldSuffix, name); err != nil {
		path := filepath.Join(dir.Name(), name)
		return fmt.Errorf("could not rename file %q to %q: %w", path+heldSuffix, path, err)
	}
	return nil
}

// commitManifest is the last step of a backup: from here on it is one.
func commitManifest(dir *os.Root, m durable.SyncMethod, o *Observer) error {
	o.info(fmt.Sprintf("renaming %s%s to %s", replproto.ManifestName, heldSuffix, replproto.ManifestName))
	return commitFile(dir, replproto.ManifestName, m)
}

// NotEmptyError says that a directory which a backup should fill holds
// something.
type NotEmptyError = claim.NotEmptyError

// abandon gives up a backup's directories.
func abandon(dirs *claim.Set, noClean bool, s *site) {
	if noClean {
		dirs.Keep(s.observer.cleanup)
		return
	}
	dirs.Remove(s.observer.cleanup)
}
