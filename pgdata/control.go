package pgdata

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/pgbasin/pgbasin/lsn"
)

// ControlFile is the name of the control file below the data directory, and ControlSize its size in bytes.
const (
	ControlFile = "global/pg_control"
	ControlSize = 8192
)

// What can be wrong with a control file as a whole; errors of ParseControl wrap them.
var (
	ErrByteOrder = errors.New("pg_control has the byte order of another kind of machine")
	ErrTooOld    = errors.New("pg_control is older than PostgreSQL 9.5")
	ErrChecksum  = errors.New("pg_control's checksum does not match its contents")
)

// Control is what pg_control says. Sizes are in bytes unless said otherwise. Fields that a version does not have are zero.
type Control struct {
	SystemID         uint64
	PGControlVersion uint32 // the format: 942 (9.5) to 1800 (18), 1300 for 13 to 16
	CatalogVersion   uint32 // such as 202506291

	// Complete says that the format is one of those described here. If it is false, as for a server that is newer than this
	// program, the fields down to PrevTimeline are right, which have not moved since 11, and all others are zero.
	Complete bool

	State        ClusterState
	Time         time.Time // when pg_control was last written, to the second, in UTC
	Checkpoint   lsn.LSN   // the last checkpoint's record
	Redo         lsn.LSN   // where that checkpoint's recovery starts
	Timeline     uint32    // the checkpoint's timeline
	PrevTimeline uint32    // the timeline before, if the checkpoint began a new one; else Timeline

	PrevCheckpoint    lsn.LSN // up to 10
	FullPageWrites    bool
	NextXID           uint64 // with the epoch in the upper 32 bits
	NextOID           uint32
	NextMulti         uint32
	NextMultiOffset   uint64 // 32 bits up to 18
	OldestXID         uint32
	OldestXIDDB       uint32
	OldestMulti       uint32
	OldestMultiDB     uint32
	CheckpointTime    time.Time
	OldestCommitTSXID uint32
	NewestCommitTSXID uint32
	OldestActiveXID   uint32

	UnloggedLSN         lsn.LSN
	MinRecoveryPoint    lsn.LSN // zero unless in archive recovery
	MinRecoveryTimeline uint32
	BackupStart         lsn.LSN // the redo point of the backup that is being recovered from; zero once its end was reached
	BackupEnd           lsn.LSN // the same for a backup taken from a standby
	EndOfBackupRequired bool

	WALLevel                string // as the version spells it: minimal, archive, hot_standby, replica, logical
	WALLogHints             bool
	MaxConnections          int32
	MaxWorkerProcesses      int32
	MaxWALSenders           int32 // from 12
	MaxPreparedTransactions int32
	MaxLocksPerTransaction  int32
	TrackCommitTimestamp    bool

	MaxAlign            uint32
	BlockSize           uint32
	RelSegSize          uint32 // in blocks
	WALBlockSize        uint32
	WALSegmentSize      uint32
	NameDataLen         uint32
	IndexMaxKeys        uint32
	ToastMaxChunkSize   uint32
	LargeObjectSize     uint32
	IntegerDatetimes    bool // true from 10 on
	Float4ByVal         bool // up to 12
	Float8ByVal         bool
	DataChecksumVersion uint32 // 0 without page checksums
	SignedChar          bool   // from 18: whether char was signed on the machine of initdb
	MockAuthNonce       []byte // from 10; 32 bytes
}

// ParseControl reads a control file of PostgreSQL 9.5 or newer, as a little-endian machine with 8-byte alignment writes it
// (every platform that this program is built for). The checksum is checked also in formats that it does not know. Errors wrap
// ErrByteOrder, ErrTooOld or ErrChecksum. The source of the layout is src/include/catalog/pg_control.h of each version.
func ParseControl(b []byte) (*Control, error) {
	if len(b) < stableSize {
		return nil, fmt.Errorf("pg_control has %d bytes, expected %d", len(b), ControlSize)
	}
	version := binary.LittleEndian.Uint32(b[8:])
	// The number of a format has not needed its upper half so far; swapped, it is nothing but that.
	if version&0xffff == 0 && version != 0 {
		return nil, fmt.Errorf("%w: version number %d", ErrByteOrder, binary.BigEndian.Uint32(b[8:]))
	}
	if version < format95 {
		return nil, fmt.Errorf("%w: version number %d", ErrTooOld, version)
	}
	l := &layout{b: b}
	c := new(Control)
	c.identity(l)
	// 9.4 and 9.5 share the number, but neither the layout nor the checksum.
	if version == format95 && c.CatalogVersion < firstCatalog95 {
		return nil, fmt.Errorf("%w: catalog version %d", ErrTooOld, c.CatalogVersion)
	}
	if !knownFormat(version) {
		if crcOffset(b) < 0 {
			return nil, fmt.Errorf("%w, or is not where it is expected: version number %d", ErrChecksum, version)
		}
		c.checkpointStart(l)
		return c, nil
	}
	if version < 1100 {
		c.PrevCheckpoint = l.lsn()
	}
	c.checkpointStart(l)
	c.checkpointRest(l, version)
	c.recovery(l)
	c.settings(l, version)
	c.build(l, version)
	sum := crc32.Checksum(l.taken(), castagnoli)
	stored := l.uint32()
	if l.short {
		return nil, fmt.Errorf("pg_control has %d bytes, expected %d", len(b), ControlSize)
	}
	if sum != stored {
		err := fmt.Errorf("%w: calculated %08x, stored %08x", ErrChecksum, sum, stored)
		if crcOffset(b) >= 0 {
			err = fmt.Errorf("pg_control has the layout of another kind of machine: its checksum is not where it is expected")
		}
		return nil, err
	}
	c.Complete = true
	return c, nil
}

