package chain

import "github.com/pgbasin/pgbasin/backupset"

// Sets are all backups of the chain, the oldest first.
func (c *Chain) Sets() []*backupset.Set {
	sets := make([]*backupset.Set, len(c.backups))
	for i, b := range c.backups {
		sets[i] = b.set
	}
	return sets
}
