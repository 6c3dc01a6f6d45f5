package inspect

import "github.com/pgbasin/pgbasin/lsn"

// Base is the backup that an incremental one builds on, as its label names it:
// by where it started.
type Base struct {
	LSN      lsn.LSN
	Timeline uint32
}

// Lineage is a backup with those that it cannot be restored without.
type Lineage struct {
	// Chain is oldest first and ends with the backup itself: what a restore is
	// given, if nothing is missing.
	Chain []*Report
	// Missing is what the first of Chain builds on, when none of the candidates
	// is that; nil if the first is a full backup.
	Missing *Base
}

// base is what r builds on; nil if it is full.
func (r *Report) base() *Base {
	if r.Label == nil || !r.Label.Incremental() {
		return nil
	}
	return &Base{r.Label.IncrementalFromLSN, r.Label.IncrementalFromTLI}
}

// Trace finds the backups that r builds on among candidates. Of several copies the
// first that is not broken counts, or else the first.
func Trace(r *Report, candidates []*Report) Lineage {
	l := Lineage{Chain: []*Report{r}}
	for {
		oldest := l.Chain[0]
		b := oldest.base()
		if b == nil {
			return l
		}
		var found *Report
		for _, c := range candidates {
			pos, tli, ok := c.Start()
			// A backup starts after those that it builds on, so this ends.
			if !ok || pos != b.LSN || tli != b.Timeline || pos >= startOf(oldest) || c.SystemID != 0 && oldest.SystemID != 0 && c.SystemID != oldest.SystemID {
				continue
			}
			if found == nil || !found.Complete() && c.Complete() {
				found = c
			}
		}
		if found == nil {
			l.Missing = b
			return l
		}
		l.Chain = append([]*Report{found}, l.Chain...)
	}
}

func startOf(r *Report) lsn.LSN {
	pos, _, _ := r.Start()
	return pos
}