// Formats with a place in the layout.
const (
	format95       = 942
	firstCatalog95 = 201412000 // 9.4 was released with 201409291
	stableSize     = 56        // up to and including PrevTimeline, from 11 on
)

func knownFormat(version uint32) bool {
	_, one := formatVersions[version]
	return one || version == 1300 // 13 to 16
}

func (c *Control) identity(l *layout) {
	c.SystemID = l.uint64()
	c.PGControlVersion = l.uint32()
	c.CatalogVersion = l.uint32()
	c.State = ClusterState(l.uint32())
	c.Time = l.time()
	c.Checkpoint = l.lsn()
}

// checkpointStart reads the fields that the copy of the checkpoint record has always begun with.
func (c *Control) checkpointStart(l *layout) {
	c.Redo = l.lsn()
	c.Timeline = l.uint32()
	c.PrevTimeline = l.uint32()
}

func (c *Control) checkpointRest(l *layout, version uint32) {
	c.FullPageWrites = l.bool()
	if version >= 1700 {
		l.uint32() // wal_level at the checkpoint
	}
	if version < 1201 {
		epoch := l.uint32()
		c.NextXID = uint64(epoch)<<32 | uint64(l.uint32())
	} else {
		c.NextXID = l.uint64()
	}
	c.NextOID = l.uint32()
	c.NextMulti = l.uint32()
	c.NextMultiOffset = uint64(l.uint32())
	c.OldestXID = l.uint32()
	c.OldestXIDDB = l.uint32()
	c.OldestMulti = l.uint32()
	c.OldestMultiDB = l.uint32()
	c.CheckpointTime = l.time()
	c.OldestCommitTSXID = l.uint32()
	c.NewestCommitTSXID = l.uint32()
	c.OldestActiveXID = l.uint32()
}

func (c *Control) recovery(l *layout) {
	c.UnloggedLSN = l.lsn()
	c.MinRecoveryPoint = l.lsn()
	c.MinRecoveryTimeline = l.uint32()
	c.BackupStart = l.lsn()
	c.BackupEnd = l.lsn()
	c.EndOfBackupRequired = l.bool()
}

func (c *Control) settings(l *layout, version uint32) {
	c.WALLevel = walLevel(version, l.uint32())
	c.WALLogHints = l.bool()
	c.MaxConnections = l.int32()
	c.MaxWorkerProcesses = l.int32()
	if version >= 1201 {
		c.MaxWALSenders = l.int32()
	}
	c.MaxPreparedTransactions = l.int32()
	c.MaxLocksPerTransaction = l.int32()
	c.TrackCommitTimestamp = l.bool()
}

func (c *Control) build(l *layout, version uint32) {
	c.MaxAlign = l.uint32()
	l.uint64() // a double, by which the server tells another floating-point format
	c.BlockSize = l.uint32()
	c.RelSegSize = l.uint32()
	c.WALBlockSize = l.uint32()
	c.WALSegmentSize = l.uint32()
	c.NameDataLen = l.uint32()
	c.IndexMaxKeys = l.uint32()
	c.ToastMaxChunkSize = l.uint32()
	c.LargeObjectSize = l.uint32()
	c.IntegerDatetimes = version >= 1002 || l.bool()
	if version < 1300 {
		c.Float4ByVal = l.bool()
	}
	c.Float8ByVal = l.bool()
	c.DataChecksumVersion = l.uint32()
	if version >= 1800 {
		c.SignedChar = l.bool()
	}
	if version >= 1002 {
		c.MockAuthNonce = bytes.Clone(l.bytes(32))
	}
}

// Version is the major version that writes this format; where several do, the one whose releases have this catalog version. It is
// not known for other formats, and for development versions of 13 to 16.
func (c *Control) Version() (v Version, ok bool) {
	if v, ok = formatVersions[c.PGControlVersion]; !ok && c.PGControlVersion == 1300 {
		v, ok = catalogVersions1300[c.CatalogVersion]
	}
	return v, ok
}

// PG_CONTROL_VERSION in src/include/catalog/pg_control.h.
var formatVersions = map[uint32]Version{
	942: 90500, 960: 90600, 1002: 100000, 1100: 110000, 1201: 120000, 1700: 170000, 1800: 180000,
}

// CATALOG_VERSION_NO in src/include/catalog/catversion.h, which does not change after a release.
var catalogVersions1300 = map[uint32]Version{202007201: 130000, 202107181: 140000, 202209061: 150000, 202307071: 160000}

var walLevels95 = []string{"minimal", "archive", "hot_standby", "logical"}
var walLevels = []string{"minimal", "replica", "logical"}

func walLevel(version, level uint32) string {
	names := walLevels
	if version < 960 {
		names = walLevels95
	}
	if int64(level) < int64(len(names)) {
		return names[level]
	}
	return fmt.Sprintf("unknown (%d)", level)
}

// ClusterState is what the server was doing when it last wrote pg_control.
type ClusterState uint32

// The states, as pg_control.h numbers them.
const (
	StartingUp ClusterState = iota
	ShutDown
	ShutDownInRecovery
	ShuttingDown
	InCrashRecovery
	InArchiveRecovery
	InProduction
)

var stateNames = []string{"starting up", "shut down", "shut down in recovery", "shutting down", "in crash recovery", "in archive recovery", "in production"}

// String is the state in pg_controldata's words.
func (s ClusterState) String() string {
	if int64(s) < int64(len(stateNames)) {
		return stateNames[s]
	}
	return fmt.Sprintf("unknown (%d)", uint32(s))
}
