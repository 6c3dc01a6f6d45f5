package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"
)

// judged is a manifest and what is to be thought of it.
type judged struct {
	name     string
	manifest string
	// Msg of the error, "" where the manifest is sound.
	want string
	// What PostgreSQL says, where that is not the same, "ok" for nothing:
	// pg_verifybackup 15, which knows only version 1; a server of version 18
	// about a manifest for an incremental backup, which it parses with a
	// parser that for large manifests is pg_verifybackup's too and names one
	// thing differently; or both.
	postgres, pg15, pg18 string
}

const (
	sound   = `{ "PostgreSQL-Backup-Manifest-Version": 1,` + "\n" + `"Files": [` + "\n" + soundFile + "\n],\n" + soundWAL
	soundV2 = `{ "PostgreSQL-Backup-Manifest-Version": 2,` + "\n" + `"System-Identifier": 7000000000000000001,` + "\n" +
		`"Files": [` + "\n" + soundFile + "\n],\n" + soundWAL
	soundFile = `{ "Path": "PG_VERSION", "Size": 3, "Last-Modified": "2026-01-31 12:00:00 GMT", "Checksum-Algorithm": "CRC32C", "Checksum": "8a744722" }`
	soundWAL  = `"WAL-Ranges": [` + "\n" + `{ "Timeline": 1, "Start-LSN": "0/2000028", "End-LSN": "0/2000100" }` + "\n],\n"

	prefix   = "could not parse backup manifest: "
	ended    = prefix + "The input string ended unexpectedly."
	version2 = prefix + "unexpected manifest version"
)

// with is a sound manifest in which one text is replaced by another, sealed.
func with(from, to string) string {
	if strings.Count(sound, from) != 1 {
		panic("not exactly once: " + from)
	}
	return sealed(strings.Replace(sound, from, to, 1))
}

// withFile has another file's object, withTop another document after the opening
// brace.
func withFile(object string) string { return with(soundFile, object) }

// withString has another string, given as it is written, for a value that can
// have any.
func withString(raw string) string { return with(`"2026-01-31 12:00:00 GMT"`, raw) }

