package tarstream

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// LenientOptions say what a lenient Parser lets pass.
type LenientOptions struct {
	// Unterminated lets an archive end after a member, without end-of-archive
	// blocks. Servers up to 14 send none (basebackup.c). An archive that was cut
	// off between two members cannot be told from a whole one then.
	Unterminated bool
}

const (
	// maxName is the longest name or link target, in bytes.
	maxName = 64 << 10
	// maxPax is the most that pax records for one member may take, in bytes:
	// extended attributes, which are skipped, can take 64 KiB each.
	maxPax = 1 << 20
)

// NewLenientParser makes a Parser for archives that people make: it reads what
// GNU tar, bsdtar and Python write in any of their formats. These are ustar, the
// headers before it (v7), pax and GNU's long names.
//
// Names lose "./" in front, a slash at the end of a directory, and empty parts;
// a regular file whose name ends in a slash is a directory, as before ustar. The
// member "./", the directory itself, comes as a Directory called ".". Of pax
// records path, linkpath, size and mtime count, and only mtime in global ones.
// Headers that were read from more than a ustar block are written anew by a
// Writer.
//
// Hard links, devices, fifos, sparse files, and names that are absolute, lead
// upwards, or have a part of more than 255 bytes are errors that name the
// member. Symbolic links are for the visitor to check, because where the data
// directory begins in the archive is not known here.
//
// Memory is bounded by 1 MiB for the records of one member.
func NewLenientParser(v Visitor, o LenientOptions) *Parser {
	return &Parser{v: v, lenient: &lenient{o: o}}
}

// lenient is what was read ahead of the next member.
type lenient struct {
	o    LenientOptions
	kind byte   // of the extended header being read
	buf  []byte // its content
	next extended

	globalTime time.Time // mtime of a global header; zero if none
}

// extended is what extended headers say about the member that follows.
type extended struct {
	any              bool
	gnuName          string
	gnuLink          string
	paxName          string
	paxLink          string
	size             int64
	hasSize          bool
	modTime          time.Time
	hasName, hasLink bool // GNU's were there
}

// unused says whether an extended header is left without a member.
func (l *lenient) unused() error {
	if l == nil || !l.next.any {
		return nil
	}
	return errors.New("extended header is followed by no member")
}

func (l *lenient) unterminated() bool { return l != nil && l.o.Unterminated }

// lenientHeader reads the block as the header of a member, or of an extension
// that describes the next one.
func (p *Parser) lenientHeader() (extension bool, err error) {
	at := p.off - BlockSize
	fail := func(name string, err error) (bool, error) {
		return false, &FormatError{Offset: at, Name: name, Err: err}
	}
	b, l := &p.block, p.lenient
	if err := checkSum(b); err != nil {
		return fail("", err)
	}
	switch string(b[magicOff:][:magicLen]) {
	case magicPOSIX, magicGNU, magicOld, string(zeroBlock[:magicLen]):
	default:
		return fail("", errNotUstar)
	}
	switch t := b[typeOff]; t {
	case 'x', 'g', 'L', 'K':
		if err := p.beginExtension(t); err != nil {
			return fail("", err)
		}
		return true, nil
	}

	x := l.next
	l.next = extended{}
	h := Header{Name: rawName(b)}
	if x.hasName {
		h.Name = x.gnuName
	}
	if x.paxName != "" {
		h.Name = x.paxName
	}
	switch t := b[typeOff]; t {
	case byte(Regular), 0:
		h.Type = Regular
		if strings.HasSuffix(h.Name, "/") {
			h.Type = Directory
		}
	case byte(Symlink), byte(Directory):
		h.Type = Type(t)
	case 'S':
		return fail("", fmt.Errorf("member %s is a sparse file, which is not supported", quote(h.Name)))
	default:
		return fail("", unsupportedType(t, h.Name))
	}
	if h.Name, err = cleanName(h.Name, h.Type); err != nil {
		return fail("", err)
	}
	if h.Type == Symlink {
		h.Linkname = cString(b[linkOff:][:linkLen])
		if x.hasLink {
			h.Linkname = x.gnuLink
		}
		if x.paxLink != "" {
			h.Linkname = x.paxLink
		}
		if h.Linkname == "" {
			return fail(h.Name, errors.New("symbolic link has no target"))
		}
	}
	if h.Size = x.size; !x.hasSize {
		if h.Size, err = h.parseSize(b); err != nil {
			return fail("", err)
		}
	}
	if err := h.checkSize(); err != nil {
		return fail("", err)
	}
	if err := h.parseRest(b); err != nil {
		return fail("", err)
	}
	if !x.any && string(b[magicOff:][:magicLen]) == magicPOSIX {
		p.parsed.block, p.parsed.fields = *b, h
		h.parsed = &p.parsed
	}
	switch {
	case !x.modTime.IsZero():
		h.ModTime = x.modTime
	case !l.globalTime.IsZero():
		h.ModTime = l.globalTime
	}
	p.header = h
	return false, nil
}

