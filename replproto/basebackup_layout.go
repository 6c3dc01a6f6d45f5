package replproto

import (
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// ManifestName is the name under which a backup's manifest is handed out and
// stored.
const ManifestName = "backup_manifest"

// copyPerArchive is the layout of servers up to 14: a COPY for each archive in
// the order of the tablespace list, and from 13 on one more for the manifest.
type copyPerArchive struct {
	b        *BaseBackup
	manifest bool // was asked for and has not come yet
	started  int  // archives begun
	isTar    bool // the current one is an archive, not the manifest
	ended    bool // the server ended the current COPY
}

// tarEnd are the two zero blocks that these servers leave out. Adding them
// here makes every archive of every server a whole tar.
var tarEnd [1024]byte

func (l *copyPerArchive) next() (*Archive, error) {
	c := l.b.c
	a := &Archive{}
	switch {
	case l.started < len(l.b.Tablespaces):
		t := &l.b.Tablespaces[l.started]
		a.Name, a.Tablespace = ArchiveName(t.OID), t
		l.isTar = true
	case l.manifest:
		a.Name, a.Manifest = ManifestName, true
		l.isTar, l.manifest = false, false
	default:
		return nil, io.EOF
	}
	l.started++
	l.ended = false
	if err := c.expect('H', "BASE_BACKUP"); err != nil {
		return nil, fmt.Errorf("could not get COPY data stream of %s: %w", a.Name, err)
	}
	return a, nil
}

func (l *copyPerArchive) chunk() ([]byte, error) {
	if l.ended {
		return nil, io.EOF
	}
	c := l.b.c
	for c.wire.left == 0 {
		typ, err := c.receive()
		if err != nil {
			return nil, err
		}
		switch typ {
		case 'd':
		case 'c':
			l.ended = true
			if l.isTar {
				return tarEnd[:], nil
			}
			return nil, io.EOF
		default:
			return nil, c.unexpected(typ, "BASE_BACKUP")
		}
	}
	p, err := c.wire.chunk()
	if err != nil {
		return nil, c.fail(err)
	}
	c.gotOn()
	return p, nil
}

// singleCopy is the layout from 15 on: one COPY, in which the first byte of
// each CopyData says what it is.
type singleCopy struct {
	b        *BaseBackup
	begun    bool
	done     bool                 // CopyDone has come
	pending  *Archive             // its announcement ended the archive before
	seen     map[*Tablespace]bool // whose archives have come
	asked    bool                 // for a manifest
	manifest bool                 // it has come; nothing may follow
}

func (l *singleCopy) next() (*Archive, error) {
	c := l.b.c
	if !l.begun {
		if err := c.expect('H', "BASE_BACKUP"); err != nil {
			return nil, fmt.Errorf("could not get COPY data stream: %w", err)
		}
		l.begun, l.seen = true, map[*Tablespace]bool{}
		switch p, err := l.chunk(); {
		case err == io.EOF:
		case err != nil:
			return nil, fmt.Errorf("could not read COPY data: %w", err)
		case p != nil:
			return nil, c.fail(protocolErrorf("unexpected payload data"))
		}
	}
	a := l.pending
	l.pending = nil
	if a == nil {
		// CopyDone: every archive must have come.
		if len(l.seen) != len(l.b.Tablespaces) {
			return nil, c.fail(protocolErrorf("server sent %d archives for %d tablespaces", len(l.seen), len(l.b.Tablespaces)))
		}
		if l.asked && !l.manifest {
			return nil, c.fail(protocolErrorf("server sent no backup manifest"))
		}
		return nil, io.EOF
	}
	return a, nil
}

func (l *singleCopy) chunk() ([]byte, error) {
	c := l.b.c
	for c.wire.left == 0 {
		if l.done || l.pending != nil {
			return nil, io.EOF
		}
		typ, err := c.receive()
		if err != nil {
			return nil, err
		}
		switch typ {
		case 'd':
			if err := l.message(); err != nil {
				return nil, err
			}
		case 'c':
			l.done = true
		default:
			return nil, c.unexpected(typ, "BASE_BACKUP")
		}
	}
	p, err := c.wire.chunk()
	if err != nil {
		return nil, c.fail(err)
	}
	c.gotOn()
	return p, nil
}

// message reads the type byte of a CopyData message, and all of it unless it
// holds data.
func (l *singleCopy) message() error {
	c := l.b.c
	size := c.wire.left
	if size == 0 {
		return c.fail(protocolErrorf("empty COPY message"))
	}
	if err := c.wire.fill(1); err != nil {
		return c.fail(err)
	}
	kind := c.wire.buf[c.wire.r]
	c.wire.r++
	c.wire.left--
	if kind == 'd' {
		return nil
	}
	body, err := c.wire.body()
	if err == nil {
		err = c.talked(len(body))
	}
	if err != nil {
		return c.fail(err)
	}
	switch kind {
	case 'n':
		name, rest, ok := cutString(body)
		location, rest, ok2 := cutString(rest)
		if ok && ok2 && len(rest) == 0 {
			return l.announce(name, location)
		}
	case 'm':
		if len(body) == 0 {
			if !l.asked {
				return c.fail(protocolErrorf("server sent a backup manifest that was not asked for"))
			}
			if l.manifest {
				return c.fail(protocolErrorf("server sent a second backup manifest"))
			}
			l.manifest = true
			l.pending = &Archive{Name: ManifestName, Manifest: true}
			return nil
		}
	case 'p':
		if len(body) == 8 {
			if l.b.OnProgress != nil {
				l.b.OnProgress(int64(binary.BigEndian.Uint64(body)))
			}
			return nil
		}
	}
	return c.fail(protocolErrorf("malformed COPY message of type %d, length %d", kind, size))
}

func (l *singleCopy) announce(name, location string) error {
	c := l.b.c
	if name == "" || name[0] == '.' || strings.ContainsAny(name, `/\`) {
		return c.fail(fmt.Errorf("invalid archive name: %q", name))
	}
	if l.manifest {
		return c.fail(protocolErrorf("archives must precede manifest"))
	}
	for i := range l.b.Tablespaces {
		t := &l.b.Tablespaces[i]
		// The name becomes a file's name in a tar format backup, so it must
		// fit the tablespace too, whatever suffix a compression brings.
		suffix, ok := strings.CutPrefix(name, ArchiveName(t.OID))
		if t.Location != location || !ok || suffix != "" && suffix[0] != '.' {
			continue
		}
		if l.seen[t] {
			return c.fail(protocolErrorf("server sent the archive of a tablespace twice: %q", name))
		}
		l.seen[t] = true
		l.pending = &Archive{Name: name, Tablespace: t}
		return nil
	}
	return c.fail(protocolErrorf("server sent archive %q for tablespace location %q, which it had not listed", name, location))
}

// ArchiveName is the name of a tablespace's archive without what a compression
// adds: "base.tar" for the data directory (OID 0), else "OID.tar".
func ArchiveName(oid uint32) string {
	if oid == 0 {
		return "base.tar"
	}
	return strconv.FormatUint(uint64(oid), 10) + ".tar"
}
