package manifest

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"fmt"
	"hash"
	"hash/crc32"
)

// ChecksumAlgorithm is how the files of a backup are checksummed: what
// BASE_BACKUP's option MANIFEST_CHECKSUMS names and what a manifest states for
// each file as Checksum-Algorithm.
type ChecksumAlgorithm int

const (
	None ChecksumAlgorithm = iota
	CRC32C
	SHA224
	SHA256
	SHA384
	SHA512
)

// DefaultChecksumAlgorithm is what the server uses when it is asked for a
// manifest and not for an algorithm.
const DefaultChecksumAlgorithm = CRC32C

var algorithmNames = [...]string{"NONE", "CRC32C", "SHA224", "SHA256", "SHA384", "SHA512"}

// ParseChecksumAlgorithm reads an algorithm's name, in any mixture of upper and
// lower case.
func ParseChecksumAlgorithm(name string) (ChecksumAlgorithm, error) {
	if a, ok := parseAlgorithm([]byte(name)); ok {
		return a, nil
	}
	return None, fmt.Errorf("unrecognized checksum algorithm: \"%s\"", printable(name))
}

func parseAlgorithm(name []byte) (ChecksumAlgorithm, bool) {
	for a, want := range algorithmNames {
		if equalFoldASCII(name, want) {
			return ChecksumAlgorithm(a), true
		}
	}
	return None, false
}

// equalFoldASCII compares name with want, which is upper case. Unicode's case
// folding would also take letters such as the long s, which the server does not.
func equalFoldASCII(name []byte, want string) bool {
	if len(name) != len(want) {
		return false
	}
	for i, c := range name {
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		if c != want[i] {
			return false
		}
	}
	return true
}

// String is the name as manifests spell it, for example "CRC32C".
func (a ChecksumAlgorithm) String() string {
	if a < 0 || int(a) >= len(algorithmNames) {
		return fmt.Sprintf("ChecksumAlgorithm(%d)", int(a))
	}
	return algorithmNames[a]
}

// Size is the length of a checksum in bytes, 0 for None.
func (a ChecksumAlgorithm) Size() int {
	switch a {
	case CRC32C:
		return crc32.Size
	case SHA224:
		return sha256.Size224
	case SHA256:
		return sha256.Size
	case SHA384:
		return sha512.Size384
	case SHA512:
		return sha512.Size
	}
	return 0
}

// New returns a hash whose Sum gives the bytes in the order in which manifests
// print them, or nil for None.
func (a ChecksumAlgorithm) New() hash.Hash {
	switch a {
	case CRC32C:
		return new(crc32c)
	case SHA224:
		return sha256.New224()
	case SHA256:
		return sha256.New()
	case SHA384:
		return sha512.New384()
	case SHA512:
		return sha512.New()
	}
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// crc32c differs from hash/crc32's own hash in the order of Sum's bytes: the
// server prints the value as it lies in its memory, little-endian on all common
// machines (checksum_helper.c).
type crc32c uint32

func (c *crc32c) Write(p []byte) (int, error) {
	*c = crc32c(crc32.Update(uint32(*c), castagnoli, p))
	return len(p), nil
}

func (c *crc32c) Sum(b []byte) []byte { return binary.LittleEndian.AppendUint32(b, uint32(*c)) }
func (c *crc32c) Sum32() uint32       { return uint32(*c) }
func (c *crc32c) Reset()              { *c = 0 }
func (c *crc32c) Size() int           { return crc32.Size }
func (c *crc32c) BlockSize() int      { return 1 }
