package basebackup

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/pgbasin/pgbasin/internal/fields"
	"github.com/pgbasin/pgbasin/internal/journal"
	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/manifest"
	"github.com/pgbasin/pgbasin/pgdata"
)

// JournalName is the file in a data directory that tells of a backup under way which
// files arrived whole. It is gone when the backup is complete.
const JournalName = pgdata.JournalFile

const journalKind = "base backup 1"

// attempt is what the journal says of one attempt to take the backup, which comes
// before the files that it brought.
type attempt struct {
	systemID  uint64
	major     int // of the server
	timeline  uint32
	start     lsn.LSN
	blockSize int // bytes
	algorithm manifest.ChecksumAlgorithm
	slot      string // that was made for the backup
	places    []place
}

// place is a directory of the backup.
type place struct {
	name     string // in the data directory: "", "pg_wal", "pg_tblspc/16385"
	location string // of a tablespace on the server
	path     string // here
	made     string // the uppermost directory that was made for it
}

// arrival is a relation file as the journal knows it.
type arrival struct {
	path     string // as in the manifest
	size     int64  // bytes
	modTime  int64  // here, in ns since 1970
	newest   lsn.LSN
	checksum []byte
}

// The records of the journal. Later ones of a file supersede earlier ones.
const (
	recordAttempt = 'A'
	recordFile    = 'F' // has arrived whole
	recordForget  = 'X' // is about to be changed or replaced, or is gone
)

func (a *attempt) record() []byte {
	b := []byte{recordAttempt}
	b = binary.AppendUvarint(b, a.systemID)
	b = binary.AppendUvarint(b, uint64(a.major))
	b = binary.AppendUvarint(b, uint64(a.timeline))
	b = binary.AppendUvarint(b, uint64(a.start))
	b = binary.AppendUvarint(b, uint64(a.blockSize))
	b = binary.AppendUvarint(b, uint64(a.algorithm))
	b = fields.AppendString(b, a.slot)
	b = binary.AppendUvarint(b, uint64(len(a.places)))
	for _, p := range a.places {
		b = fields.AppendString(b, p.name)
		b = fields.AppendString(b, p.location)
		b = fields.AppendString(b, p.path)
		b = fields.AppendString(b, p.made)
	}
	return b
}

func (f *arrival) record() []byte {
	b := []byte{recordFile}
	b = fields.AppendString(b, f.path)
	b = binary.AppendUvarint(b, uint64(f.size))
	b = binary.AppendUvarint(b, uint64(f.modTime))
	b = binary.AppendUvarint(b, uint64(f.newest))
	b = fields.AppendString(b, string(f.checksum))
	return b
}

func forgetRecord(path string) []byte {
	b := []byte{recordForget}
	b = fields.AppendString(b, path)
	return b
}

// journalReader is told what a journal holds, in order.
type journalReader interface {
	attempt(attempt) error
	file(arrival) error
	forget(path string) error
}

var errRecord = errors.New("has a record that makes no sense")

// readJournal reads a journal to its end, which it returns.
func readJournal(in io.Reader, path string, to journalReader) (end int64, err error) {
	r := journal.NewReader(in, path, journalKind)
	attempts := 0
	var algorithm manifest.ChecksumAlgorithm
	for {
		b, err := r.Next()
		if err == io.EOF {
			return r.End(), nil
		}
		if err != nil {
			return 0, err
		}
		d := fields.NewDecoder(b[1:])
		switch kind := b[0]; {
		case kind == recordAttempt:
			attempts++
			a := decodeAttempt(&d)
			if algorithm = a.algorithm; d.Ended() {
				err = to.attempt(a)
			}
		case attempts == 0:
			d.Fail()
		case kind == recordFile:
			f := decodeArrival(&d)
			if d.Ended() && f.size >= 0 && len(f.checksum) == algorithm.Size() {
				err = to.file(f)
			} else {
				d.Fail()
			}
		case kind == recordForget:
			if path := d.Text(); d.Ended() {
				err = to.forget(path)
			}
		default:
			d.Fail()
		}
		if d.Bad() {
			err = errRecord
		}
		if err != nil {
			return 0, fmt.Errorf("journal %q, before byte %d: %w", path, r.End(), err)
		}
	}
}

func decodeAttempt(d *fields.Decoder) attempt {
	a := attempt{
		systemID: d.Uvarint(), major: int(d.Limited(1 << 20)), timeline: uint32(d.Limited(1<<32 - 1)), start: lsn.LSN(d.Uvarint()),
		blockSize: int(d.Limited(1 << 20)), algorithm: manifest.ChecksumAlgorithm(d.Limited(uint64(manifest.SHA512))), slot: d.Text(),
	}
	for n := d.Limited(journal.MaxRecord); n > 0 && !d.Bad(); n-- {
		a.places = append(a.places, place{d.Text(), d.Text(), d.Text(), d.Text()})
	}
	if a.blockSize == 0 || a.timeline == 0 || a.algorithm == manifest.None {
		d.Fail()
	}
	return a
}

func decodeArrival(d *fields.Decoder) arrival {
	return arrival{d.Text(), int64(d.Uvarint()), int64(d.Uvarint()), lsn.LSN(d.Uvarint()), []byte(d.Text())}
}

// HasJournal tells whether a backup that was broken off is in the data directory at
// path, which Options.Resume may go on with.
func HasJournal(path string) bool {
	info, err := os.Lstat(filepath.Join(path, JournalName))
	return err == nil && info.Mode().IsRegular()
}
