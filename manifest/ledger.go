package manifest

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
)

var (
	errLedgerClosed   = errors.New("ledger is closed")
	errLedgerVerified = errors.New("ledger has been verified already")
)

// Ledger keeps the path, size and checksum of every file of a backup as it
// arrives, until the manifest comes and Verify compares the two. The server
// sends the manifest last (basebackup.c), so that what arrived has to be kept
// for that long, but about twenty bytes for a file are enough.
//
// Add may be called by several goroutines at once, for the archives of one
// backup: see Recorder. Everything else is for when they are done.
type Ledger struct {
	algorithm ChecksumAlgorithm
	sumSize   int

	mu      sync.Mutex
	files   int64
	records []byte // not yet in the temporary file
	path    []byte // of the newest record
	joined  []byte // of the one being added, where it came in two parts
	spill   scratch
	err     error

	limits limits
}

// limits are in bytes of memory.
type limits struct {
	records int // that have not been written to the temporary file
	waiting int // of Verify's records without a counterpart, about
	piece   int // of such records, to be written to the temporary file at once
}

var defaultLimits = limits{
	records: 2 << 20, // about 100,000 files
	waiting: 4 << 20, // about 30,000 files
	piece:   8 << 10, // of which there are as many as partitions
}

// NewLedger returns a Ledger for files that are checksummed with the algorithm
// that the server was asked for. dir is where the temporary file goes, which is
// made only for a backup of many files, and which has no name where the system
// allows that. Close must be called.
func NewLedger(dir string, a ChecksumAlgorithm) *Ledger {
	return &Ledger{algorithm: a, sumSize: a.Size(), spill: scratch{dir: dir}, limits: defaultLimits}
}

// Algorithm is the algorithm of the checksums that Add takes.
func (l *Ledger) Algorithm() ChecksumAlgorithm { return l.algorithm }

// Files is the number of calls to Add so far.
func (l *Ledger) Files() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.files
}

// Add notes that a file has arrived: its path as the manifest will have it, that
// is relative to the data directory, below pg_tblspc/<oid>/ for the files of a
// tablespace; its size in bytes, and its checksum, nil for None. Nothing of the
// arguments is kept. After an error, every further call returns it.
//
// All regular files that the server sends are to be added, best in the order in
// which they come, those in pg_wal too; what the client makes itself is not.
func (l *Ledger) Add(path string, size int64, checksum []byte) error {
	return l.add("", path, size, checksum)
}

// add adds the file prefix+name.
func (l *Ledger) add(prefix, name string, size int64, checksum []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.joined = append(append(l.joined[:0], prefix...), name...)
	return l.append(l.joined, size, checksum)
}

func (l *Ledger) append(path []byte, size int64, checksum []byte) error {
	if l.err != nil {
		return l.err
	}
	if size < 0 || len(checksum) != l.sumSize || len(path) > maxPath {
		l.err = fmt.Errorf("file \"%s\" cannot be noted with size %d and a %s checksum of %d bytes",
			printable(string(path)), size, l.algorithm, len(checksum))
		return l.err
	}
	// A path mostly differs from the one before only in its last few bytes.
	shared := 0
	for shared < len(path) && shared < len(l.path) && path[shared] == l.path[shared] {
		shared++
	}
	b := binary.AppendUvarint(l.records, uint64(shared))
	b = binary.AppendUvarint(b, uint64(len(path)-shared))
	b = append(b, path[shared:]...)
	b = binary.AppendUvarint(b, uint64(size))
	l.records = append(b, checksum...)
	l.path = append(l.path[:shared], path[shared:]...)
	l.files++
	if len(l.records) >= l.limits.records {
		_, l.err = l.spill.write(l.records)
		l.records = l.records[:0]
	}
	return l.err
}

// Close frees the temporary file.
func (l *Ledger) Close() error {
	if l.err == nil {
		l.err = errLedgerClosed
	}
	l.records, l.path, l.joined = nil, nil, nil
	return l.spill.close()
}

// record is one file as a Ledger or a manifest has it.
type record struct {
	path      []byte
	size      int64
	algorithm ChecksumAlgorithm
	// The checksum, if it has the length that belongs to algorithm; its length
	// in any case.
	checksum       []byte
	checksumLength int64
}

// ledgerReader reads a Ledger's records back.
type ledgerReader struct {
	in *bufio.Reader
	record
	left int64
}

// reader reads all records: spilled bytes from the beginning of the temporary
// file, then what is in memory.
func (l *Ledger) reader(spilled int64) *ledgerReader {
	var src io.Reader = bytes.NewReader(l.records)
	if spilled > 0 {
		src = io.MultiReader(io.NewSectionReader(l.spill.file, 0, spilled), src)
	}
	r := &ledgerReader{in: bufio.NewReaderSize(src, 64<<10), left: l.files}
	r.algorithm = l.algorithm
	r.checksum = make([]byte, l.sumSize)
	r.checksumLength = int64(l.sumSize)
	return r
}

// next makes the next record the current one; ok is false behind the last.
func (r *ledgerReader) next() (ok bool, err error) {
	if r.left == 0 {
		return false, nil
	}
	r.left--
	if err := r.read(); err != nil {
		return false, fmt.Errorf("could not read temporary file: %w", err)
	}
	return true, nil
}

func (r *ledgerReader) read() error {
	shared, err := binary.ReadUvarint(r.in)
	if err != nil {
		return noEOF(err)
	}
	n, err := binary.ReadUvarint(r.in)
	if err != nil {
		return noEOF(err)
	}
	if shared > uint64(len(r.path)) || n > maxPath {
		return errors.New("its contents have changed")
	}
	r.path = append(r.path[:shared], make([]byte, n)...)
	if _, err := io.ReadFull(r.in, r.path[shared:]); err != nil {
		return noEOF(err)
	}
	size, err := binary.ReadUvarint(r.in)
	if err != nil {
		return noEOF(err)
	}
	r.size = int64(size)
	_, err = io.ReadFull(r.in, r.checksum)
	return noEOF(err)
}

// noEOF is for where more must follow.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// belowWAL tells whether path is that of a file in pg_wal. The server sends WAL
// segments without listing them in the manifest.
func belowWAL[T string | []byte](path T) bool {
	const dir = "pg_wal/"
	return len(path) >= len(dir) && string(path[:len(dir)]) == dir
}
