package chain

import (
	"errors"
	"io"
	"strconv"
	"strings"
	"sync"

	"github.com/pgbasin/pgbasin/backupset"
	"github.com/pgbasin/pgbasin/manifest"
	"github.com/pgbasin/pgbasin/pgdata"
)

// maxBackups is how many backups a chain can have.
const maxBackups = 1 << 14

// backup is one link of the chain.
type backup struct {
	set    *backupset.Set
	head   *backupset.Head
	path   string
	number int // from the oldest, which is 0

	ledger *manifest.Ledger // of the files that passed; nil if nothing is compared

	mu    sync.Mutex
	files map[*backupset.Archive]*backupset.Files // of data directories, as far as they were opened
	whole map[*backupset.Archive]bool             // archives that were read

	temp     scratch // the manifest, where it is a member
	manifest int64   // its size; 0 = there was none
}

func (b *backup) close() error {
	var err error
	for _, f := range b.files {
		err = errors.Join(err, f.Close())
	}
	if b.ledger != nil {
		err = errors.Join(err, b.ledger.Close())
	}
	b.files, b.ledger = nil, nil
	return errors.Join(err, b.temp.close(), b.set.Close())
}

// prefix is what stands before the names of an archive's members in a manifest.
func prefix(a *backupset.Archive) string {
	switch a.Kind {
	case backupset.Tablespace:
		return backupset.TablespaceDir + "/" + strconv.FormatUint(uint64(a.OID), 10) + "/"
	case backupset.WAL:
		return "pg_wal/"
	}
	return ""
}

// tablespaceOf is the tablespace that a manifest's path is in.
func tablespaceOf(path string) (oid uint32, ok bool) {
	below, ok := strings.CutPrefix(path, backupset.TablespaceDir+"/")
	if !ok {
		return 0, false
	}
	digits, _, _ := strings.Cut(below, "/")
	return pgdata.ParseOID(digits)
}

// locate finds the archive of a data directory that has a file, and the file's
// name there.
func (b *backup) locate(path string) (*backupset.Files, string, error) {
	a := b.set.Data()
	if oid, ok := tablespaceOf(path); ok {
		if t := b.set.Archive(backupset.Tablespace, oid); t != nil {
			a = t
		}
	}
	f, err := b.open(a)
	return f, strings.TrimPrefix(path, prefix(a)), err
}

// open opens an archive of a data directory, which stays open.
func (b *backup) open(a *backupset.Archive) (*backupset.Files, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if f := b.files[a]; f != nil {
		return f, nil
	}
	f, err := b.set.Files(a)
	if err != nil {
		return nil, err
	}
	if b.files == nil {
		b.files = map[*backupset.Archive]*backupset.Files{}
	}
	b.files[a] = f
	return f, nil
}

// has tells whether a data directory has a file.
func (b *backup) has(path string) (bool, error) {
	f, name, err := b.locate(path)
	if err != nil {
		return false, err
	}
	return f.Has(name)
}

// take tells whether the archive is to be read for the first time.
func (b *backup) take(a *backupset.Archive) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.whole[a] {
		return false
	}
	if b.whole == nil {
		b.whole = map[*backupset.Archive]bool{}
	}
	b.whole[a] = true
	return true
}

// openManifest opens the manifest, be it a file or a member that passed.
func (b *backup) openManifest() (io.ReadCloser, error) {
	if b.manifest > 0 {
		return io.NopCloser(io.NewSectionReader(&b.temp, 0, b.manifest)), nil
	}
	return b.set.OpenManifest()
}