var judgements = []judged{
	// Sound ones.
	{name: "sound", manifest: sealed(sound)},
	{name: "version 2", manifest: sealed(soundV2), pg15: version2},
	{name: "version 2 without system identifier", manifest: with("Version\": 1", "Version\": 2"), pg15: version2},
	{name: "version 1 with system identifier", manifest: sealed(strings.Replace(soundV2, ": 2", ": 1", 1)), pg15: prefix + "unrecognized top-level field"},
	{name: "version as a string", manifest: with("Version\": 1,", `Version": "1",`)},
	{name: "no files", manifest: withFile("")},
	{name: "files twice", manifest: with(soundWAL, "\"Files\": [\n{ \"Path\": \"a\", \"Size\": 0 }\n],\n"+soundWAL)},
	{name: "WAL ranges before files", manifest: sealed(`{ "PostgreSQL-Backup-Manifest-Version": 1,` + "\n" + soundWAL + `"Files": [` + soundFile + "],\n")},
	{name: "neither files nor WAL ranges", manifest: sealed(`{ "PostgreSQL-Backup-Manifest-Version": 1,` + "\n")},
	{name: "white space everywhere", manifest: sealed(strings.NewReplacer(":", "\t:\r\n ", ",", "\n\n,\n ", `"12\t:\r\n 00\t:\r\n 00"`, "").Replace(strings.Replace(sound, "12:00:00", "", 1)))},
	{name: "no optional fields", manifest: withFile(`{"Size":3,"Path":"PG_VERSION"}`)},
	{name: "field twice", manifest: withFile(`{"Size":"x","Path":"a","Size":3,"Path":"PG_VERSION"}`)},
	{name: "strings for numbers and numbers for strings", manifest: withFile(`{"Path":17,"Size":"3"}`)},
	{name: "words for strings", manifest: withFile(`{"Path":null,"Size":"3","Last-Modified":true}`)},
	{name: "algorithm without checksum", manifest: withFile(`{"Path":"PG_VERSION","Size":3,"Checksum-Algorithm":"SHA256"}`)},
	{name: "checksum of algorithm none", manifest: withFile(`{"Path":"PG_VERSION","Size":3,"Checksum-Algorithm":"none","Checksum":"00"}`)},
	{name: "checksum of a wrong length", manifest: with("8a744722", "8a7447")},
	{name: "empty checksum", manifest: with("8a744722", "")},
	{name: "upper case manifest checksum", manifest: upperChecksum(sealed(sound))},
	{name: "every escape", manifest: withString(`"\"\\\/\b\f\n\r\t\u0041\u00e9\u20AC\uD83D\uDE00"`)},
	{name: "not UTF-8", manifest: withFile("{\"Path\":\"\xff\xfe\",\"Size\":0}")},
	{name: "white space at the end", manifest: sealed(sound) + " \n", want: "manifest checksum mismatch"},

	// The document.
	{name: "empty", manifest: "", want: ended},
	{name: "white space only", manifest: " \n\t\n", want: ended},
	{name: "array", manifest: "[]\n\n", want: prefix + "unexpected array start"},
	{name: "string", manifest: "\"x\"\n\n", want: prefix + "unexpected scalar"},
	{name: "number with more behind", manifest: "1 x", want: prefix + `Token "x" is invalid.`},
	{name: "closing brace", manifest: "}\n", want: prefix + `Expected JSON value, but found "}".`},
	{name: "not JSON", manifest: "PostgreSQL", want: prefix + `Token "PostgreSQL" is invalid.`},
	{name: "strange character", manifest: "#abc", want: prefix + `Token "#" is invalid.`},
	{name: "empty object", manifest: "{}\n\n", want: prefix + "unexpected object end"},
	{name: "more behind the end", manifest: sealed(sound) + "{}\n", want: prefix + `Expected end of input, but found "{".`},
	{name: "no newline at the end", manifest: strings.TrimSuffix(sealed(sound), "\n"), want: prefix + "last line not newline-terminated"},
	{name: "one line", manifest: sealed(`{ "PostgreSQL-Backup-Manifest-Version": 1, `), want: prefix + "expected at least 2 lines"},

	// Its own fields.
	{name: "version not first", manifest: "{\"Files\": []}\n\n", want: prefix + "expected version indicator"},
	{name: "version not first, bad token behind", manifest: "{\"Files\": x", want: prefix + `Token "x" is invalid.`},
	{name: "version 0", manifest: with("Version\": 1,", "Version\": 0,"), want: prefix + "unexpected manifest version"},
	{name: "version 3", manifest: with("Version\": 1,", "Version\": 3,"), want: prefix + "unexpected manifest version"},
	{name: "version 1.5", manifest: with("Version\": 1,", "Version\": 1.5,"), want: prefix + "manifest version not an integer", pg15: version2},
	{name: "version null", manifest: with("Version\": 1,", "Version\": null,"), want: prefix + "manifest version not an integer", pg15: version2},
	{name: "version an object", manifest: with("Version\": 1,", "Version\": {},"), want: prefix + "unexpected object start"},
	{name: "version an array", manifest: with("Version\": 1,", "Version\": [],"), want: prefix + "unexpected array start"},
	{name: "version twice", manifest: with("Version\": 1,", "Version\": 1,\n\"PostgreSQL-Backup-Manifest-Version\": 1,"), want: prefix + "unrecognized top-level field"},
	{name: "unknown field", manifest: with(`"Files"`, `"files"`), want: prefix + "unrecognized top-level field"},
	{name: "system identifier not a number", manifest: sealed(strings.Replace(soundV2, "7000000000000000001", `"x"`, 1)), want: prefix + "system identifier in manifest not an integer", pg15: version2},
	{name: "system identifier an array", manifest: sealed(strings.Replace(soundV2, "7000000000000000001", "[]", 1)), want: prefix + "unexpected array start", pg15: version2},
	{name: "system identifier out of range", manifest: sealed(strings.Replace(soundV2, "7000000000000000001", "18446744073709551616", 1)), want: prefix + "system identifier in manifest not an integer", pg15: version2, pg18: "ok"},
	{name: "files an object", manifest: with("\"Files\": [\n"+soundFile+"\n]", `"Files": {}`), want: prefix + "unexpected object start"},
	{name: "files a string", manifest: with("\"Files\": [\n"+soundFile+"\n]", `"Files": ""`), want: prefix + "unexpected scalar"},
	{name: "WAL ranges null", manifest: sealed(strings.Replace(sound, soundWAL, "\"WAL-Ranges\": null,\n", 1)), want: prefix + "unexpected scalar"},
	{name: "field behind the checksum", manifest: strings.TrimSuffix(sealed(sound), "}\n") + `, "Files": []}` + "\n", want: prefix + "unexpected object field"},
	{name: "no checksum", manifest: strings.TrimSuffix(sound, ",\n") + "}\n", want: prefix + "unexpected object end"},

	// A file's.
	{name: "file a string", manifest: withFile(`"PG_VERSION"`), want: prefix + "unexpected scalar"},
	{name: "file an array", manifest: withFile(`[]`), want: prefix + "unexpected array start"},
	{name: "file empty", manifest: withFile(`{}`), want: prefix + "missing path name"},
	{name: "file with unknown field", manifest: withFile(`{"Path":"a","Size":0,"Mode":0}`), want: prefix + "unexpected file field"},
	{name: "file without path", manifest: withFile(`{"Size":0}`), want: prefix + "missing path name"},
	{name: "file without size", manifest: withFile(`{"Path":"a"}`), want: prefix + "missing size"},
	{name: "both paths", manifest: withFile(`{"Path":"a","Encoded-Path":"61","Size":0}`), want: prefix + "both path name and encoded path name"},
	{name: "path an object", manifest: withFile(`{"Path":{},"Size":0}`), want: prefix + "unexpected object start"},
	{name: "path an array", manifest: withFile(`{"Path":[],"Size":0}`), want: prefix + "unexpected array start"},
	{name: "encoded path with odd length", manifest: withFile(`{"Encoded-Path":"616","Size":0}`), want: prefix + "could not decode file name"},
	{name: "encoded path not hexadecimal", manifest: withFile(`{"Encoded-Path":"6g","Size":0}`), want: prefix + "could not decode file name"},
	{name: "size a word", manifest: with(`"Size": 3`, `"Size": null`), want: prefix + "file size is not an integer"},
	{name: "size a fraction", manifest: with(`"Size": 3`, `"Size": 3.0`), want: prefix + "file size is not an integer"},
	{name: "size with exponent", manifest: with(`"Size": 3`, `"Size": 3e0`), want: prefix + "file size is not an integer"},
	{name: "size with a unit", manifest: with(`"Size": 3`, `"Size": "3kB"`), want: prefix + "file size is not an integer"},
	{name: "checksum without algorithm", manifest: withFile(`{"Path":"a","Size":0,"Checksum":"00000000"}`), want: prefix + "checksum without algorithm"},
	{name: "unknown algorithm", manifest: with(`"CRC32C"`, `"MD5"`), want: `unrecognized checksum algorithm: "MD5"`},
	{name: "algorithm with a long s", manifest: with(`"CRC32C"`, `"ſHA256"`), want: `unrecognized checksum algorithm: "ſHA256"`},
	{name: "checksum with odd length", manifest: with("8a744722", "8a74472"), want: `invalid checksum for file "PG_VERSION": "8a74472"`},
	{name: "checksum not hexadecimal", manifest: with("8a744722", "8a74472x"), want: `invalid checksum for file "PG_VERSION": "8a74472x"`},
	{name: "checksum null", manifest: with(`"8a744722"`, "null"), want: `invalid checksum for file "PG_VERSION": "null"`},

	// A WAL range's.
	{name: "range a number", manifest: with(soundWAL, "\"WAL-Ranges\": [1],\n"), want: prefix + "unexpected scalar"},
	{name: "range with unknown field", manifest: with(`"Timeline"`, `"TLI"`), want: prefix + "unexpected WAL range field"},
	{name: "range without timeline", manifest: with(`"Timeline": 1, `, ""), want: prefix + "missing timeline"},
	{name: "range without start", manifest: with(`"Start-LSN": "0/2000028", `, ""), want: prefix + "missing start LSN"},
	{name: "range without end", manifest: with(`, "End-LSN": "0/2000100"`, ""), want: prefix + "missing end LSN"},
	{name: "timeline not a number", manifest: with(`"Timeline": 1`, `"Timeline": "one"`), want: prefix + "timeline is not an integer"},
	{name: "start not a position", manifest: with("0/2000028", "2000028"), want: prefix + "could not parse start LSN"},
	{name: "end not a position", manifest: with("0/2000100", "0-2000100"), want: prefix + "could not parse end LSN"},

	// The checksum of the manifest.
	{name: "wrong manifest checksum", manifest: strings.Replace(sealed(sound), "PG_VERSION", "PG_VERSIOM", 1), want: "manifest checksum mismatch"},
	{name: "manifest checksum too short", manifest: sound + `"Manifest-Checksum": "00"}` + "\n", want: `invalid manifest checksum: "00"`},
	{name: "manifest checksum not hexadecimal", manifest: sound + `"Manifest-Checksum": "` + strings.Repeat("g", 64) + "\"}\n", want: `invalid manifest checksum: "` + strings.Repeat("g", 64) + `"`},
	{name: "manifest checksum null", manifest: sound + "\"Manifest-Checksum\": null}\n", want: `invalid manifest checksum: "null"`},
	{name: "manifest checksum an object", manifest: sound + "\"Manifest-Checksum\": {}}\n", want: prefix + "unexpected object start"},

	// JSON's grammar.
	{name: "key not a string", manifest: with(`"Path"`, "Path"), want: prefix + `Token "Path" is invalid.`},
	{name: "key a number", manifest: with(`{ "Path"`, "{ 1"), want: prefix + `Expected string or "}", but found "1".`},
	{name: "no key behind a comma", manifest: with(`"8a744722" }`, `"8a744722", }`), want: prefix + `Expected string, but found "}".`},
	{name: "no colon", manifest: with(`"Path":`, `"Path"`), want: prefix + `Expected ":", but found ""PG_VERSION"".`},
	{name: "no value", manifest: with(`"Size": 3`, `"Size": `), want: prefix + `Expected JSON value, but found ",".`},
	{name: "no comma in an object", manifest: with(`"Size": 3,`, `"Size": 3`), want: prefix + `Expected "," or "}", but found ""Last-Modified"".`},
	{name: "no comma in an array", manifest: withFile(soundFile + soundFile), want: prefix + `Expected "," or "]", but found "{".`},
	{name: "no element behind a comma", manifest: withFile(soundFile + ","), want: prefix + `Expected JSON value, but found "]".`},
	{name: "comma first in an array", manifest: withFile("," + soundFile), want: prefix + `Expected JSON value, but found ",".`, pg18: prefix + `Expected array element or "]", but found ",".`},
	{name: "wrong closing bracket", manifest: with("\n],\n\"WAL", "\n},\n\"WAL"), want: prefix + `Expected "," or "]", but found "}".`},
	{name: "number with a leading zero", manifest: with(`"Size": 3`, `"Size": 03`), want: prefix + `Token "03" is invalid.`},
	{name: "number with a plus", manifest: with(`"Size": 3`, `"Size": +3`), want: prefix + `Token "+" is invalid.`},
	{name: "number without digits", manifest: with(`"Size": 3`, `"Size": -`), want: prefix + `Token "-" is invalid.`},
	{name: "number without a fraction", manifest: with(`"Size": 3`, `"Size": 3.`), want: prefix + `Token "3." is invalid.`},
	{name: "number without an exponent", manifest: with(`"Size": 3`, `"Size": 3e+`), want: prefix + `Token "3e+" is invalid.`},
	{name: "number with letters", manifest: with(`"Size": 3`, `"Size": 3kB_`), want: prefix + `Token "3kB_" is invalid.`},
	{name: "hexadecimal number", manifest: with(`"Size": 3`, `"Size": 0x3`), want: prefix + `Token "0x3" is invalid.`},
	{name: "word not known", manifest: with(`"Size": 3`, `"Size": NULL`), want: prefix + `Token "NULL" is invalid.`},
	{name: "word not ASCII", manifest: with(`"Size": 3`, `"Size": é1`), want: prefix + `Token "é1" is invalid.`},

	// Strings.
	{name: "newline in a string", manifest: withString("\"a\nb\""), want: prefix + "Character with value 0x0a must be escaped."},
	{name: "zero byte in a string", manifest: withString("\"a\x00b\""), want: prefix + "Character with value 0x00 must be escaped."},
	{name: "escaped zero", manifest: withString(`"\u0000"`), want: prefix + `\u0000 cannot be converted to text.`},
	{name: "unknown escape", manifest: withString(`"\x41"`), want: prefix + `Escape sequence "\x" is invalid.`},
	{name: "unknown escape not ASCII", manifest: withString(`"\€5"`), want: prefix + `Escape sequence "\€" is invalid.`},
	{name: "escape with three digits", manifest: withString(`"\u123"`), want: prefix + `"\u" must be followed by four hexadecimal digits.`},
	{name: "two high surrogates", manifest: withString(`"\ud83d\ud83d"`), want: prefix + "Unicode high surrogate must not follow a high surrogate."},
	{name: "high surrogate at the end", manifest: withString(`"\ud83d"`), want: prefix + "Unicode low surrogate must follow a high surrogate."},
	{name: "high surrogate before a letter", manifest: withString(`"\ud83dx"`), want: prefix + "Unicode low surrogate must follow a high surrogate."},
	{name: "high surrogate before an escape", manifest: withString(`"\ud83d\n"`), want: prefix + "Unicode low surrogate must follow a high surrogate."},
	{name: "high surrogate before another code point", manifest: withString(`"\ud83d\u0041"`), want: prefix + "Unicode low surrogate must follow a high surrogate."},
	{name: "low surrogate alone", manifest: withString(`"\ude00"`), want: prefix + "Unicode low surrogate must follow a high surrogate."},

	// The end too early.
	{name: "cut off behind a key", manifest: `{ "PostgreSQL-Backup-Manifest-Version"`, want: ended},
	{name: "cut off behind a colon", manifest: `{ "PostgreSQL-Backup-Manifest-Version":`, want: ended},
	{name: "cut off behind a value", manifest: `{ "PostgreSQL-Backup-Manifest-Version": 1`, want: ended},
	{name: "cut off in a string", manifest: `{ "PostgreSQL`, want: prefix + `Token ""PostgreSQL" is invalid.`},
	{name: "cut off in an escape", manifest: `{ "P\`, want: prefix + `Token ""P\" is invalid.`},
	{name: "cut off in a code point", manifest: `{ "P\u00`, want: prefix + `Token ""P\u00" is invalid.`},
	{name: "cut off behind the files", manifest: sound[:strings.Index(sound, `"WAL`)], want: ended},
	{name: "cut off before the last brace", manifest: strings.TrimSuffix(sealed(sound), "}\n"), want: ended},

	// What only a Reader refuses.
	{name: "size negative", manifest: with(`"Size": 3`, `"Size": -3`), want: prefix + "file size is not an integer", postgres: "ok"},
	{name: "size empty", manifest: with(`"Size": 3`, `"Size": ""`), want: prefix + "file size is not an integer", postgres: "ok"},
	{name: "size out of range", manifest: with(`"Size": 3`, `"Size": 9223372036854775808`), want: prefix + "file size is not an integer", postgres: "ok"},
	{name: "timeline out of range", manifest: with(`"Timeline": 1`, `"Timeline": 4294967296`), want: prefix + "timeline is not an integer", postgres: "ok"},
	{name: "position with more behind", manifest: with("0/2000028", "0/2000028x"), want: prefix + "could not parse start LSN", postgres: "ok"},
	{name: "path empty", manifest: with(`"PG_VERSION"`, `""`), want: prefix + `empty path name: ""`, postgres: "ok"},
	{name: "path absolute", manifest: with(`"PG_VERSION"`, `"/etc/passwd"`), want: prefix + `path name is absolute: "/etc/passwd"`, postgres: "ok"},
	{name: "path to the parent", manifest: with(`"PG_VERSION"`, `"base/../../x"`), want: prefix + `path name is not canonical: "base/../../x"`, postgres: "ok"},
	{name: "path is the parent", manifest: with(`"PG_VERSION"`, `".."`), want: prefix + `path name is not canonical: ".."`, postgres: "ok"},
	{name: "path with a dot", manifest: with(`"PG_VERSION"`, `"./PG_VERSION"`), want: prefix + `path name is not canonical: "./PG_VERSION"`, postgres: "ok"},
	{name: "path of a directory", manifest: with(`"PG_VERSION"`, `"base/"`), want: prefix + `path name is not canonical: "base/"`, postgres: "ok"},
	{name: "path with two slashes", manifest: with(`"PG_VERSION"`, `"base//1"`), want: prefix + `path name is not canonical: "base//1"`, postgres: "ok"},
	{name: "path absolute, encoded", manifest: withFile(`{"Encoded-Path":"2f657463","Size":0}`), want: prefix + `path name is absolute: "/etc"`, postgres: "ok"},
	{name: "path with a zero byte", manifest: withFile(`{"Encoded-Path":"610062","Size":0}`), want: prefix + `path name contains a zero byte: "a\x00b"`, postgres: "ok"},
	{name: "path too long", manifest: with(`"PG_VERSION"`, `"`+strings.Repeat("p", maxPath+1)+`"`), want: prefix + `path name is too long: "` + strings.Repeat("p", maxShown) + `..."`, postgres: "ok"},
	{name: "string too long", manifest: withString(`"` + strings.Repeat("a", maxToken) + `"`), want: prefix + "token is longer than 32768 bytes", postgres: "ok"},
	{name: "terminal escape in a path", manifest: withFile(`{"Path":"\u001b[2J\u007f","Size":3,"Checksum-Algorithm":"CRC32C","Checksum":"x"}`), want: `invalid checksum for file "\x1b[2J\x7f": "x"`, postgres: `invalid checksum for file "` + "\x1b[2J\x7f" + `": "x"`},
}

func TestMessagesShowNothingThatChangesTheTerminal(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"base/5/16384_fsm", "base/5/16384_fsm"},
		{`C:\"täb" 日本`, `C:\"täb" 日本`},
		{"a\x00\x1b[2J\r\n\x7f", `a\x00\x1b[2J\x0d\x0a\x7f`},
		{"l\xe4tin1 \x9b", `l\xe4tin1 \x9b`},
		{"\u009b1m \u202egnp", `\xc2\x9b1m \xe2\x80\xaegnp`},
		{"\uFFFD", "\uFFFD"},
		{strings.Repeat("x", maxShown), strings.Repeat("x", maxShown)},
		{strings.Repeat("x", maxShown-1) + "é!", strings.Repeat("x", maxShown-1) + "..."},
		{strings.Repeat("\x80", maxShown+1), strings.Repeat(`\x80`, maxShown-utf8.UTFMax) + "..."},
	} {
		if got := printable(c.text); got != c.want {
			t.Errorf("%q: got %q, want %q", c.text, got, c.want)
		}
		if got := printable([]byte(c.text)); got != c.want {
			t.Errorf("%q: got %q, want %q", c.text, got, c.want)
		}
	}
}

