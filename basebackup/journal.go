package basebackup

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

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
	e := encoder{recordAttempt}
	e.number(a.systemID)
	e.number(uint64(a.major))
	e.number(uint64(a.timeline))
	e.number(uint64(a.start))
	e.number(uint64(a.blockSize))
	e.number(uint64(a.algorithm))
	e.text(a.slot)
	e.number(uint64(len(a.places)))
	for _, p := range a.places {
		e.text(p.name)
		e.text(p.location)
		e.text(p.path)
		e.text(p.made)
	}
	return e
}

func (f *arrival) record() []byte {
	e := encoder{recordFile}
	e.text(f.path)
	e.number(uint64(f.size))
	e.number(uint64(f.modTime))
	e.number(uint64(f.newest))
	e.text(string(f.checksum))
	return e
}

func forgetRecord(path string) []byte {
	e := encoder{recordForget}
	e.text(path)
	return e
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
		d := decoder{b: b[1:]}
		switch kind := b[0]; {
		case kind == recordAttempt:
			attempts++
			a := d.attempt()
			if algorithm = a.algorithm; d.ended() {
				err = to.attempt(a)
			}
		case attempts == 0:
			d.bad = true
		case kind == recordFile:
			f := d.file()
			if d.ended() && f.size >= 0 && len(f.checksum) == algorithm.Size() {
				err = to.file(f)
			} else {
				d.bad = true
			}
		case kind == recordForget:
			if path := d.text(); d.ended() {
				err = to.forget(path)
			}
		default:
			d.bad = true
		}
		if d.bad {
			err = errRecord
		}
		if err != nil {
			return 0, fmt.Errorf("journal %q, before byte %d: %w", path, r.End(), err)
		}
	}
}

func (d *decoder) attempt() attempt {
	a := attempt{
		systemID: d.number(), major: int(d.limited(1 << 20)), timeline: uint32(d.limited(1<<32 - 1)), start: lsn.LSN(d.number()),
		blockSize: int(d.limited(1 << 20)), algorithm: manifest.ChecksumAlgorithm(d.limited(uint64(manifest.SHA512))), slot: d.text(),
	}
	for n := d.limited(journal.MaxRecord); n > 0 && !d.bad; n-- {
		a.places = append(a.places, place{d.text(), d.text(), d.text(), d.text()})
	}
	if a.blockSize == 0 || a.timeline == 0 || a.algorithm == manifest.None {
		d.bad = true
	}
	return a
}

func (d *decoder) file() arrival {
	return arrival{d.text(), int64(d.number()), int64(d.number()), lsn.LSN(d.number()), []byte(d.text())}
}

// HasJournal tells whether a backup that was broken off is in the data directory at
// path, which Options.Resume may go on with.
func HasJournal(path string) bool {
	info, err := os.Lstat(filepath.Join(path, JournalName))
	return err == nil && info.Mode().IsRegular()
}
