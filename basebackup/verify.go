package basebackup

import (
	"fmt"
	"io"

	"github.com/pgbasin/pgbasin/manifest"
)

// checker notes the size and checksum of every file that passes, and compares
// them with the manifest when that comes, at the end.
type checker struct {
	*manifest.Recorder
	ledger *manifest.Ledger // nil without a manifest to come
	// systemID is the server's, which a manifest of format 2 repeats.
	systemID uint64
}

// newChecker makes a checker for a manifest with the given checksums; without
// a manifest to come (ledger false) it only counts.
func newChecker(ledger bool, algorithm, tempDir string, systemID uint64) (*checker, error) {
	c := &checker{systemID: systemID}
	if ledger {
		a := manifest.DefaultChecksumAlgorithm
		if algorithm != "" {
			var err error
			if a, err = manifest.ParseChecksumAlgorithm(algorithm); err != nil {
				return nil, err
			}
		}
		c.ledger = manifest.NewLedger(tempDir, a)
	}
	c.Recorder = manifest.NewRecorder(c.ledger)
	return c, nil
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
