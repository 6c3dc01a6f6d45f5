package wal

import (
	"encoding/binary"
	"iter"

	"github.com/pgbasin/pgbasin/lsn"
)

// recordHeaderSize is the size of XLogRecord in the server's xlogrecord.h. The
// checksum is in its last four bytes.
const (
	recordHeaderSize = 24
	recordCRCOffset  = 20
)

// Resource managers that this package decodes records of (rmgrlist.h).
const (
	RmgrXLOG        uint8 = 0
	RmgrTransaction uint8 = 1
)

// Record is one WAL record. It belongs to the Reader it comes from.
type Record struct {
	LSN      lsn.LSN // where it begins
	Next     lsn.LSN // end+1: where the next one begins, or the page or segment that holds it
	Prev     lsn.LSN // the record before
	Timeline uint32  // of the page that it begins on
	TotalLen uint32  // bytes with its header, without page headers
	XID      uint32  // 0 when it belongs to no transaction
	Info     uint8
	RmgrID   uint8

	// MainData is what the resource manager logged besides the data of blocks. It
	// is cut when the record is longer than ReaderOptions.KeepBytes.
	MainData []byte
	// MainDataLen is its length, in bytes, when it is not cut.
	MainDataLen uint32

	magic uint16 // of the page that it begins on
	// body is the record without its header, cut at KeepBytes; MainData and the
	// blocks lie in it.
	body []byte
}

// Version tells from the page's magic number which server wrote the record, as
// MagicVersion does.
func (r *Record) Version() (version int, known bool) { return MagicVersion(r.magic) }

// Block is a reference to a page of a relation.
type Block struct {
	ID         uint8
	Fork       uint8 // 0 main, 1 free space map, 2 visibility map, 3 init
	Tablespace uint32
	Database   uint32
	Relation   uint32 // file number
	Number     uint32
	DataLen    uint16
	HasImage   bool // a full-page image is in the record
	ApplyImage bool // and is to be restored; from 10 on there are images for consistency checks only
	WillInit   bool // replay makes the page anew
}

const (
	blockIDMax         = 32
	blockIDTopLevelXID = 252
	blockIDOrigin      = 253
	blockIDDataLong    = 254
	blockIDDataShort   = 255

	blockForkMask = 0x0F
	blockHasImage = 0x10
	blockHasData  = 0x20
	blockWillInit = 0x40
	blockSameRel  = 0x80

	imageHasHole = 0x01
	// Up to 14 these mean "compressed" and "apply"; from 15 on "apply" and
	// "compressed with pglz, lz4, zstd".
	imageCompressed14 = 0x02
	imageApply14      = 0x04
	imageApply        = 0x02
	imageCompressed   = 0x04 | 0x08 | 0x10
)

const (
	reasonInvalidLength = "record with invalid length"
	reasonOutOfOrder    = "out-of-order block_id"
	reasonInvalidBlock  = "invalid block_id"
	reasonNoPrevRel     = "BKPBLOCK_SAME_REL set but no previous rel"
	reasonNoData        = "BKPBLOCK_HAS_DATA set, but no data included"
	reasonUnflaggedData = "BKPBLOCK_HAS_DATA not set, but data length is not 0"
)

// blockCursor walks the headers at the beginning of a record's body.
type blockCursor struct {
	rest    []byte // of the body, what is left of the headers and all that follows
	left    uint64 // length of the record that rest begins; more than len(rest) when the record is cut
	payload uint64 // bytes of data that the headers so far announce
	lastID  int
	hasRel  bool
	rel     Block // of the last block that names its relation
	magic   uint16
	mainLen uint32
	done    bool
	cut     bool // the headers go on past what was kept of the record
	reason  string
}

func (c *blockCursor) take(n int) []byte {
	if uint64(n) > c.left {
		c.reason = reasonInvalidLength
		return nil
	}
	if n > len(c.rest) {
		c.cut, c.done = true, true
		return nil
	}
	b := c.rest[:n]
	c.rest = c.rest[n:]
	c.left -= uint64(n)
	return b
}

