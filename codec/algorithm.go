package codec

import (
	"bytes"
	"fmt"
	"strings"
)

// Algorithm is a compression method, under the names that PostgreSQL gives them.
type Algorithm int

const (
	None Algorithm = iota
	Gzip
	LZ4
	Zstd
)

var algorithms = [...]struct{ name, suffix string }{
	None: {"none", ""},
	Gzip: {"gzip", ".gz"},
	LZ4:  {"lz4", ".lz4"},
	Zstd: {"zstd", ".zst"},
}

func (a Algorithm) valid() bool { return a >= 0 && int(a) < len(algorithms) }

// String returns the name used in specifications: "none", "gzip", "lz4" or "zstd".
func (a Algorithm) String() string {
	if !a.valid() {
		return fmt.Sprintf("Algorithm(%d)", int(a))
	}
	return algorithms[a].name
}

// Suffix returns what is appended to the name of a file compressed with a: ".gz", ".lz4", ".zst", or "" for None.
func (a Algorithm) Suffix() string {
	if !a.valid() {
		return ""
	}
	return algorithms[a].suffix
}

// ParseAlgorithm looks a method up by its name, which is case-sensitive as in PostgreSQL.
func ParseAlgorithm(name string) (Algorithm, error) {
	for a := range algorithms {
		if algorithms[a].name == name {
			return Algorithm(a), nil
		}
	}
	return None, fmt.Errorf("unrecognized compression algorithm: \"%s\"", name)
}

// DetectSize is the number of leading bytes that Detect needs. Fewer are fine when the stream has no more.
const DetectSize = 4

// Detect tells the algorithm of a stream by its first bytes; None if they are none of the known signatures.
// A stream that starts with a skippable frame, which LZ4 and Zstandard share, is None too.
func Detect(head []byte) Algorithm {
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b, 0x08}):
		return Gzip
	case bytes.HasPrefix(head, []byte{0x04, 0x22, 0x4d, 0x18}), // frame format
		bytes.HasPrefix(head, []byte{0x02, 0x21, 0x4c, 0x18}): // legacy format, lz4 -l
		return LZ4
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return Zstd
	}
	return None
}

// ByName tells the algorithm by the suffix of a file's name; None if it is none of the known ones.
func ByName(file string) Algorithm {
	for a := Gzip; a.valid(); a++ {
		if strings.HasSuffix(file, a.Suffix()) {
			return a
		}
	}
	return None
}
