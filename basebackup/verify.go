package basebackup

import (
	"fmt"
	"io"
	"slices"

	"github.com/pgbasin/pgbasin/manifest"
)

// checker notes the size and checksum of every file that passes, and compares
// them with the manifest when that comes, at the end.
type checker struct {
	*manifest.Recorder
	ledger *manifest.Ledger // nil without a manifest to come
	// systemID is the server's, which a manifest of format 2 repeats.
	systemID uint64
	ranges   []manifest.WALRange // that the manifest lists
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
	c.ranges = m.WALRanges()
	return nil
}

// checkRanges compares the manifest's WAL with where the backup began and ended:
// verifying and combining backups go by the manifest. On a standby there can be
// several timelines between the two.
func (c *checker) checkRanges(first, last manifest.WALRange) error {
	begins := slices.ContainsFunc(c.ranges, func(r manifest.WALRange) bool { return r.Timeline == first.Timeline && r.Start == first.Start })
	ends := slices.ContainsFunc(c.ranges, func(r manifest.WALRange) bool { return r.Timeline == last.Timeline && r.End == last.End })
	if !begins || !ends {
		return fmt.Errorf("manifest does not list the WAL from %s on timeline %d to %s on timeline %d, which the backup needs",
			first.Start, first.Timeline, last.End, last.Timeline)
	}
	return nil
}

func (c *checker) close() {
	if c.ledger != nil {
		c.ledger.Close()
	}
}