func TestLimitOfTokenDoesNotDependOnTheSplit(t *testing.T) {
	for length := maxToken - 2; length <= maxToken+2; length++ {
		for _, c := range []struct{ token, better string }{
			{`"` + strings.Repeat("a", length-2) + `"`, ""},
			{`"\n` + strings.Repeat("a", length-4) + `"`, ""},
			{strings.Repeat("1", length), ""},
			{strings.Repeat("x", length), "is invalid"},
			{`"` + strings.Repeat("a", length-1) + "\n", "must be escaped"},
			{`"` + strings.Repeat("a", length-3) + `\u12x"`, "four hexadecimal digits"},
		} {
			manifest := withString(c.token)
			_, want := readAll(strings.NewReader(manifest))
			if tooLong := want != nil && strings.Contains(want.Error(), "token is longer"); tooLong != (length > maxToken) && c.better == "" {
				t.Errorf("%.10s... of %d bytes: %v", c.token, length, want)
			}
			for _, piece := range []int{1, 999, 4096, maxToken, bufferSize - 1} {
				if _, err := readAll(&fixedPieces{manifest, piece}); fmt.Sprint(err) != fmt.Sprint(want) {
					t.Errorf("%.10s... of %d bytes, in pieces of %d: %v; whole: %v", c.token, length, piece, err, want)
				}
			}
		}
	}
}

