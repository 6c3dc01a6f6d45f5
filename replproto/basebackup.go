package replproto

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/pgbasin/pgbasin/lsn"
)

// Tablespace is a row of the list with which BASE_BACKUP begins.
type Tablespace struct {
	OID      uint32 // 0 for the data directory itself
	Location string // "" for the data directory; relative for an in-place tablespace (15 and later)
	Size     int64  // bytes, estimated in steps of 1 kB; -1 if the server was not asked
}

// BaseBackup is a base backup that a server is sending. Archives come one
// after the other, the manifest last. For one goroutine.
type BaseBackup struct {
	Start       lsn.LSN
	Timeline    uint32
	Tablespaces []Tablespace // in the order in which their archives come; the data directory is the last

	// OnProgress, if set, gets the number of bytes that the server has
	// processed, uncompressed, when it says so (15 and later, at most once a
	// second).
	OnProgress func(done int64)

	c        *Conn
	stream   layout
	current  *Archive
	finished bool
}

// Archive is one tar archive of a backup, or its manifest. It is read to its
// end by Read or WriteTo before the next one is asked for; what is left unread
// is skipped.
type Archive struct {
	Name     string // "base.tar", "16385.tar", with ".gz", ".lz4" or ".zst" if the server compressed it; "backup_manifest"
	Manifest bool
	// Tablespace is the one whose files the archive holds; nil for the manifest.
	Tablespace *Tablespace

	b *BaseBackup
	// rest is what the last chunk brought and Read did not take yet.
	rest []byte
	err  error
}

// layout is how archives are wrapped in COPY streams, which changed in 15.
type layout interface {
	// next ends the current archive, if any, and returns the following one;
	// io.EOF after the last.
	next() (*Archive, error)
	// chunk returns a piece of the current archive, valid until the next call,
	// and io.EOF at its end.
	chunk() ([]byte, error)
}

// archiverNotice is when a server that waits for its archiver has said so: it does
// after six seconds (do_pg_backup_stop in xlog.c).
const archiverNotice = 10 * time.Second

// BaseBackup runs BASE_BACKUP and returns when the server has done its
// checkpoint and is about to send the first archive. ctx holds until Finish has
// returned.
func (c *Conn) BaseBackup(ctx context.Context, o BaseBackupOptions) (*BaseBackup, error) {
	const name = "BASE_BACKUP"
	sql, err := o.command(c.version, c.ServerVersionString())
	if err != nil {
		return nil, err
	}
	var timeline uint32
	if c.version < v9_3 {
		// These do not send the timeline of the start point.
		s, err := c.IdentifySystem(ctx)
		if err != nil {
			return nil, err
		}
		timeline = s.Timeline
	}
	if err := c.begin(ctx); err != nil {
		return nil, err
	}
	// A checkpoint comes first, which takes as long as it takes, and the sizes of
	// tablespaces are found out before the list of them.
	c.wire.allow(0, nil)
	if err := c.query(sql); err != nil {
		return nil, c.fail(err)
	}
	rows, err := c.resultSet(name)
	if err != nil {
		return nil, fmt.Errorf("could not initiate base backup: %w", err)
	}
	b := &BaseBackup{c: c, Timeline: timeline}
	if b.Start, err = c.parsePosition(rows, &b.Timeline); err == nil && b.Start == 0 {
		err = errors.New("the backup cannot begin at 0/0")
	}
	if err != nil {
		return nil, c.fail(fmt.Errorf("server returned unexpected response to BASE_BACKUP command: %w", err))
	}
	if rows, err = c.resultSet(name); err != nil {
		return nil, fmt.Errorf("could not get backup header: %w", err)
	}
	if b.Tablespaces, err = parseTablespaces(rows); err != nil {
		return nil, c.fail(fmt.Errorf("could not get backup header: %w", err))
	}
	// At its end the server may wait for its archiver.
	c.waits = !o.NoWait
	silence := c.timeout
	switch {
	case o.Target != "":
		// What it stores by itself it syncs, archive by archive, in silence.
		silence = 0
	case c.waits && silence > 0:
		silence = max(silence, archiverNotice)
	}
	c.wire.allow(silence, nil)
	if c.version >= v15 {
		b.stream = &singleCopy{b: b, asked: o.Manifest}
	} else {
		b.stream = &copyPerArchive{b: b, manifest: o.Manifest}
	}
	return b, nil
}

// Next returns the next archive, or io.EOF after the last one: call Finish
// then.
func (b *BaseBackup) Next() (*Archive, error) {
	if b.current != nil {
		for b.current.err == nil {
			b.current.fill()
		}
		if b.current.err != io.EOF {
			return nil, b.current.err
		}
	}
	a, err := b.stream.next()
	if err != nil {
		b.finished = err == io.EOF
		b.current = nil
		return nil, err
	}
	a.b = b
	b.current = a
	return a, nil
}

