package manifest

import (
	"io"
	"math"

	"github.com/pgbasin/pgbasin/lsn"
)

// maxWALRanges limits what a manifest can make a Reader hold. There is one range
// for each timeline that was current at some time during the backup.
const maxWALRanges = 1 << 16

// File is what a manifest says about one file.
type File struct {
	Path      string // relative to the data directory, with slashes; see Reader
	Size      int64  // bytes
	ModTime   string // Last-Modified, as the server wrote it: "2026-01-31 12:00:00 GMT"
	Algorithm ChecksumAlgorithm
	// Checksum may be of any length: like PostgreSQL, a Reader leaves it to
	// the comparison to find that it is not Algorithm.Size. Nil if absent.
	Checksum []byte
}

// WALRange is the WAL of one timeline that a backup needs for recovery.
type WALRange struct {
	Timeline   uint32
	Start, End lsn.LSN
}

// Reader reads a manifest from a stream, one file at a time:
//
//	r := manifest.NewReader(io.TeeReader(src, copy))
//	for r.Next() {
//		f := r.File()
//	}
//	err := r.Err()
//
// It accepts what PostgreSQL's own programs accept, with these exceptions, none
// of which a server writes: numbers and WAL positions with a sign, white space
// or anything else around the digits, or out of range; paths that are absolute,
// have an empty, "." or ".." part or a zero byte (on Windows also a backslash or
// colon); tokens of more than 32 KiB; more than 65536 WAL ranges. A path taken
// from a Reader therefore stays below the directory that it is joined to, as
// long as no symbolic link leads out of that.
//
// Nothing that a Reader returned is to be trusted before Next has returned false
// and Err nil: only then is the manifest's own checksum known to be right.
//
// A Reader reads its source to the end, unless it finds an error before. It must
// not be used by several goroutines at once.
type Reader struct {
	lexer   lexer
	err     error
	started bool
	done    bool // the manifest is sound

	// What the grammar expects next, and the open objects and arrays.
	syntax  syntax
	nesting [3]tokenKind
	depth   int

	// What the manifest's structure expects next.
	section section
	field   field // whose value comes next
	token   place // of the newest token that has been consumed

	version      int // 0 until seen
	systemID     uint64
	ranges       []WALRange
	text         []byte // of the newest scalar among the document's own fields
	haveChecksum bool   // text is the Manifest-Checksum

	name  []byte // of the current object field
	entry entry
	found bool // entry is complete and has not been returned

	selected func(path string) bool // tells which entries are returned; nil = all

	rangeText [3][]byte // timeline, start, end
	rangeSeen [3]bool
}

// entry is one file's object. Its buffers are used again for the next file.
type entry struct {
	seen [fieldChecksum + 1]bool
	text [fieldChecksum + 1][]byte

	path      []byte
	size      int64
	algorithm ChecksumAlgorithm
	checksum  []byte
}

// syntax is a state of the JSON grammar.
type syntax uint8

const (
	syntaxValue         syntax = iota // a value
	syntaxFirstKey                    // behind {: a key or }
	syntaxKey                         // behind a comma in an object: a key
	syntaxAfterMember                 // , or }
	syntaxFirstElement                // behind [: a value or ]
	syntaxAfterElement                // , or ]
	syntaxAfterDocument               // nothing
)

// section is where in the manifest's structure the Reader stands.
type section uint8

const (
	sectionStart section = iota
	sectionTop           // the document's object
	sectionFiles         // the array
	sectionFile          // one of its objects
	sectionRanges
	sectionRange
	sectionEnd
)

// field is a name that a manifest knows.
type field uint8

const (
	fieldNone field = iota

	fieldPath
	fieldEncodedPath
	fieldSize
	fieldLastModified
	fieldAlgorithm
	fieldChecksum

	fieldVersion
	fieldSystemIdentifier
	fieldFiles
	fieldWALRanges
	fieldManifestChecksum

	fieldTimeline
	fieldStartLSN
	fieldEndLSN
)

// NewReader returns a Reader of the manifest that src holds from here to its
// end.
func NewReader(src io.Reader) *Reader {
	return &Reader{lexer: newLexer(src)}
}

// Select makes Next go only to files that keep tells by their paths; the rest of
// the manifest is read and checked as well. It is called before Next.
func (r *Reader) Select(keep func(path string) bool) { r.selected = keep }