// fixedPieces returns what it has in pieces of one length.
type fixedPieces struct {
	left  string
	piece int
}

func (p *fixedPieces) Read(b []byte) (int, error) {
	if p.left == "" {
		return 0, io.EOF
	}
	n := copy(b, p.left[:min(p.piece, len(p.left))])
	p.left = p.left[n:]
	return n, nil
}

func upperChecksum(m string) string {
	i := strings.LastIndex(m, ": ")
	return m[:i] + strings.ToUpper(m[i:])
}

func TestReaderNamesEveryMistakeAsPostgreSQLDoes(t *testing.T) {
	for _, j := range judgements {
		t.Run(j.name, func(t *testing.T) {
			_, err := readAll(strings.NewReader(j.manifest))
			if got := message(err); got != j.want {
				t.Errorf("got  %q\nwant %q", got, j.want)
			}
		})
	}
}

// message is what a *FormatError says, without the place.
func message(err error) string {
	var f *FormatError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &f):
		return f.Msg
	}
	return err.Error()
}

func TestReaderFindsTheSameInAnySplit(t *testing.T) {
	buf := make([]byte, bufferSize) // for all of the many Readers
	for _, j := range judgements {
		want, wantErr := readAll(strings.NewReader(j.manifest))
		got, err := readAll(iotest.OneByteReader(strings.NewReader(j.manifest)))
		if fmt.Sprint(got, err) != fmt.Sprint(want, wantErr) {
			t.Errorf("%s: byte by byte: got %v, %v; want %v, %v", j.name, got, err, want, wantErr)
		}
		if len(j.manifest) > 4<<10 {
			continue
		}
		for i := range j.manifest {
			src := io.MultiReader(strings.NewReader(j.manifest[:i]), strings.NewReader(j.manifest[i:]))
			got, err := contentsOf(&Reader{lexer: lexer{src: src, digest: newDigest(), buf: buf, line: 1}})
			if fmt.Sprint(got, err) != fmt.Sprint(want, wantErr) {
				t.Fatalf("%s: split at %d: got %v, %v; want %v, %v", j.name, i, got, err, want, wantErr)
			}
		}
	}
}

