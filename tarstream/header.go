package tarstream

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"
)

// BlockSize is the size of a header, and what member contents are padded to, in
// bytes.
const BlockSize = 512

// Type is a member's type flag.
type Type byte

// The types that PostgreSQL sends.
const (
	Regular   Type = '0'
	Symlink   Type = '2'
	Directory Type = '5'
)

// String names the type.
func (t Type) String() string {
	switch t {
	case Regular:
		return "regular file"
	case Symlink:
		return "symbolic link"
	case Directory:
		return "directory"
	}
	return fmt.Sprintf("member of type %q", byte(t))
}

// Owner of members that were not on the server: what pg_basebackup writes for
// the files it injects (src/bin/pg_basebackup/astreamer_inject.c).
const (
	InjectedUID = 0o4000
	InjectedGID = 0o2000
)

// Header describes a member.
type Header struct {
	Name     string // slash-separated; without a "./" in front and the slash that ends a directory's or link's name in the archive
	Linkname string // target of a symbolic link
	Type     Type   // zero means Regular
	Mode     fs.FileMode
	UID, GID int
	Size     int64     // of the content, bytes; 0 unless Regular
	ModTime  time.Time // whole seconds

	// parsed is what the header was read from: an unchanged header is written
	// as it came, byte for byte.
	parsed *parsedHeader
}

// parsedHeader is a header as it was read, block and meaning.
type parsedHeader struct {
	block  [BlockSize]byte
	fields Header
}

// Offsets and lengths of the fields in a header block.
const (
	nameOff, nameLen       = 0, 100
	modeOff, modeLen       = 100, 8
	uidOff, uidLen         = 108, 8
	gidOff, gidLen         = 116, 8
	sizeOff, sizeLen       = 124, 12
	mtimeOff, mtimeLen     = 136, 12
	checksumOff, checksumN = 148, 8
	typeOff                = 156
	linkOff, linkLen       = 157, 100
	magicOff, magicLen     = 257, 8
	unameOff               = 265
	gnameOff               = 297
	devmajorOff            = 329
	devminorOff            = 337
	devLen                 = 8
	prefixOff, prefixLen   = 345, 155
)

const (
	magicPOSIX = "ustar\x0000"
	magicGNU   = "ustar  \x00"
	magicOld   = "ustar00\x00" // servers before 9.3
)

var zeroBlock [BlockSize]byte

// ParseHeader reads a header block. The checksum is verified, the prefix is
// joined to the name, sizes may be octal or base-256. The name is not checked:
// see CheckName.
func ParseHeader(block *[BlockSize]byte) (*Header, error) {
	p := new(parsedHeader)
	if err := p.parse(block); err != nil {
		return nil, err
	}
	h := p.fields
	h.parsed = p
	return &h, nil
}

// parse reads b as servers write it, and keeps it if it is right.
func (p *parsedHeader) parse(b *[BlockSize]byte) error {
	if err := checkSum(b); err != nil {
		return err
	}
	magic := string(b[magicOff:][:magicLen])
	if magic != magicPOSIX && magic != magicGNU && magic != magicOld {
		return errNotUstar
	}

	h := Header{Name: rawName(b)}
	// The server writes "./pg_wal/archive_status" (basebackup.c, sendDir), and
	// tar all names below "." so. The bytes stay what they are when the header
	// is passed on.
	h.Name = strings.TrimPrefix(h.Name, "./")
	switch t := b[typeOff]; t {
	case byte(Regular), 0: // NUL is the flag of the time before ustar
		h.Type = Regular
	case byte(Symlink), byte(Directory):
		h.Type = Type(t)
		h.Name = strings.TrimSuffix(h.Name, "/")
	default:
		return unsupportedType(t, h.Name)
	}
	if h.Name == "" {
		return &NameError{}
	}
	if h.Name[len(h.Name)-1] == '/' {
		return fmt.Errorf("name %q of a %v ends in a slash", h.Name, h.Type)
	}
	if h.Type == Symlink {
		h.Linkname = cString(b[linkOff:][:linkLen])
		if h.Linkname == "" {
			return fmt.Errorf("symbolic link %q has no target", h.Name)
		}
	}
	var err error
	if h.Size, err = h.parseSize(b); err != nil {
		return err
	}
	if err := h.checkSize(); err != nil {
		return err
	}
	if err := h.parseRest(b); err != nil {
		return err
	}
	p.block, p.fields = *b, h
	return nil
}

var errNotUstar = errors.New("header is not of the ustar format")

func checkSum(b *[BlockSize]byte) error {
	sum, err := parseOctal(b[checksumOff:][:checksumN])
	if err != nil || sum != int64(checksum(b)) {
		return errors.New("header checksum is wrong")
	}
	return nil
}

// rawName joins the prefix to the name. In GNU's format other fields lie where
// POSIX has the prefix.
func rawName(b *[BlockSize]byte) string {
	name := cString(b[nameOff:][:nameLen])
	if string(b[magicOff:][:magicLen]) == magicPOSIX && b[prefixOff] != 0 {
		return cString(b[prefixOff:][:prefixLen]) + "/" + name
	}
	return name
}

func (h *Header) parseSize(b *[BlockSize]byte) (int64, error) {
	size, err := parseSize(b[sizeOff:][:sizeLen])
	if err != nil {
		return 0, fmt.Errorf("size of %s: %w", quote(h.Name), err)
	}
	return size, nil
}

// checkSize allows content in files only. Readers differ in whether content
// follows: some skip the size given here, some the field.
func (h *Header) checkSize() error {
	if h.Type != Regular && h.Size != 0 {
		return fmt.Errorf("%v %s has a size of %d bytes", h.Type, quote(h.Name), h.Size)
	}
	return nil
}

