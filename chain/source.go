package chain

import "time"

// source is where an incremental file's blocks are, when they are not read at
// once.
type source struct {
	kind     sourceKind
	backup   int
	archive  int // index in Set.Archives
	size     int64
	modified time.Time
}

type sourceKind byte

const (
	inScratch sourceKind = iota // the temporary file
	inTar                       // an uncompressed tar
	inFile                      // a file of a data directory, which must still have the size and time
)