// next returns true for each block. Afterwards reason says what is wrong, if
// anything is.
func (c *blockCursor) next(b *Block) bool {
	for !c.done && c.left > c.payload {
		id := c.take(1)
		if id == nil {
			return false
		}
		switch {
		case id[0] == blockIDDataShort:
			if n := c.take(1); n != nil {
				c.mainLen = uint32(n[0])
				c.payload += uint64(c.mainLen)
			}
			c.done = true
		case id[0] == blockIDDataLong:
			if n := c.take(4); n != nil {
				c.mainLen = binary.LittleEndian.Uint32(n)
				c.payload += uint64(c.mainLen)
			}
			c.done = true
		case id[0] == blockIDOrigin:
			if c.take(2) == nil {
				return false
			}
		case id[0] == blockIDTopLevelXID:
			if c.take(4) == nil {
				return false
			}
		case id[0] <= blockIDMax:
			return c.block(id[0], b)
		default:
			c.reason = reasonInvalidBlock
			return false
		}
	}
	if c.reason == "" && !c.cut && c.left != c.payload {
		c.reason = reasonInvalidLength
	}
	return false
}

func (c *blockCursor) block(id uint8, b *Block) bool {
	if int(id) <= c.lastID {
		c.reason = reasonOutOfOrder
		return false
	}
	c.lastID = int(id)
	h := c.take(3)
	if h == nil {
		return false
	}
	flags, dataLen := h[0], binary.LittleEndian.Uint16(h[1:])
	if hasData := flags&blockHasData != 0; hasData && dataLen == 0 {
		c.reason = reasonNoData
		return false
	} else if !hasData && dataLen != 0 {
		c.reason = reasonUnflaggedData
		return false
	}
	c.payload += uint64(dataLen)
	var apply bool
	if flags&blockHasImage != 0 {
		h := c.take(5)
		if h == nil {
			return false
		}
		c.payload += uint64(binary.LittleEndian.Uint16(h))
		info := h[4]
		compressed := info&imageCompressed != 0
		apply = info&imageApply != 0
		if c.magic < magic15 {
			compressed = info&imageCompressed14 != 0
			apply = info&imageApply14 != 0 || c.magic < magic10
		}
		if compressed && info&imageHasHole != 0 && c.take(2) == nil {
			return false
		}
	}
	if flags&blockSameRel == 0 {
		h := c.take(12)
		if h == nil {
			return false
		}
		c.hasRel = true
		c.rel.Tablespace = binary.LittleEndian.Uint32(h)
		c.rel.Database = binary.LittleEndian.Uint32(h[4:])
		c.rel.Relation = binary.LittleEndian.Uint32(h[8:])
	} else if !c.hasRel {
		c.reason = reasonNoPrevRel
		return false
	}
	h = c.take(4)
	if h == nil {
		return false
	}
	*b = Block{
		ID: id, Fork: flags & blockForkMask,
		Tablespace: c.rel.Tablespace, Database: c.rel.Database, Relation: c.rel.Relation,
		Number:     binary.LittleEndian.Uint32(h),
		DataLen:    dataLen,
		HasImage:   flags&blockHasImage != 0,
		ApplyImage: apply,
		WillInit:   flags&blockWillInit != 0,
	}
	return true
}

func (r *Record) cursor() blockCursor {
	return blockCursor{
		rest: r.body, left: uint64(r.TotalLen) - recordHeaderSize, lastID: -1, magic: r.magic,
	}
}

// parse finds the main data behind the headers of blocks and their data. It
// returns what is wrong, or "".
func (r *Record) parse() (reason string) {
	r.MainData, r.MainDataLen = nil, 0
	c := r.cursor()
	var b Block
	for c.next(&b) {
	}
	if c.reason != "" {
		return c.reason
	}
	r.MainDataLen = c.mainLen
	// What is left after the headers is the blocks' data, then the main data.
	if skip := c.payload - uint64(c.mainLen); !c.cut && skip < uint64(len(c.rest)) {
		r.MainData = c.rest[skip:]
	}
	return ""
}

// Blocks are the pages that the record refers to, in the order of their IDs.
func (r *Record) Blocks() iter.Seq[Block] {
	return func(yield func(Block) bool) {
		c := r.cursor()
		var b Block
		for c.next(&b) {
			if !yield(b) {
				return
			}
		}
	}
}
