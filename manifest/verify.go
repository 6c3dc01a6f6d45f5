package manifest

import (
	"bytes"
)

// Verify compares what was added with the manifest that r has not begun to
// read, and reads it to its end. It returns nil when the two agree, a
// *VerifyErrors when they do not, and r's error when the manifest is not sound,
// in which case what it says about files means nothing.
//
// A file below pg_wal need not be in the manifest, but what the manifest lists
// there must have come.
//
// The server lists files in the order in which it sends them, so the two are
// compared side by side. Any other order is compared as well: what has no
// counterpart yet waits in memory, and beyond a few MiB in the temporary file.
//
// Verify can be called once.
func (l *Ledger) Verify(r *Reader) error {
	if l.err != nil {
		return l.err
	}
	l.err = errLedgerVerified
	v := verification{
		ledger:  l,
		spilled: l.spill.size,
		waiting: remainder{spill: &l.spill, limits: l.limits},
	}
	if err := v.run(r); err != nil {
		return err
	}
	if v.found.Total == 0 {
		if err := v.duplicates(); err != nil || v.found.Total == 0 {
			return err
		}
	} else if err := v.nameDuplicates(); err != nil {
		return err
	}
	v.found.sort()
	return &v.found
}

type verification struct {
	ledger  *Ledger
	spilled int64
	found   VerifyErrors
	waiting remainder
	// Which way round the server prints a CRC32C; see sameChecksum.
	byteOrder byteOrder
}

type byteOrder uint8

const (
	orderUnknown byteOrder = iota
	orderLittle
	orderBig
)

func (v *verification) run(r *Reader) error {
	listed := manifestRecords{reader: r}
	arrived := v.ledger.reader(v.spilled)
	haveListed := listed.next()
	haveArrived, err := arrived.next()
	if err != nil {
		return err
	}
	for haveListed || haveArrived {
		// Going on with one side only, when its record has been waited for,
		// brings the two back into step after one has skipped a file.
		nextListed, nextArrived := false, false
		switch {
		case haveListed && haveArrived && bytes.Equal(listed.path, arrived.path):
			v.compare(&listed.record, &arrived.record)
			nextListed, nextArrived = true, true
		case haveArrived && v.waiting.take(sideManifest, &arrived.record, v):
			nextArrived = true
		case haveListed && v.waiting.take(sideBackup, &listed.record, v):
			nextListed = true
		default:
			if haveListed {
				if err := v.waiting.add(sideManifest, &listed.record, v); err != nil {
					return err
				}
			}
			if haveArrived {
				if err := v.waiting.add(sideBackup, &arrived.record, v); err != nil {
					return err
				}
			}
			nextListed, nextArrived = haveListed, haveArrived
		}
		if nextListed {
			haveListed = listed.next()
		}
		if nextArrived {
			if haveArrived, err = arrived.next(); err != nil {
				return err
			}
		}
	}
	if err := r.Err(); err != nil {
		return err
	}
	return v.waiting.finish(v)
}

// manifestRecords are a manifest's files as records.
type manifestRecords struct {
	reader *Reader
	record
}

func (m *manifestRecords) next() bool {
	if !m.reader.Next() {
		return false
	}
	e := &m.reader.entry
	m.path, m.size, m.algorithm = e.path, e.size, e.algorithm
	m.checksum, m.checksumLength = nil, int64(len(e.checksum))
	if len(e.checksum) == e.algorithm.Size() {
		m.checksum = e.checksum
	}
	return true
}

// compare compares two records of one path, and reports the first difference.
func (v *verification) compare(listed, arrived *record) {
	switch {
	case listed.size != arrived.size:
		v.found.add(&VerifyError{Path: string(listed.path), Problem: SizeDiffers, Size: arrived.size, ManifestSize: listed.size})
	case listed.algorithm != arrived.algorithm:
		v.found.add(&VerifyError{Path: string(listed.path), Problem: AlgorithmDiffers,
			Algorithm: arrived.algorithm, ManifestAlgorithm: listed.algorithm})
	case listed.algorithm == None:
	case listed.checksumLength != arrived.checksumLength:
		v.found.add(&VerifyError{Path: string(listed.path), Problem: ChecksumLength,
			Algorithm: arrived.algorithm, ManifestChecksumLength: listed.checksumLength})
	case !v.sameChecksum(listed, arrived):
		v.found.add(&VerifyError{Path: string(listed.path), Problem: ChecksumDiffers, Algorithm: arrived.algorithm})
	}
}

// sameChecksum compares two checksums of one algorithm. A server on a big-endian
// machine prints a CRC32C the other way round than all others; which one this is
// shows at the first file whose checksum fits only one way, and then holds for
// the whole manifest.
func (v *verification) sameChecksum(listed, arrived *record) bool {
	a, b := listed.checksum, arrived.checksum
	if listed.algorithm != CRC32C {
		return bytes.Equal(a, b)
	}
	little := bytes.Equal(a, b)
	big := a[0] == b[3] && a[1] == b[2] && a[2] == b[1] && a[3] == b[0]
	switch {
	case little && big:
		return true
	case little && v.byteOrder != orderBig:
		v.byteOrder = orderLittle
		return true
	case big && v.byteOrder != orderLittle:
		v.byteOrder = orderBig
		return true
	}
	return false
}

// unmatched reports a record that has no counterpart.
func (v *verification) unmatched(s side, path string) {
	switch {
	case s == sideManifest:
		v.found.add(&VerifyError{Path: path, Problem: Missing})
	case !belowWAL(path):
		v.found.add(&VerifyError{Path: path, Problem: Extra})
	}
}

// repeated reports a record that came again.
func (v *verification) repeated(s side, path []byte) {
	p := DuplicateFile
	if s == sideManifest {
		p = DuplicateEntry
	}
	v.found.add(&VerifyError{Path: string(path), Problem: p})
}

// nameDuplicates finds those files among the missing and the extra ones that are
// so only because their counterpart has been compared with an earlier record of
// the same path.
func (v *verification) nameDuplicates() error {
	times := make(map[string]int)
	for _, e := range v.found.Errors {
		if e.Problem == Missing || e.Problem == Extra {
			times[e.Path] = 0
		}
	}
	if len(times) == 0 {
		return nil
	}
	err := v.eachArrived(func(path []byte) {
		if n, asked := times[string(path)]; asked {
			times[string(path)] = n + 1
		}
	})
	if err != nil {
		return err
	}
	for _, e := range v.found.Errors {
		switch n := times[e.Path]; {
		case e.Problem == Missing && n > 0:
			e.Problem = DuplicateEntry
		case e.Problem == Extra && n > 1:
			e.Problem = DuplicateFile
		}
	}
	return nil
}