// Next goes to the next file. It returns false behind the last one, when the
// whole manifest has been read and its checksum compared, and on an error.
func (r *Reader) Next() bool {
	if r.err != nil || r.done {
		return false
	}
	if !r.started {
		r.started = true
		r.err = r.lexer.next()
	}
	r.found = false
	for r.err == nil && !r.found && !r.done {
		if r.err = r.step(); r.found && r.selected != nil {
			r.found = r.selected(string(r.entry.path))
		}
	}
	return r.found && r.err == nil
}

// Err is the error that made Next return false, nil at the end of a manifest
// that is sound. It is a *FormatError, or what the source returned, wrapped.
func (r *Reader) Err() error { return r.err }

// File is the file that Next went to. It stays valid after the next call to
// Next.
func (r *Reader) File() File {
	f := File{
		Path:      string(r.entry.path),
		Size:      r.entry.size,
		ModTime:   string(r.entry.text[fieldLastModified]),
		Algorithm: r.entry.algorithm,
	}
	if len(r.entry.checksum) > 0 {
		f.Checksum = append([]byte(nil), r.entry.checksum...)
	}
	return f
}

// Version is the manifest's format, 1 or 2. It is known before the first file.
func (r *Reader) Version() int { return r.version }

// SystemIdentifier is the cluster's, or 0 where the manifest has none, which is
// so in version 1. It is to be asked for at the end.
func (r *Reader) SystemIdentifier() uint64 { return r.systemID }

// WALRanges is complete at the end of the manifest.
func (r *Reader) WALRanges() []WALRange { return r.ranges }

// advance makes the next token the current one and remembers where the one
// before stood. What a token means is looked at after that, so that of two
// errors the one is reported which PostgreSQL, with its one token of lookahead,
// comes upon first.
func (r *Reader) advance() error {
	r.token = r.lexer.at
	return r.lexer.next()
}

// step consumes one element of the grammar: a scalar, a bracket, a comma, or a
// key with its colon.
func (r *Reader) step() error {
	x := &r.lexer
	switch r.syntax {
	case syntaxFirstElement:
		if x.kind == tokenArrayEnd {
			return r.closeArray()
		}
		return r.value()
	case syntaxValue:
		return r.value()

	case syntaxFirstKey:
		switch x.kind {
		case tokenString:
			return r.key()
		case tokenObjectEnd:
			return r.closeObject()
		}
		return x.expected(`string or "}"`)
	case syntaxKey:
		if x.kind != tokenString {
			return x.expected("string")
		}
		return r.key()
	case syntaxAfterMember:
		switch x.kind {
		case tokenComma:
			r.syntax = syntaxKey
			return r.advance()
		case tokenObjectEnd:
			return r.closeObject()
		}
		return x.expected(`"," or "}"`)

	case syntaxAfterElement:
		switch x.kind {
		case tokenComma:
			r.syntax = syntaxValue
			return r.advance()
		case tokenArrayEnd:
			return r.closeArray()
		}
		return x.expected(`"," or "]"`)
	}
	if x.kind != tokenEnd {
		return x.expected("end of input")
	}
	return r.finish()
}

func (r *Reader) value() error {
	x := &r.lexer
	switch x.kind {
	case tokenObjectStart:
		r.token = x.at
		if err := r.openObject(); err != nil {
			return err
		}
		r.push(tokenObjectStart, syntaxFirstKey)
		return r.advance()
	case tokenArrayStart:
		r.token = x.at
		if err := r.openArray(); err != nil {
			return err
		}
		r.push(tokenArrayStart, syntaxFirstElement)
		return r.advance()
	case tokenString, tokenWord:
		kept := r.keep(x.value)
		if err := r.advance(); err != nil {
			return err
		}
		if !kept {
			return r.token.parseErrorAt("unexpected scalar")
		}
		r.afterValue()
		return r.scalar()
	}
	return x.expected("JSON value")
}

func (r *Reader) push(bracket tokenKind, next syntax) {
	r.nesting[r.depth] = bracket
	r.depth++
	r.syntax = next
}

// afterValue sets what the grammar expects behind a value.
func (r *Reader) afterValue() {
	switch {
	case r.depth == 0:
		r.syntax = syntaxAfterDocument
	case r.nesting[r.depth-1] == tokenObjectStart:
		r.syntax = syntaxAfterMember
	default:
		r.syntax = syntaxAfterElement
	}
}

func (r *Reader) key() error {
	x := &r.lexer
	r.name = append(r.name[:0], x.value...)
	if err := r.advance(); err != nil {
		return err
	}
	if x.kind != tokenColon {
		return x.expected(`":"`)
	}
	at := r.token
	if err := r.advance(); err != nil {
		return err
	}
	r.token = at
	r.syntax = syntaxValue
	return r.fieldName()
}