// Finish reads the point up to which WAL is needed to make the backup
// consistent. A page checksum failure is reported only now, as a *ServerError
// with CodeDataCorrupted: the stop point is returned with it, because all of
// the data has arrived.
func (b *BaseBackup) Finish() (stop lsn.LSN, timeline uint32, err error) {
	const name = "BASE_BACKUP"
	if !b.finished {
		return 0, 0, errors.New("the backup's archives have not been read to their end")
	}
	rows, err := b.c.resultSet(name)
	if err != nil {
		return 0, 0, fmt.Errorf("backup failed: %w", err)
	}
	timeline = b.Timeline
	stop, err = b.c.parsePosition(rows, &timeline)
	if err == nil && (stop < b.Start || timeline < b.Timeline) {
		err = fmt.Errorf("it ends at %s on timeline %d, before it began at %s on timeline %d", stop, timeline, b.Start, b.Timeline)
	}
	if err != nil {
		return 0, 0, b.c.fail(fmt.Errorf("no write-ahead log end position returned from server: %w", err))
	}
	if err := b.c.ready(name); err != nil {
		if HasCode(err, CodeDataCorrupted) {
			return stop, timeline, fmt.Errorf("checksum error occurred: %w", err)
		}
		return 0, 0, fmt.Errorf("final receive failed: %w", err)
	}
	return stop, timeline, nil
}

// Read gives the archive's bytes. io.EOF means that the server said so; an
// archive that was cut off ends in another error.
func (a *Archive) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(a.rest) == 0 {
		if a.err != nil {
			return 0, a.err
		}
		a.fill()
	}
	n := copy(p, a.rest)
	a.rest = a.rest[n:]
	return n, nil
}

// WriteTo writes the archive to w in the pieces in which the network brought
// it, without copying them.
func (a *Archive) WriteTo(w io.Writer) (int64, error) {
	var total int64
	for {
		if len(a.rest) > 0 {
			n, err := w.Write(a.rest)
			total += int64(n)
			a.rest = a.rest[n:]
			if err != nil {
				return total, err
			}
		}
		if a.err == io.EOF {
			return total, nil
		}
		if a.err != nil {
			return total, a.err
		}
		a.fill()
	}
}

func (a *Archive) fill() {
	if a.rest, a.err = a.b.stream.chunk(); a.err != nil && a.err != io.EOF {
		a.err = fmt.Errorf("could not read COPY data of %s: %w", a.Name, a.err)
	}
}

// parsePosition reads the row of a start or stop point. Its timeline is there
// from 9.3 on; timeline is left alone before.
func (c *Conn) parsePosition(rows []row, timeline *uint32) (lsn.LSN, error) {
	fields := 2
	if c.version < v9_3 {
		fields = 1
	}
	if len(rows) != 1 || len(rows[0]) < fields {
		return 0, shape(rows, fields)
	}
	if fields > 1 {
		t, err := parseTimeline(rows[0].text(1))
		if err != nil {
			return 0, err
		}
		*timeline = t
	}
	return lsn.Parse(rows[0].text(0))
}

func parseTablespaces(rows []row) ([]Tablespace, error) {
	if len(rows) == 0 {
		return nil, errors.New("no data returned from server")
	}
	list := make([]Tablespace, len(rows))
	listed := make(map[uint32]bool, len(rows))
	for i, r := range rows {
		if len(r) < 3 {
			return nil, shape(rows[i:i+1], 3)
		}
		t := &list[i]
		if !r.null(0) {
			oid, err := strconv.ParseUint(r.text(0), 10, 32)
			if err != nil || oid == 0 || r.text(1) == "" {
				return nil, fmt.Errorf("bad tablespace %q at %q", r.text(0), r.text(1))
			}
			t.OID, t.Location = uint32(oid), r.text(1)
		}
		if listed[t.OID] {
			return nil, fmt.Errorf("tablespace %d is listed twice", t.OID)
		}
		listed[t.OID] = true
		t.Size = -1
		if !r.null(2) {
			kB, err := strconv.ParseInt(r.text(2), 10, 64)
			if err != nil || kB < 0 || kB > 1<<52 {
				return nil, fmt.Errorf("bad size %q of tablespace %q", r.text(2), r.text(0))
			}
			t.Size = kB << 10
		}
	}
	if !listed[0] {
		return nil, errors.New("the data directory is not listed")
	}
	return list, nil
}