// cleanName takes from a name what means nothing and refuses what means
// something outside.
func cleanName(name string, t Type) (string, error) {
	clean := strings.TrimPrefix(name, "./")
	if t != Regular {
		clean = strings.TrimRight(clean, "/")
	}
	if t == Directory && (clean == "" || clean == ".") && strings.HasPrefix(name, ".") {
		return ".", nil
	}
	if t == Directory {
		clean = strings.TrimSuffix(clean, "/.")
	}
	padded := strings.HasPrefix(clean, "/") || strings.HasPrefix(clean, "./") || strings.Contains(clean, "//") || strings.Contains(clean, "/./")
	if padded && name[0] != '/' {
		clean = dropEmptyParts(clean)
	}
	if err := CheckName(clean); err != nil {
		return "", &NameError{Name: name}
	}
	return clean, checkLength(clean)
}

func dropEmptyParts(name string) string {
	parts := strings.Split(name, "/")
	keep := parts[:0]
	for _, part := range parts {
		if part != "" && part != "." {
			keep = append(keep, part)
		}
	}
	return strings.Join(keep, "/")
}

// beginExtension prepares for the content of an extended header.
func (p *Parser) beginExtension(kind byte) error {
	l := p.lenient
	size, err := parseSize(p.block[sizeOff:][:sizeLen])
	if err != nil {
		return fmt.Errorf("size of an extended header: %w", err)
	}
	limit := int64(maxPax)
	if kind == 'L' || kind == 'K' {
		limit = maxName + 1 // the zero byte
	}
	if size > limit {
		return fmt.Errorf("extended header of type %q has %d bytes, more than %d", kind, size, limit)
	}
	l.kind, l.buf = kind, l.buf[:0]
	if kind != 'g' {
		l.next.any = true
	}
	p.remaining, p.padding, p.state = size, paddingOf(size), inExtension
	if size == 0 {
		return p.endExtension()
	}
	return nil
}

// endExtension reads an extended header whose content is there.
func (p *Parser) endExtension() error {
	p.state = inHeader
	if p.padding > 0 {
		p.state = inPadding
	}
	if err := p.lenient.extend(); err != nil {
		return &FormatError{Offset: p.off - int64(len(p.lenient.buf)), Err: err}
	}
	return nil
}

func (l *lenient) extend() error {
	x := &l.next
	switch l.kind {
	case 'L':
		if x.hasName {
			return errors.New("two long names for one member")
		}
		x.hasName = true
		return longName(&x.gnuName, l.buf)
	case 'K':
		if x.hasLink {
			return errors.New("two long link targets for one member")
		}
		x.hasLink = true
		return longName(&x.gnuLink, l.buf)
	}
	return l.paxRecords(l.buf)
}

// longName reads a name as GNU tar stores a long one, with a zero byte behind.
func longName(dst *string, b []byte) error {
	name := strings.TrimRight(string(b), "\x00")
	switch {
	case name == "":
		return errors.New("long name is empty")
	case strings.IndexByte(name, 0) >= 0:
		return &NameError{Name: name}
	}
	*dst = name
	return nil
}