func (r *Reader) closeObject() error {
	if err := r.advance(); err != nil {
		return err
	}
	r.depth--
	r.afterValue()
	switch {
	case r.section == sectionTop && r.haveChecksum:
		r.section = sectionEnd
		return nil
	case r.section == sectionFile:
		r.section = sectionFiles
		return r.finishFile()
	case r.section == sectionRange:
		r.section = sectionRanges
		return r.finishRange()
	}
	return r.token.parseErrorAt("unexpected object end")
}

func (r *Reader) closeArray() error {
	if err := r.advance(); err != nil {
		return err
	}
	r.depth--
	r.afterValue()
	r.section = sectionTop
	return nil
}

func (r *Reader) openObject() error {
	switch {
	case r.section == sectionStart:
		r.section = sectionTop
	case r.section == sectionFiles:
		r.section = sectionFile
		r.entry.seen = [len(r.entry.seen)]bool{}
		r.entry.text[fieldLastModified] = r.entry.text[fieldLastModified][:0]
	case r.section == sectionRanges:
		r.section = sectionRange
		r.rangeSeen = [len(r.rangeSeen)]bool{}
	default:
		return r.token.parseErrorAt("unexpected object start")
	}
	return nil
}

func (r *Reader) openArray() error {
	switch r.field {
	case fieldFiles:
		r.section = sectionFiles
	case fieldWALRanges:
		r.section = sectionRanges
	default:
		return r.token.parseErrorAt("unexpected array start")
	}
	r.field = fieldNone
	return nil
}

// fieldName looks at the key of an object's member, in r.name.
func (r *Reader) fieldName() error {
	r.field = fieldNone
	switch r.section {
	case sectionTop:
		if r.haveChecksum {
			return r.token.parseErrorAt("unexpected object field")
		}
		if r.version == 0 {
			if string(r.name) != "PostgreSQL-Backup-Manifest-Version" {
				return r.token.parseErrorAt("expected version indicator")
			}
			r.field = fieldVersion
			return nil
		}
		switch string(r.name) {
		case "System-Identifier":
			r.field = fieldSystemIdentifier
		case "Files":
			r.field = fieldFiles
		case "WAL-Ranges":
			r.field = fieldWALRanges
		case "Manifest-Checksum":
			r.field = fieldManifestChecksum
		default:
			return r.token.parseErrorAt("unrecognized top-level field")
		}
	case sectionFile:
		switch string(r.name) {
		case "Path":
			r.field = fieldPath
		case "Encoded-Path":
			r.field = fieldEncodedPath
		case "Size":
			r.field = fieldSize
		case "Last-Modified":
			r.field = fieldLastModified
		case "Checksum-Algorithm":
			r.field = fieldAlgorithm
		case "Checksum":
			r.field = fieldChecksum
		default:
			return r.token.parseErrorAt("unexpected file field")
		}
	case sectionRange:
		switch string(r.name) {
		case "Timeline":
			r.field = fieldTimeline
		case "Start-LSN":
			r.field = fieldStartLSN
		case "End-LSN":
			r.field = fieldEndLSN
		default:
			return r.token.parseErrorAt("unexpected WAL range field")
		}
	}
	return nil
}

// keep stores the text of a scalar, be it a string, a number, or a word, which
// PostgreSQL takes for each other too. It returns false where no scalar may be.
func (r *Reader) keep(text []byte) bool {
	switch f := r.field; f {
	case fieldNone, fieldFiles, fieldWALRanges:
		return false
	case fieldVersion, fieldSystemIdentifier, fieldManifestChecksum:
		r.text = append(r.text[:0], text...)
	case fieldTimeline, fieldStartLSN, fieldEndLSN:
		i := f - fieldTimeline
		r.rangeText[i] = append(r.rangeText[i][:0], text...)
		r.rangeSeen[i] = true
	default:
		r.entry.text[f] = append(r.entry.text[f][:0], text...)
		r.entry.seen[f] = true
	}
	return true
}

// scalar looks at a value that keep has stored, if it can be judged alone.
func (r *Reader) scalar() error {
	f := r.field
	r.field = fieldNone
	switch f {
	case fieldVersion:
		v, ok := parseDecimal(r.text, math.MaxInt64)
		if !ok {
			return r.token.parseErrorAt("manifest version not an integer")
		}
		if v != 1 && v != 2 {
			return r.token.parseErrorAt("unexpected manifest version")
		}
		r.version = int(v)
	case fieldSystemIdentifier:
		id, ok := parseDecimal(r.text, math.MaxUint64)
		if !ok {
			return r.token.parseErrorAt("system identifier in manifest not an integer")
		}
		r.systemID = id
	case fieldManifestChecksum:
		r.haveChecksum = true
	}
	return nil
}

