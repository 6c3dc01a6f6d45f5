package verify

import (
	"encoding/binary"
	"hash/maphash"
	"slices"
	"sort"

	"github.com/pgbasin/pgbasin/manifest"
)

// index is what is kept of a manifest's files while the backup is looked
// through: 25 bytes for each. Paths and checksums are kept as hashes, with a
// seed that nobody outside knows, so that no manifest can be made to fit another
// backup; that two of a million paths have the same happens to one backup in
// 30 million.
//
// First all files are added, then seal is called, then find.
type index struct {
	seed    maphash.Seed
	buckets [256]bucket // by the first byte of the hash
	files   int64       // that are not ignored
}

// bucket is sorted by hash once it is sealed.
type bucket struct {
	files []indexed
	flags []flags
}

type indexed struct {
	path uint64 // its hash
	size int64
	sum  uint64 // of the checksum, or its length in bytes if oddLength
}

// flags of a file. The lowest three bits are its manifest.ChecksumAlgorithm.
type flags uint8

const (
	algorithmBits flags = 1<<3 - 1

	oddLength flags = 1 << (iota + 2) // the checksum is not as long as the algorithm makes it
	ignored
	matched // a file with the path is there
	bad     // and something is wrong with it
	repeated
)

func (f flags) algorithm() manifest.ChecksumAlgorithm {
	return manifest.ChecksumAlgorithm(f & algorithmBits)
}

func newIndex() *index { return &index{seed: maphash.MakeSeed()} }

func (x *index) add(f *manifest.File, skip bool) {
	h := maphash.String(x.seed, f.Path)
	e := indexed{path: h, size: f.Size}
	fl := flags(f.Algorithm)
	if f.Algorithm != manifest.None {
		if len(f.Checksum) == f.Algorithm.Size() {
			e.sum = x.sum(f.Checksum)
		} else {
			e.sum = uint64(len(f.Checksum))
			fl |= oddLength
		}
	}
	if skip {
		fl |= ignored
	} else {
		x.files++
	}
	b := &x.buckets[h>>56]
	b.files, b.flags = append(b.files, e), append(b.flags, fl)
}

// sum is what is kept of a checksum.
func (x *index) sum(checksum []byte) uint64 {
	if len(checksum) == 4 {
		return uint64(binary.LittleEndian.Uint32(checksum))
	}
	return maphash.Bytes(x.seed, checksum)
}

// seal makes find possible. It returns whether a path was added twice; the
// files of such a path have the flag repeated.
func (x *index) seal() (again bool) {
	for i := range x.buckets {
		b := &x.buckets[i]
		sort.Sort(b)
		for j := 1; j < len(b.files); j++ {
			if b.files[j].path == b.files[j-1].path {
				b.flags[j] |= repeated
				b.flags[j-1] |= repeated
				again = true
			}
		}
	}
	return again
}

func (b *bucket) Len() int           { return len(b.files) }
func (b *bucket) Less(i, j int) bool { return b.files[i].path < b.files[j].path }
func (b *bucket) Swap(i, j int) {
	b.files[i], b.files[j] = b.files[j], b.files[i]
	b.flags[i], b.flags[j] = b.flags[j], b.flags[i]
}

// find returns what the manifest says about the file, or nil and nil. The flags
// can be changed.
func (x *index) find(path string) (*indexed, *flags) {
	h := maphash.String(x.seed, path)
	b := &x.buckets[h>>56]
	i, ok := slices.BinarySearchFunc(b.files, h, func(e indexed, h uint64) int {
		switch {
		case e.path < h:
			return -1
		case e.path > h:
			return 1
		}
		return 0
	})
	if !ok {
		return nil, nil
	}
	return &b.files[i], &b.flags[i]
}
