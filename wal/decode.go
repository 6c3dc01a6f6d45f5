package wal

import (
	"bytes"
	"encoding/binary"
	"time"

	"github.com/pgbasin/pgbasin/lsn"
)

// The high four bits of Info belong to the resource manager.
const rmgrInfoMask = 0xF0

// Records of RmgrXLOG (pg_control.h).
const (
	xlogCheckpointShutdown  = 0x00
	xlogCheckpointOnline    = 0x10
	xlogSwitch              = 0x40
	xlogBackupEnd           = 0x50
	xlogRestorePoint        = 0x70
	xlogEndOfRecovery       = 0x90
	xlogOverwriteContrecord = 0xD0
)

// Records of RmgrTransaction (xact.h).
const (
	xactOpMask  = 0x70
	xactHasInfo = 0x80

	xactCommit         = 0x00
	xactPrepare        = 0x10
	xactAbort          = 0x20
	xactCommitPrepared = 0x30
	xactAbortPrepared  = 0x40

	xinfoDatabase     = 1 << 0
	xinfoSubxacts     = 1 << 1
	xinfoRelations    = 1 << 2
	xinfoInvals       = 1 << 3
	xinfoTwoPhase     = 1 << 4
	xinfoDroppedStats = 1 << 8
)

// TransactionKind is how a transaction ended, or that it was prepared.
type TransactionKind int

// Kinds of transaction records.
const (
	Commit TransactionKind = iota + 1
	Abort
	Prepare
	CommitPrepared
	AbortPrepared
)

func (k TransactionKind) String() string {
	switch k {
	case Commit:
		return "COMMIT"
	case Abort:
		return "ABORT"
	case Prepare:
		return "PREPARE"
	case CommitPrepared:
		return "COMMIT_PREPARED"
	case AbortPrepared:
		return "ABORT_PREPARED"
	}
	return "unknown"
}

// Transaction is what a record says of the end of a transaction.
type Transaction struct {
	Kind TransactionKind
	// XID is the transaction's; for CommitPrepared and AbortPrepared that of the
	// prepared one. It is 0 for what had none, and when the record was cut.
	XID  uint32
	Time time.Time // by the server's clock
}

// Ends tells whether the transaction is over with the record, and recovery can
// stop at it.
func (t Transaction) Ends() bool { return t.Kind != Prepare && t.Kind != 0 }

// Transaction decodes commits, aborts and prepared transactions.
func (r *Record) Transaction() (t Transaction, ok bool) {
	if r.RmgrID != RmgrTransaction {
		return t, false
	}
	d := r.MainData
	switch r.Info & xactOpMask {
	case xactCommit:
		t.Kind = Commit
	case xactAbort:
		t.Kind = Abort
	case xactCommitPrepared:
		t.Kind = CommitPrepared
	case xactAbortPrepared:
		t.Kind = AbortPrepared
	case xactPrepare:
		// xl_xact_prepare, TwoPhaseFileHeader before 12
		if len(d) < 24 {
			return t, false
		}
		return Transaction{Prepare, binary.LittleEndian.Uint32(d[8:]), timestamp(d[16:])}, true
	default:
		return t, false
	}
	if len(d) < 8 {
		return t, false
	}
	t.Time = timestamp(d)
	t.XID = r.XID
	if t.Kind == CommitPrepared || t.Kind == AbortPrepared {
		t.XID = r.twoPhaseXID()
	}
	return t, true
}

// twoPhaseXID finds the number of the prepared transaction behind the other parts
// of a commit or abort (ParseCommitRecord in xactdesc.c). It is 0 when the record
// does not hold it.
func (r *Record) twoPhaseXID() uint32 {
	if r.Info&xactHasInfo == 0 {
		return 0
	}
	statsItem := uint64(16)
	if r.magic < magic18 {
		statsItem = 12
	}
	d := r.MainData[8:]
	if len(d) < 4 {
		return 0
	}
	info := binary.LittleEndian.Uint32(d)
	d = d[4:]
	if info&xinfoTwoPhase == 0 {
		return 0
	}
	if info&xinfoDatabase != 0 {
		if len(d) < 8 {
			return 0
		}
		d = d[8:]
	}
	for _, part := range [...]struct {
		flag uint32
		size uint64 // bytes of each item, after their number
	}{
		{xinfoSubxacts, 4},
		{xinfoRelations, 12},
		{xinfoDroppedStats, statsItem}, // from 15 on
		{xinfoInvals, 16},
	} {
		if info&part.flag == 0 {
			continue
		}
		if len(d) < 4 {
			return 0
		}
		n := uint64(binary.LittleEndian.Uint32(d)) * part.size
		d = d[4:]
		if n > uint64(len(d)) {
			return 0
		}
		d = d[n:]
	}
	if len(d) < 4 {
		return 0
	}
	return binary.LittleEndian.Uint32(d)
}

