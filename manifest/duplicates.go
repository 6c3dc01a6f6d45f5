package manifest

import "hash/maphash"

const (
	// filesPerPass bounds what one pass for duplicates has to tell apart.
	filesPerPass = 1 << 18
	bitsPerFile  = 32
)

// duplicates finds the files that came more than once although the manifest fits:
// one that lists them as often, at the same places, does. Nothing that reads an
// archive agrees on which of them counts.
//
// The paths are read again, a share of them in each pass and twice only if two of
// them have the same bit; only those that have are held in memory.
func (v *verification) duplicates() error {
	seed := maphash.MakeSeed() // so that nobody can make paths meet
	passes := uint64(v.ledger.files/filesPerPass + 1)
	for pass := range passes {
		n := min(v.ledger.files, filesPerPass)
		share := bits{set: make([]uint64, n*bitsPerFile/64+1)}
		met := bits{set: make([]uint64, len(share.set))}
		any := false
		err := v.eachArrived(func(path []byte) {
			if h := maphash.Bytes(seed, path); h%passes == pass && !share.add(h/passes) {
				met.add(h / passes)
				any = true
			}
		})
		if err != nil {
			return err
		}
		if !any {
			continue
		}
		held := make(map[string]struct{})
		err = v.eachArrived(func(path []byte) {
			h := maphash.Bytes(seed, path)
			if h%passes != pass || !met.has(h/passes) {
				return
			}
			if _, twice := held[string(path)]; twice {
				v.found.add(&VerifyError{Path: string(path), Problem: DuplicateFile})
				return
			}
			held[string(path)] = struct{}{}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// eachArrived reads the paths of the files that came once more.
func (v *verification) eachArrived(visit func(path []byte)) error {
	arrived := v.ledger.reader(v.spilled)
	for {
		ok, err := arrived.next()
		if err != nil || !ok {
			return err
		}
		visit(arrived.path)
	}
}

// bits are a set of numbers, some of which it cannot tell apart.
type bits struct{ set []uint64 }

func (b *bits) at(h uint64) (word *uint64, mask uint64) {
	h %= uint64(len(b.set)) * 64
	return &b.set[h/64], 1 << (h % 64)
}

// add tells whether the number was new.
func (b *bits) add(h uint64) bool {
	word, mask := b.at(h)
	was := *word & mask
	*word |= mask
	return was == 0
}

func (b *bits) has(h uint64) bool {
	word, mask := b.at(h)
	return *word&mask != 0
}
