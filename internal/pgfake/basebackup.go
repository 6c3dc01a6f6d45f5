package pgfake

import (
	"encoding/binary"
	"fmt"

	"github.com/pgbasin/pgbasin/lsn"
)

// dataChunk is the bytes of an archive in one message (SINK_BUFFER_LENGTH, and
// TAR_SEND_SIZE before).
const dataChunk = 32 << 10

// BaseBackup is the answer to one BASE_BACKUP.
type BaseBackup struct {
	Start, Stop            lsn.LSN
	Timeline, StopTimeline uint32
	// Archives in the order in which they are sent; one without OID is the data
	// directory, which real servers send last.
	Archives []Archive
	// Manifest is sent if it was asked for; nil otherwise.
	Manifest []byte
	// Warnings are sent as notices before the stop point, and then the command
	// ends in an ERROR, as it does when page checksums do not fit.
	Warnings []string
}

// Archive is one tar archive of a backup.
type Archive struct {
	Name     string // "base.tar"; the suffix of a compression is added
	OID      uint32
	Location string
	Tar      []byte // without TarTrailer, which 15 and later send
	SizeKB   int64  // what the list of tablespaces says; that of Tar if 0
}

// makeBackup builds what was asked for.
func (c *Cluster) makeBackup(r BackupRequest, from *WALRange) *BaseBackup {
	c.mu.Lock()
	defer c.mu.Unlock()
	archives, listed := c.archives(r, from)
	b := &BaseBackup{Start: c.Start, Stop: c.Stop, Timeline: c.Timeline, StopTimeline: c.Timeline, Archives: archives}
	if r.Manifest != "no" {
		m := Manifest{
			Version: 1, SystemID: c.SystemID, Files: listed, Checksums: r.ManifestChecksums,
			ForceEncode: r.Manifest == "force-encode",
			Ranges:      []WALRange{{c.Timeline, c.Start, c.Stop}},
		}
		if c.version >= 170000 {
			m.Version = 2
		}
		b.Manifest = m.Bytes()
	}
	c.requests = append(c.requests, r)
	return b
}

func (c *Cluster) baseBackup(a *answer, cmd *command) error {
	r := cmd.backup
	var from *WALRange
	if r.IsIncremental {
		var err error
		if from, err = c.previous(); err != nil {
			return err
		}
	}
	b := c.makeBackup(r, from)
	if c.Edit != nil {
		c.Edit(r, b)
	}
	if err := c.position(a, PartStart, b.Start, b.Timeline); err != nil {
		return err
	}
	if err := c.tablespaces(a, r, b); err != nil {
		return err
	}
	send := c.separateCopies
	if c.version >= 150000 {
		send = c.oneCopy
	}
	if err := send(a, r, b); err != nil {
		return err
	}
	for _, w := range b.Warnings {
		if err := a.c.Send(Notice("WARNING", "01000", w)); err != nil {
			return err
		}
	}
	if err := c.position(a, PartStop, b.Stop, b.StopTimeline); err != nil {
		return err
	}
	if len(b.Warnings) > 0 {
		return refuse("XX001", "checksum verification failure during base backup")
	}
	return c.complete(a)
}

// position is a result set of one position. The timeline is there from 9.3 on.
func (c *Cluster) position(a *answer, part Part, at lsn.LSN, timeline uint32) error {
	columns, row := []Column{text("recptr")}, []any{at}
	if c.version >= 90300 {
		tli := Column{"tli", oidInt8, -1} // the length is the server's mistake, up to 15
		if c.version >= 160000 {
			tli.Len = 8
		}
		columns, row = append(columns, tli), append(row, timeline)
	}
	return a.send(part, "", Columns(columns...), Row(row...), CommandComplete("SELECT"))
}

func (c *Cluster) tablespaces(a *answer, r BackupRequest, b *BaseBackup) error {
	err := a.send(PartTablespaces, "", Columns(Column{"spcoid", oidOID, 4}, text("spclocation"), int8Column("size")))
	if err != nil {
		return err
	}
	for _, ar := range b.Archives {
		row := []any{nil, nil, nil}
		if ar.OID != 0 {
			row[0], row[1] = ar.OID, ar.Location
		}
		if r.Progress {
			row[2] = ar.SizeKB
			if ar.SizeKB == 0 {
				row[2] = len(ar.Tar) / 1024
			}
		}
		if err := a.send(PartTablespaces, "", Row(row...)); err != nil {
			return err
		}
	}
	return a.send(PartTablespaces, "", CommandComplete("SELECT"))
}

// separateCopies is the layout up to 14: a COPY for each archive, and from 13
// on one for the manifest.
func (c *Cluster) separateCopies(a *answer, r BackupRequest, b *BaseBackup) error {
	for _, ar := range b.Archives {
		if err := a.send(PartCopyBegin, ar.Name, CopyOut()); err != nil {
			return err
		}
		if err := sendChunks(a, PartData, ar.Name, nil, ar.Tar); err != nil {
			return err
		}
		if err := a.send(PartCopyEnd, ar.Name, CopyDone()); err != nil {
			return err
		}
	}
	if b.Manifest == nil {
		return nil
	}
	if err := a.send(PartCopyBegin, "", CopyOut()); err != nil {
		return err
	}
	if err := sendChunks(a, PartManifest, "", nil, b.Manifest); err != nil {
		return err
	}
	return a.send(PartCopyEnd, "", CopyDone())
}

// oneCopy is the layout from 15 on: one COPY for everything, whose messages
// begin with a type.
func (c *Cluster) oneCopy(a *answer, r BackupRequest, b *BaseBackup) error {
	if err := a.send(PartCopyBegin, "", CopyOut()); err != nil {
		return err
	}
	toClient := r.Target == "" || r.Target == "client"
	var done int64
	for _, ar := range b.Archives {
		data, trailer := ar.Tar, TarTrailer
		done += int64(len(data) + len(trailer))
		name := ar.Name
		if z := compressors[r.Compression]; z.open != nil {
			var err error
			if data, err = z.compress(append(data[:len(data):len(data)], trailer...)); err != nil {
				return fmt.Errorf("compress %s: %w", name, err)
			}
			name += z.suffix
			trailer = nil
		}
		if err := a.send(PartArchive, name, CopyData([]byte("n"+name+"\x00"+ar.Location+"\x00"))); err != nil {
			return err
		}
		if toClient {
			if err := sendChunks(a, PartData, name, []byte{'d'}, data); err != nil {
				return err
			}
			if err := sendChunks(a, PartTrailer, name, []byte{'d'}, trailer); err != nil {
				return err
			}
		}
		progress := CopyData(binary.BigEndian.AppendUint64([]byte{'p'}, uint64(done)))
		if err := a.send(PartProgress, name, progress); err != nil {
			return err
		}
	}
	if b.Manifest != nil {
		if err := a.send(PartManifest, "", CopyData([]byte{'m'})); err != nil {
			return err
		}
		if toClient {
			if err := sendChunks(a, PartManifest, "", []byte{'d'}, b.Manifest); err != nil {
				return err
			}
		}
	}
	return a.send(PartCopyEnd, "", CopyDone())
}

func sendChunks(a *answer, part Part, archive string, prefix, data []byte) error {
	for len(data) > 0 {
		n := min(len(data), dataChunk)
		if err := a.send(part, archive, CopyData(append(prefix[:len(prefix):len(prefix)], data[:n]...))); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}