// RestorePoint decodes what pg_create_restore_point wrote. Recovery with
// recovery_target_name ends at the end of the record.
func (r *Record) RestorePoint() (name string, at time.Time, ok bool) {
	if !r.isXLOG(xlogRestorePoint) || len(r.MainData) < 9 {
		return "", at, false
	}
	b, _, _ := bytes.Cut(r.MainData[8:], []byte{0})
	return string(b), timestamp(r.MainData), true
}

// BackupEnd decodes the record that ends a backup: start is where that backup
// started, the START WAL LOCATION of its backup_label.
func (r *Record) BackupEnd() (start lsn.LSN, ok bool) {
	if !r.isXLOG(xlogBackupEnd) || len(r.MainData) < 8 {
		return 0, false
	}
	return lsn.LSN(binary.LittleEndian.Uint64(r.MainData)), true
}

// Checkpoint is a checkpoint, or the record that a server writes at the end of
// recovery in place of one.
type Checkpoint struct {
	Redo          lsn.LSN // where recovery from it begins; 0 at the end of recovery
	Timeline      uint32
	PrevTimeline  uint32 // Timeline, unless the record is the first of it
	Time          time.Time
	NextXID       uint64 // with its epoch in the high half; 0 at the end of recovery
	Shutdown      bool
	EndOfRecovery bool
}

// Checkpoint decodes checkpoints and ends of recovery.
func (r *Record) Checkpoint() (c Checkpoint, ok bool) {
	if r.RmgrID != RmgrXLOG {
		return c, false
	}
	d := r.MainData
	switch r.Info & rmgrInfoMask {
	case xlogCheckpointShutdown:
		c.Shutdown = true
	case xlogCheckpointOnline:
	case xlogEndOfRecovery:
		if len(d) < 16 {
			return c, false
		}
		return Checkpoint{
			Time:          timestamp(d),
			Timeline:      binary.LittleEndian.Uint32(d[8:]),
			PrevTimeline:  binary.LittleEndian.Uint32(d[12:]),
			EndOfRecovery: true,
		}, true
	default:
		return c, false
	}
	// The struct grew when nextXid became one aligned number of 64 bits, in 12.
	const size95, size12 = 80, 88
	if len(d) < size95 {
		return Checkpoint{}, false
	}
	c.Redo = lsn.LSN(binary.LittleEndian.Uint64(d))
	c.Timeline = binary.LittleEndian.Uint32(d[8:])
	c.PrevTimeline = binary.LittleEndian.Uint32(d[12:])
	var at uint64
	if len(d) < size12 {
		epoch, xid := binary.LittleEndian.Uint32(d[20:]), binary.LittleEndian.Uint32(d[24:])
		c.NextXID = uint64(epoch)<<32 | uint64(xid)
		at = binary.LittleEndian.Uint64(d[56:])
	} else {
		c.NextXID = binary.LittleEndian.Uint64(d[24:])
		at = binary.LittleEndian.Uint64(d[64:])
	}
	c.Time = time.Unix(int64(at), 0) // pg_time_t
	return c, true
}

// IsSwitch tells whether the rest of the segment is unused.
func (r *Record) IsSwitch() bool { return r.isXLOG(xlogSwitch) }

// OverwriteContrecord decodes the record that stands in place of the rest of a
// record that a crash cut off: where that one begins, and when it was given up.
// Servers write it from 10.19, 11.14, 12.9, 13.5 and 14.1 on.
func (r *Record) OverwriteContrecord() (overwritten lsn.LSN, at time.Time, ok bool) {
	if !r.isXLOG(xlogOverwriteContrecord) || len(r.MainData) < 16 {
		return 0, at, false
	}
	return lsn.LSN(binary.LittleEndian.Uint64(r.MainData)), timestamp(r.MainData[8:]), true
}

func (r *Record) isXLOG(info uint8) bool { return r.RmgrID == RmgrXLOG && r.Info&rmgrInfoMask == info }

// timestamp reads a TimestampTz: microseconds since 2000-01-01.
func timestamp(b []byte) time.Time {
	const epoch = 946684800 // 2000-01-01 in Unix time
	us := int64(binary.LittleEndian.Uint64(b))
	return time.Unix(us/1e6+epoch, us%1e6*1e3)
}
