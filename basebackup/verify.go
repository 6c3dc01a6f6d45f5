package basebackup

import (
	"fmt"
	"hash"
	"io"

	"github.com/pgbasin/pgbasin/manifest"
	"github.com/pgbasin/pgbasin/tarstream"
)

// checker notes the size and checksum of every file that passes, and compares
// them with the manifest when that comes, at the end.
type checker struct {
	ledger *manifest.Ledger
	hash   hash.Hash // nil for manifests without checksums
	sum    []byte
	// systemID is the server's, which a manifest of format 2 repeats.
	systemID uint64
	files    int64
}

// newChecker makes a checker for a manifest with the given checksums; without
// a manifest to come (ledger false) it only counts.
func newChecker(ledger bool, algorithm, tempDir string, systemID uint64) (*checker, error) {
	c := &checker{systemID: systemID}
	if !ledger {
		return c, nil
	}
	a := manifest.DefaultChecksumAlgorithm
	if algorithm != "" {
		var err error
		if a, err = manifest.ParseChecksumAlgorithm(algorithm); err != nil {
			return nil, err
		}
	}
	c.ledger, c.hash = manifest.NewLedger(tempDir, a), a.New()
	return c, nil
}

// archive is a visitor for one archive, whose files the manifest lists below
// prefix ("" or "pg_tblspc/16385/").
func (c *checker) archive(prefix string) tarstream.Visitor {
	return &checkedArchive{checker: c, prefix: prefix}
}

// verify reads the manifest to its end and compares.
func (c *checker) verify(r io.Reader) error {
	m := manifest.NewReader(r)
	if err := c.ledger.Verify(m); err != nil {
		return err
	}
	if id := m.SystemIdentifier(); id != 0 && id != c.systemID {
		return fmt.Errorf("manifest system identifier is %d, but the server's is %d", id, c.systemID)
	}
	return nil
}

func (c *checker) close() {
	if c.ledger != nil {
		c.ledger.Close()
	}
}

type checkedArchive struct {
	*checker
	prefix string
	path   []byte
	size   int64
	file   bool // the current member is a regular file
}

func (c *checkedArchive) Member(h *tarstream.Header) error {
	c.file = h.Type == tarstream.Regular
	if !c.file {
		return nil
	}
	c.path = append(append(c.path[:0], c.prefix...), h.Name...)
	c.size = h.Size
	if c.hash != nil {
		c.hash.Reset()
	}
	return nil
}

func (c *checkedArchive) Content(p []byte) error {
	if c.file && c.hash != nil {
		c.hash.Write(p)
	}
	return nil
}

func (c *checkedArchive) EndMember() error {
	if !c.file {
		return nil
	}
	c.files++
	if c.ledger == nil {
		return nil
	}
	if c.hash != nil {
		c.sum = c.hash.Sum(c.sum[:0])
	}
	return c.ledger.Add(string(c.path), c.size, c.sum)
}