func TestReaderSaysWhereTheMistakeIs(t *testing.T) {
	for _, c := range []struct {
		manifest, at string
		line         int64
	}{
		{with(`"Path"`, `"path"`), `"path"`, 3},
		{with(`"Size": 3`, `"Size": 3x`), "3x", 3},
		{with(`"Size": 3`, `"Size": null`), "}", 3},
		{with(`"Timeline"`, `"TLI"`), `"TLI"`, 6},
		{with(`"Files"`, `"Flies"`), `"Flies"`, 2},
		{with(`Version": 1,`, `Version": 3,`), `3,`, 1},
		{with(`"CRC32C",`, `"CRC32C"`), `"Checksum"`, 3},
		{withString("\"a\tb\""), "\tb", 3},
	} {
		_, err := readAll(strings.NewReader(c.manifest))
		var f *FormatError
		if !errors.As(err, &f) {
			t.Fatalf("%q: %v", c.manifest, err)
		}
		offset := int64(strings.Index(c.manifest, c.at))
		if f.Line != c.line || f.Offset != offset {
			t.Errorf("%v: found at line %d, byte %d; want line %d, byte %d", err, f.Line, f.Offset, c.line, offset)
		}
		if want := fmt.Sprintf("%s (line %d, byte %d)", f.Msg, c.line, offset); err.Error() != want {
			t.Errorf("error text %q, want %q", err, want)
		}
	}
}