// parseDecimal reads digits and nothing else.
func parseDecimal(text []byte, limit uint64) (uint64, bool) {
	if len(text) == 0 {
		return 0, false
	}
	var n uint64
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, false
		}
		d := uint64(c - '0')
		if n > (limit-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, true
}

// decodeHex appends the bytes that text spells, two digits for each.
func decodeHex(out, text []byte) ([]byte, bool) {
	if len(text)%2 != 0 {
		return out, false
	}
	for i := 0; i < len(text); i += 2 {
		high, low := hexDigit(text[i]), hexDigit(text[i+1])
		if high < 0 || low < 0 {
			return out, false
		}
		out = append(out, byte(high<<4|low))
	}
	return out, true
}

// finishFile checks the object of one file and makes it the current one.
func (r *Reader) finishFile() error {
	e, at := &r.entry, r.token
	switch {
	case !e.seen[fieldPath] && !e.seen[fieldEncodedPath]:
		return at.parseErrorAt("missing path name")
	case e.seen[fieldPath] && e.seen[fieldEncodedPath]:
		return at.parseErrorAt("both path name and encoded path name")
	case !e.seen[fieldSize]:
		return at.parseErrorAt("missing size")
	case e.seen[fieldChecksum] && !e.seen[fieldAlgorithm]:
		return at.parseErrorAt("checksum without algorithm")
	}
	ok := true
	if e.seen[fieldEncodedPath] {
		if e.path, ok = decodeHex(e.path[:0], e.text[fieldEncodedPath]); !ok {
			return at.parseErrorAt("could not decode file name")
		}
	} else {
		e.path = append(e.path[:0], e.text[fieldPath]...)
	}
	size, ok := parseDecimal(e.text[fieldSize], math.MaxInt64)
	if !ok {
		return at.parseErrorAt("file size is not an integer")
	}
	e.size = int64(size)
	e.algorithm = None
	if e.seen[fieldAlgorithm] {
		if e.algorithm, ok = parseAlgorithm(e.text[fieldAlgorithm]); !ok {
			return at.errorAt("unrecognized checksum algorithm: \"%s\"", printable(e.text[fieldAlgorithm]))
		}
	}
	e.checksum = e.checksum[:0]
	if e.seen[fieldChecksum] {
		if e.checksum, ok = decodeHex(e.checksum, e.text[fieldChecksum]); !ok {
			return at.errorAt("invalid checksum for file \"%s\": \"%s\"", printable(e.path), printable(e.text[fieldChecksum]))
		}
	}
	if problem := pathProblem(e.path); problem != "" {
		return at.parseErrorAt("%s: \"%s\"", problem, printable(e.path))
	}
	r.found = true
	return nil
}

// finishRange checks the object of one WAL range.
func (r *Reader) finishRange() error {
	at := r.token
	for i, what := range [...]string{"timeline", "start LSN", "end LSN"} {
		if !r.rangeSeen[i] {
			return at.parseErrorAt("missing %s", what)
		}
	}
	timeline, ok := parseDecimal(r.rangeText[0], math.MaxUint32)
	if !ok {
		return at.parseErrorAt("timeline is not an integer")
	}
	start, err := lsn.Parse(string(r.rangeText[1]))
	if err != nil {
		return at.parseErrorAt("could not parse start LSN")
	}
	end, err := lsn.Parse(string(r.rangeText[2]))
	if err != nil {
		return at.parseErrorAt("could not parse end LSN")
	}
	if len(r.ranges) == maxWALRanges {
		return at.parseErrorAt("more than %d WAL ranges", maxWALRanges)
	}
	r.ranges = append(r.ranges, WALRange{Timeline: uint32(timeline), Start: start, End: end})
	return nil
}

// finish checks the manifest as a whole.
func (r *Reader) finish() error {
	var whole place
	d := &r.lexer.digest
	if d.newlines < 2 {
		return whole.parseErrorAt("expected at least 2 lines")
	}
	if d.last != '\n' {
		return whole.parseErrorAt("last line not newline-terminated")
	}
	sum := d.sum()
	stated, ok := decodeHex(nil, r.text)
	if !ok || len(stated) != len(sum) {
		return whole.errorAt("invalid manifest checksum: \"%s\"", printable(r.text))
	}
	if string(stated) != string(sum) {
		return whole.errorAt("manifest checksum mismatch")
	}
	r.done = true
	return nil
}
