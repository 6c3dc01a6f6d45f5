package basebackup

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pgbasin/pgbasin/internal/claim"
	"github.com/pgbasin/pgbasin/internal/durable"
	"github.com/pgbasin/pgbasin/replproto"
)

// createFile makes a new file with exactly this mode.
func createFile(path string, mode fs.FileMode) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return nil, fmt.Errorf("could not create file %q: %w", path, err)
	}
	if err := f.Chmod(mode); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return nil, errors.Join(fmt.Errorf("could not set permissions on file %q: %w", path, err), f.Close())
	}
	return f, nil
}

// createManifest makes the file for the manifest, which is not called so yet.
func createManifest(dir string, mode fs.FileMode) (io.WriteCloser, error) {
	f, err := createFile(filepath.Join(dir, replproto.ManifestName+heldSuffix), mode)
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

// commitFile gives a file its final name.
func commitFile(from, to string, m durable.SyncMethod) error {
	if m != durable.NoSync {
		return durable.Rename(from, to)
	}
	if err := os.Rename(from, to); err != nil {
		return fmt.Errorf("could not rename file %q to %q: %w", from, to, err)
	}
	return nil
}

// commitManifest is the last step of a backup: from here on it is one.
func commitManifest(dir string, m durable.SyncMethod, o *Observer) error {
	o.info(fmt.Sprintf("renaming %s%s to %s", replproto.ManifestName, heldSuffix, replproto.ManifestName))
	return commitFile(filepath.Join(dir, replproto.ManifestName+heldSuffix), filepath.Join(dir, replproto.ManifestName), m)
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