func TestManifestCutOffAnywhereEndsInUnexpectedEOF(t *testing.T) {
	m := sealed(soundV2)
	whole := strings.TrimSuffix(m, "\n")
	for i := range whole {
		if _, err := readAll(strings.NewReader(m[:i])); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut off after %d bytes: %v", i, err)
		}
	}
}

func TestEveryAlteredByteOfManifestIsFound(t *testing.T) {
	m := []byte(sealed(soundV2))
	for i := range m {
		// Case counts in all but the hexadecimal digits of the checksum itself.
		if i > bytes.LastIndexByte(m[:len(m)-1], '\n') && m[i] >= 'a' && m[i] <= 'f' {
			continue
		}
		m[i] ^= 0x20
		if _, err := readAll(bytes.NewReader(m)); err == nil {
			t.Errorf("byte %d altered to %q: accepted", i, m[i])
		}
		m[i] ^= 0x20
	}
}

func TestReaderReturnsErrorOfItsSource(t *testing.T) {
	broken := errors.New("connection lost")
	m := sealed(soundV2)
	for i := range m {
		_, err := readAll(io.MultiReader(strings.NewReader(m[:i]), iotest.ErrReader(broken)))
		if !errors.Is(err, broken) || !strings.HasPrefix(err.Error(), "could not read backup manifest: ") {
			t.Fatalf("after %d bytes: %v", i, err)
		}
	}
}