// parseRest reads the numbers that have nothing to do with where content ends.
func (h *Header) parseRest(b *[BlockSize]byte) error {
	mode, err := parseNumber(b[modeOff:][:modeLen])
	if err != nil {
		return fmt.Errorf("mode of %s: %w", quote(h.Name), err)
	}
	h.Mode = fs.FileMode(mode) & fs.ModePerm
	if h.UID, err = parseID(b[uidOff:][:uidLen]); err != nil {
		return fmt.Errorf("user ID of %s: %w", quote(h.Name), err)
	}
	if h.GID, err = parseID(b[gidOff:][:gidLen]); err != nil {
		return fmt.Errorf("group ID of %s: %w", quote(h.Name), err)
	}
	mtime, err := parseTime(b[mtimeOff:][:mtimeLen])
	if err != nil {
		return fmt.Errorf("modification time of %s: %w", quote(h.Name), err)
	}
	h.ModTime = time.Unix(mtime, 0)
	return nil
}

func unsupportedType(t byte, name string) error {
	var what string
	switch t {
	case 'x', 'g':
		return errors.New("pax extensions to tar format are not supported")
	case 'L', 'K', 'S', 'D', 'M', 'V', 'N', 'A':
		return fmt.Errorf("extensions to tar format are not supported (type %q)", t)
	case '1':
		what = "hard link"
	case '3', '4':
		what = "device"
	case '6':
		what = "fifo"
	default:
		what = "unknown"
	}
	return fmt.Errorf("member %s has unsupported type %q (%s)", quote(name), t, what)
}

// AppendHeader appends the header block of h to dst. A header that was parsed
// and not changed since is appended as it was read; another is written as
// PostgreSQL does, names of 100 bytes and more with the prefix field.
func (h *Header) AppendHeader(dst []byte) ([]byte, error) {
	if h.unchanged() {
		return append(dst, h.parsed.block[:]...), nil
	}
	var b [BlockSize]byte
	if err := h.marshal(&b); err != nil {
		return dst, err
	}
	return append(dst, b[:]...), nil
}

func (h *Header) unchanged() bool {
	if h.parsed == nil {
		return false
	}
	c := *h
	c.parsed = nil
	return c == h.parsed.fields
}

func (h *Header) marshal(b *[BlockSize]byte) error {
	typ := h.Type
	if typ == 0 {
		typ = Regular
	}
	switch {
	case typ != Regular && typ != Symlink && typ != Directory:
		return unsupportedType(byte(typ), h.Name)
	case h.Name == "":
		return &NameError{}
	case strings.IndexByte(h.Name, 0) >= 0 || h.Name[len(h.Name)-1] == '/':
		return &NameError{Name: h.Name}
	case h.Size < 0 || typ != Regular && h.Size != 0:
		return fmt.Errorf("%v %q cannot have a size of %d bytes", typ, h.Name, h.Size)
	case h.UID < 0 || h.GID < 0 || int64(h.UID) > maxID || int64(h.GID) > maxID:
		return fmt.Errorf("owner of %q is out of range", h.Name)
	case typ == Symlink && h.Linkname == "":
		return fmt.Errorf("symbolic link %q has no target", h.Name)
	case typ == Symlink && strings.IndexByte(h.Linkname, 0) >= 0:
		return fmt.Errorf("target %q of symbolic link %q holds a zero byte", h.Linkname, h.Name)
	case typ == Symlink && len(h.Linkname) > linkLen:
		return fmt.Errorf("symbolic link target too long for tar format: file name %q, target %q", h.Name, h.Linkname)
	}
	prefix, name, ok := splitName(h.Name)
	if !ok {
		return fmt.Errorf("file name too long for tar format: %q", h.Name)
	}
	copy(b[prefixOff:][:prefixLen], prefix)
	n := copy(b[nameOff:][:nameLen], name)
	// As PostgreSQL does; the type alone says as much where there is no room.
	if typ != Regular && n < nameLen {
		b[n] = '/'
	}
	putNumber(b[modeOff:][:modeLen], uint64(h.Mode.Perm()))
	putNumber(b[uidOff:][:uidLen], uint64(h.UID))
	putNumber(b[gidOff:][:gidLen], uint64(h.GID))
	putNumber(b[sizeOff:][:sizeLen], uint64(h.Size))
	if !h.ModTime.IsZero() {
		putTime(b[mtimeOff:][:mtimeLen], h.ModTime.Unix())
	} else {
		putTime(b[mtimeOff:][:mtimeLen], 0)
	}
	b[typeOff] = byte(typ)
	if typ == Symlink {
		copy(b[linkOff:][:linkLen], h.Linkname)
	}
	copy(b[magicOff:][:magicLen], magicPOSIX)
	copy(b[unameOff:], "postgres")
	copy(b[gnameOff:], "postgres")
	putNumber(b[devmajorOff:][:devLen], 0)
	putNumber(b[devminorOff:][:devLen], 0)
	putNumber(b[checksumOff:][:checksumN], uint64(checksum(b)))
	return nil
}

// splitName divides a name between the prefix and the name field. PostgreSQL's
// own readers know no prefix and want a zero byte after the name, so the name
// field takes what it can hold beside one, and all of its 100 bytes are used
// only when there is no other way.
func splitName(s string) (prefix, name string, ok bool) {
	if len(s) < nameLen {
		return "", s, true
	}
	if i := strings.LastIndexByte(s[:min(len(s), prefixLen+1)], '/'); i > 0 && len(s)-i-1 <= nameLen {
		return s[:i], s[i+1:], true
	}
	return "", s, len(s) == nameLen
}

// cString is the text in a field up to its first zero byte.
func cString(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}
