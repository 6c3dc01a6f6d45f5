package walarchive

import (
	"strings"

	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/wal"
)

// kind is what a name stands for.
type kind int

const (
	segment kind = iota
	partialSegment
	history
	backupHistory
)

// walName is a name as the server uses it, without the suffix of a compression.
type walName struct {
	kind kind
	base string // without ".partial"
}

func (n walName) String() string {
	if n.kind == partialSegment {
		return n.base + wal.PartialSuffix
	}
	return n.base
}

// timeline is the one in front of every name.
func (n walName) timeline() uint32 { return parseHex(n.base[:8]) }

// IsName tells whether name is one that a server archives a file under: a
// segment's, with or without ".partial", a history file's, or a backup history
// file's. No such name has a path separator.
func IsName(name string) bool {
	_, ok := parseName(name)
	return ok
}

func parseName(name string) (walName, bool) {
	n := walName{base: name}
	base, partial := strings.CutSuffix(name, wal.PartialSuffix)
	switch {
	case wal.IsSegmentName(base):
		n.base = base
		if partial {
			n.kind = partialSegment
		}
	case wal.IsHistoryName(name):
		n.kind = history
	case isBackupHistoryName(name):
		n.kind = backupHistory
	default:
		return walName{}, false
	}
	return n, n.timeline() != 0
}

const backupSuffix = ".backup"

// isBackupHistoryName knows a segment's name with the offset of the start point
// in it (IsBackupHistoryFileName in the server's xlog_internal.h).
func isBackupHistoryName(name string) bool {
	rest, ok := strings.CutSuffix(name, backupSuffix)
	return ok && len(rest) == 24+1+8 && wal.IsSegmentName(rest[:24]) && rest[24] == '.' && isUpperHex(rest[25:])
}

func isUpperHex(s string) bool { return strings.Trim(s, "0123456789ABCDEF") == "" }

func parseHex(s string) (n uint32) {
	for i := 0; i < len(s); i++ {
		d := uint32(s[i] - '0')
		if s[i] > '9' {
			d = uint32(s[i]-'A') + 10
		}
		n = n<<4 | d
	}
	return n
}

// compressions are those that a stored file may have, in the order in which they
// are looked for.
var compressions = []codec.Algorithm{codec.None, codec.Gzip, codec.LZ4, codec.Zstd}

// freshSuffix ends the name of a compressed partial segment that is received
// again while the older file still has more of it (walstream.Compressed).
const freshSuffix = ".new"

// stored is the name of a file in an archive.
type stored struct {
	walName
	name      string
	algorithm codec.Algorithm
}

func (s stored) partial() bool { return s.kind == partialSegment }

// parseStored is for what is found in a directory.
func parseStored(name string) (stored, bool) {
	s := stored{name: name}
	rest := name
	if fresh, ok := strings.CutSuffix(rest, wal.PartialSuffix+freshSuffix); ok {
		rest = fresh + wal.PartialSuffix
		if codec.ByName(fresh) == codec.None {
			return stored{}, false
		}
	}
	rest, partial := strings.CutSuffix(rest, wal.PartialSuffix)
	s.algorithm = codec.ByName(rest)
	rest, cut := strings.CutSuffix(rest, s.algorithm.Suffix())
	if !cut {
		return stored{}, false
	}
	if partial {
		rest += wal.PartialSuffix
	}
	var ok bool
	s.walName, ok = parseName(rest)
	return s, ok
}

// candidates are the files that n may be stored as. Those of a whole segment do
// not include the partial ones.
func candidates(n walName) []stored {
	all := make([]stored, 0, 10)
	for _, a := range compressions {
		suffix := a.Suffix()
		if n.kind != partialSegment {
			all = append(all, stored{n, n.base + suffix, a})
			continue
		}
		all = append(all, stored{n, n.base + suffix + wal.PartialSuffix, a})
		if a != codec.None {
			all = append(all,
				stored{n, n.base + suffix + wal.PartialSuffix + freshSuffix, a},
				stored{n, n.base + wal.PartialSuffix + suffix, a})
		}
	}
	return all
}

// storedAs is the name that a file gets which is pushed.
func storedAs(n walName, a codec.Algorithm) string {
	name := n.base + a.Suffix()
	if n.kind == partialSegment {
		name += wal.PartialSuffix
	}
	return name
}