func TestReaderGivesUpOnSourceWithoutProgress(t *testing.T) {
	if _, err := readAll(stuck{}); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("got %v", err)
	}
}

type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

func TestReaderReadsItsSourceToTheEnd(t *testing.T) {
	m := sealed(soundV2)
	var copied bytes.Buffer
	if _, err := readAll(io.TeeReader(strings.NewReader(m), &copied)); err != nil || copied.String() != m {
		t.Errorf("copied %d bytes of %d, %v", copied.Len(), len(m), err)
	}
}

func TestReaderRefusesManyWALRanges(t *testing.T) {
	one := `{ "Timeline": 1, "Start-LSN": "0/1", "End-LSN": "0/2" }`
	head := `{ "PostgreSQL-Backup-Manifest-Version": 1,` + "\n" + `"WAL-Ranges": [` + "\n"
	many := strings.Repeat(one+",\n", maxWALRanges-1) + one
	if c, err := readAll(strings.NewReader(sealed(head + many + "\n],\n"))); err != nil || len(c.ranges) != maxWALRanges {
		t.Errorf("%d ranges: %v", len(c.ranges), err)
	}
	_, err := readAll(strings.NewReader(sealed(head + many + ",\n" + one + "\n],\n")))
	if want := prefix + "more than 65536 WAL ranges"; message(err) != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestReaderStaysAtItsError(t *testing.T) {
	r := NewReader(strings.NewReader(withFile(soundFile + ",\n{}")))
	for r.Next() {
	}
	first := r.Err()
	if first == nil || r.Next() || r.Err() != first {
		t.Errorf("after %v: Next goes on, or the error becomes %v", first, r.Err())
	}
	r = NewReader(strings.NewReader(sealed(sound)))
	for r.Next() {
	}
	if r.Next() || r.Err() != nil {
		t.Errorf("behind the end: %v", r.Err())
	}
}
