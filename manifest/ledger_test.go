package manifest

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// testFile is a file with its content.
type testFile struct{ path, content string }

// sum is the content's CRC32C as the manifest has it.
func (f testFile) sum() []byte {
	h := CRC32C.New()
	io.WriteString(h, f.content)
	return h.Sum(nil)
}

func (f testFile) object() string {
	return fmt.Sprintf(`{ "Path": "%s", "Size": %d, "Last-Modified": "2026-01-31 12:00:00 GMT", "Checksum-Algorithm": "CRC32C", "Checksum": "%x" }`,
		f.path, len(f.content), f.sum())
}

// listing is a manifest of the given objects.
func listing(objects ...string) string {
	return sealed("{ \"PostgreSQL-Backup-Manifest-Version\": 1,\n\"Files\": [\n" + strings.Join(objects, ",\n") + "\n],\n" + soundWAL)
}

func listingOf(files []testFile) string {
	var objects []string
	for _, f := range files {
		objects = append(objects, f.object())
	}
	return listing(objects...)
}

// ledgerOf has a ledger of files. A small one can hold very little in memory.
func ledgerOf(t testing.TB, files []testFile, small bool) *Ledger {
	t.Helper()
	l := NewLedger(t.TempDir(), CRC32C)
	if small {
		l.limits = limits{records: 300, waiting: 30 * (waitingOverhead + 20), piece: 50}
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, f := range files {
		if err := l.Add(f.path, int64(len(f.content)), f.sum()); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

func verify(t testing.TB, files []testFile, manifest string) error {
	return ledgerOf(t, files, false).Verify(NewReader(strings.NewReader(manifest)))
}

func someFiles(n int) []testFile {
	files := make([]testFile, n)
	for i := range files {
		files[i] = testFile{fmt.Sprintf("base/%d/%d", i/300, 16384+i%300), strings.Repeat("x", i%7)}
	}
	return files
}

func TestLedgerAgreesWithManifestsOfServers(t *testing.T) {
	for _, name := range []string{"postgresql-15.manifest.gz", "postgresql-18.manifest.gz"} {
		b := realManifest(t, name)
		c, err := readAll(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		l := NewLedger(t.TempDir(), CRC32C)
		defer l.Close()
		for _, f := range c.files {
			if err := l.Add(f.Path, f.Size, f.Checksum); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Verify(NewReader(bytes.NewReader(b))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// differences are backups and manifests that do not match, or barely do.
var differences = []struct {
	name     string
	files    []testFile
	manifest string
	want     string // Error of what Verify returns
	// What pg_verifybackup says instead, if its words differ by more than where
	// the files are, and "ok" for nothing.
	original string
}{
	{name: "none", files: []testFile{{"a", "1"}, {"b", "2"}}, manifest: listingOf([]testFile{{"a", "1"}, {"b", "2"}})},
	{name: "no files at all", manifest: listing()},
	{name: "missing first", files: []testFile{{"b", "2"}, {"c", "3"}}, manifest: listingOf([]testFile{{"a", "1"}, {"b", "2"}, {"c", "3"}}),
		want: `"a" is present in the manifest but not in the backup`},
	{name: "missing last", files: []testFile{{"a", "1"}}, manifest: listingOf([]testFile{{"a", "1"}, {"b", "2"}}),
		want: `"b" is present in the manifest but not in the backup`},
	{name: "all missing", manifest: listingOf([]testFile{{"a", "1"}, {"b", "2"}}),
		want: "\"a\" is present in the manifest but not in the backup\n\"b\" is present in the manifest but not in the backup"},
	{name: "extra first", files: []testFile{{"x", ""}, {"a", "1"}, {"b", "2"}}, manifest: listingOf([]testFile{{"a", "1"}, {"b", "2"}}),
		want: `"x" is present in the backup but not in the manifest`},
	{name: "extra last", files: []testFile{{"a", "1"}, {"x", ""}}, manifest: listingOf([]testFile{{"a", "1"}}),
		want: `"x" is present in the backup but not in the manifest`},
	{name: "one for another", files: []testFile{{"a", "1"}, {"c", "2"}}, manifest: listingOf([]testFile{{"a", "1"}, {"b", "2"}}),
		want: "\"b\" is present in the manifest but not in the backup\n\"c\" is present in the backup but not in the manifest"},
	{name: "prefix of another", files: []testFile{{"base/1/1", "1"}}, manifest: listingOf([]testFile{{"base/1", "1"}}),
		want: "\"base/1\" is present in the manifest but not in the backup\n\"base/1/1\" is present in the backup but not in the manifest", original: "?"},
	{name: "size", files: []testFile{{"a", "12"}}, manifest: listingOf([]testFile{{"a", "1"}}),
		want: `"a" has size 2 in the backup but size 1 in the manifest`},
	{name: "content", files: []testFile{{"a", "1"}, {"b", "2"}}, manifest: listingOf([]testFile{{"a", "1"}, {"b", "3"}}),
		want: `checksum mismatch for file "b"`},
	{name: "contents exchanged", files: []testFile{{"a", "1"}, {"b", "2"}}, manifest: listingOf([]testFile{{"a", "2"}, {"b", "1"}}),
		want: "checksum mismatch for file \"a\"\nchecksum mismatch for file \"b\""},
	{name: "other order", files: []testFile{{"c", "3"}, {"a", "1"}, {"b", "2"}}, manifest: listingOf([]testFile{{"a", "1"}, {"b", "2"}, {"c", "3"}})},
	{name: "other order and other content", files: []testFile{{"c", "3"}, {"a", "1"}, {"b", "2"}}, manifest: listingOf([]testFile{{"a", "4"}, {"b", "22"}, {"c", "5"}}),
		want: "checksum mismatch for file \"a\"\n\"b\" has size 1 in the backup but size 2 in the manifest\nchecksum mismatch for file \"c\""},
	{name: "WAL that is not listed", files: []testFile{{"a", "1"}, {"pg_wal/000000010000000000000001", "x"}, {"b", "2"}}, manifest: listingOf([]testFile{{"a", "1"}, {"b", "2"}})},
	{name: "WAL that is listed", files: []testFile{{"pg_wal/00000002.history", "x"}, {"a", "1"}}, manifest: listingOf([]testFile{{"a", "1"}, {"pg_wal/00000002.history", "y"}}),
		want: `checksum mismatch for file "pg_wal/00000002.history"`, original: "ok"},
	{name: "WAL that is missing", files: []testFile{{"a", "1"}}, manifest: listingOf([]testFile{{"a", "1"}, {"pg_wal/00000002.history", "y"}}),
		want: `"pg_wal/00000002.history" is present in the manifest but not in the backup`, original: "ok"},
	{name: "not WAL", files: []testFile{{"pg_wal", "x"}, {"pg_wal2/x", "x"}}, manifest: listing(),
		want: "\"pg_wal\" is present in the backup but not in the manifest\n\"pg_wal2/x\" is present in the backup but not in the manifest",
		// It skips pg_wal whatever it is.
		original: `"pg_wal2/x" is present in the backup but not in the manifest`},
	{name: "listed twice", files: []testFile{{"a", "1"}, {"b", "2"}}, manifest: listingOf([]testFile{{"a", "1"}, {"a", "1"}, {"b", "2"}}),
		want: `duplicate path name in backup manifest: "a"`},
	{name: "listed twice, apart", files: []testFile{{"a", "1"}, {"b", "2"}}, manifest: listingOf([]testFile{{"a", "1"}, {"b", "2"}, {"a", "3"}}),
		want: `duplicate path name in backup manifest: "a"`},
	{name: "listed twice and missing", files: []testFile{{"b", "2"}}, manifest: listingOf([]testFile{{"a", "1"}, {"a", "1"}, {"b", "2"}}),
		want:     "duplicate path name in backup manifest: \"a\"\n\"a\" is present in the manifest but not in the backup",
		original: `duplicate path name in backup manifest: "a"`},
	{name: "sent twice", files: []testFile{{"a", "1"}, {"b", "2"}, {"a", "1"}}, manifest: listingOf([]testFile{{"a", "1"}, {"b", "2"}}),
		want: `"a" is present in the backup more than once`, original: "ok"},
	{name: "other algorithm", files: []testFile{{"a", "1"}}, manifest: listing(`{ "Path": "a", "Size": 1, "Checksum-Algorithm": "SHA224", "Checksum": "e25388fde8290dc286a6164fa2d97e551b53498dcbf7bc378eb1f178" }`),
		want: `file "a" has checksum algorithm SHA224 in the manifest, but CRC32C was requested`, original: "ok"},
	{name: "no algorithm", files: []testFile{{"a", "1"}}, manifest: listing(`{ "Path": "a", "Size": 1 }`),
		want: `file "a" has no checksum in the manifest, but CRC32C was requested`, original: "ok"},
	{name: "algorithm none", files: []testFile{{"a", "1"}}, manifest: listing(`{ "Path": "a", "Size": 1, "Checksum-Algorithm": "NONE" }`),
		want: `file "a" has no checksum in the manifest, but CRC32C was requested`, original: "ok"},
	{name: "no checksum", files: []testFile{{"a", "1"}}, manifest: listing(`{ "Path": "a", "Size": 1, "Checksum-Algorithm": "CRC32C" }`),
		want: `file "a" has checksum of length 0, but expected 4`},
	{name: "checksum too short", files: []testFile{{"a", "1"}}, manifest: listing(`{ "Path": "a", "Size": 1, "Checksum-Algorithm": "CRC32C", "Checksum": "e399f5" }`),
		want: `file "a" has checksum of length 3, but expected 4`},
	{name: "checksum too long", files: []testFile{{"a", "1"}}, manifest: listing(`{ "Path": "a", "Size": 1, "Checksum-Algorithm": "CRC32C", "Checksum": "e399f59000" }`),
		want: `file "a" has checksum of length 5, but expected 4`},
	{name: "encoded path", files: []testFile{{"ä", "1"}}, manifest: listing(`{ "Encoded-Path": "c3a4", "Size": 1, "Checksum-Algorithm": "crc32c", "Checksum": "e399f590" }`)},
}

func TestVerifyNamesEveryDifference(t *testing.T) {
	for _, c := range differences {
		t.Run(c.name, func(t *testing.T) {
			err := verify(t, c.files, c.manifest)
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestPgVerifybackupNamesTheSameDifferences(t *testing.T) {
	program := oracle(t)
	for _, c := range differences {
		want := c.want
		switch c.original {
		case "?":
			continue // such files cannot lie in one directory
		case "ok":
			want = ""
		case "":
		default:
			want = c.original
		}
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for _, f := range append([]testFile{{"backup_manifest", c.manifest}}, c.files...) {
				path := filepath.Join(dir, f.path)
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(f.content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			out, accepted := verifybackup(t, program, dir)
			if accepted != (want == "") {
				t.Errorf("accepted: %v\n%s", accepted, out)
			}
			if accepted {
				return
			}
			wanted := strings.Split(strings.ReplaceAll(want, "in the backup", "on disk"), "\n")
			got := strings.Split(strings.ReplaceAll(out, "pg_verifybackup: error: ", ""), "\n")
			slices.Sort(wanted)
			slices.Sort(got)
			if !slices.Equal(got, wanted) {
				t.Errorf("pg_verifybackup says %q\nwant                 %q", got, wanted)
			}
		})
	}
}

func TestVerifyComparesSizesOnlyWithoutChecksums(t *testing.T) {
	for _, c := range []struct{ object, want string }{
		{`{ "Path": "a", "Size": 1 }`, ""},
		{`{ "Path": "a", "Size": 1, "Checksum-Algorithm": "NONE" }`, ""},
		{`{ "Path": "a", "Size": 2 }`, `"a" has size 1 in the backup but size 2 in the manifest`},
		{testFile{"a", "1"}.object(), `file "a" has checksum algorithm CRC32C in the manifest, but NONE was requested`},
	} {
		l := NewLedger("", None)
		defer l.Close()
		if err := l.Add("a", 1, nil); err != nil {
			t.Fatal(err)
		}
		got := ""
		if err := l.Verify(NewReader(strings.NewReader(listing(c.object)))); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", c.object, got, c.want)
		}
	}
}

func TestVerifyErrorsAreFoundByType(t *testing.T) {
	err := verify(t, []testFile{{"a", "12"}}, listingOf([]testFile{{"a", "1"}}))
	var one *VerifyError
	if !errors.As(err, &one) || one.Path != "a" || one.Problem != SizeDiffers || one.Size != 2 || one.ManifestSize != 1 {
		t.Errorf("got %+v", one)
	}
}

func TestUnsoundManifestIsTheErrorWhateverItListed(t *testing.T) {
	m := strings.Replace(listingOf([]testFile{{"a", "1"}, {"b", "2"}}), `"b"`, `"c"`, 1)
	for _, m := range []string{m, m[:len(m)-10]} {
		err := verify(t, []testFile{{"x", "1"}}, m)
		var f *FormatError
		if !errors.As(err, &f) {
			t.Errorf("got %v", err)
		}
	}
}

func TestVerifyCountsWhatItDoesNotReport(t *testing.T) {
	files := someFiles(1000)
	err := verify(t, nil, listingOf(files))
	var all *VerifyErrors
	if !errors.As(err, &all) || all.Total != 1000 || len(all.Errors) != maxReported {
		t.Fatalf("got %v", err)
	}
	if want := "\nand 900 more differences between the backup and its manifest"; !strings.HasSuffix(err.Error(), want) {
		t.Errorf("error ends in %q", err.Error()[len(err.Error())-100:])
	}
}

// A big-endian server prints the CRC32C's bytes the other way round.
func TestVerifyTakesChecksumsOfBigEndianServer(t *testing.T) {
	files := someFiles(20)
	var objects []string
	for _, f := range files {
		s := f.sum()
		little := fmt.Sprintf("%x", s)
		slices.Reverse(s)
		objects = append(objects, strings.Replace(f.object(), `Checksum": "`+little, `Checksum": "`+fmt.Sprintf("%x", s), 1))
	}
	if err := verify(t, files, listing(objects...)); err != nil {
		t.Error(err)
	}
	// But not both ways in one manifest.
	objects[1] = files[1].object()
	if err := verify(t, files, listing(objects...)); err == nil {
		t.Error("a manifest with both byte orders is taken")
	}
}

func TestLedgerRefusesWhatItCannotNote(t *testing.T) {
	for _, c := range []struct {
		path     string
		size     int64
		checksum []byte
	}{
		{"a", -1, make([]byte, 4)},
		{"a", 1, make([]byte, 3)},
		{"a", 1, nil},
		{strings.Repeat("a", maxPath+1), 1, make([]byte, 4)},
	} {
		l := NewLedger("", CRC32C)
		err := l.Add(c.path, c.size, c.checksum)
		if err == nil || l.Files() != 0 {
			t.Errorf("%.10s, %d, %x: noted", c.path, c.size, c.checksum)
		}
		if again := l.Verify(NewReader(strings.NewReader(listing()))); again != err {
			t.Errorf("Verify returns %v after %v", again, err)
		}
		l.Close()
	}
}

func TestLedgerIsOfNoMoreUseAfterVerifyAndClose(t *testing.T) {
	l := NewLedger("", None)
	if err := l.Verify(NewReader(strings.NewReader(listing()))); err != nil {
		t.Fatal(err)
	}
	if err := l.Add("a", 0, nil); err == nil {
		t.Error("Add after Verify")
	}
	if err := l.Verify(NewReader(strings.NewReader(listing()))); err == nil {
		t.Error("Verify after Verify")
	}
	for range 2 {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	l = NewLedger("", None)
	l.Close()
	if err := l.Add("a", 0, nil); err == nil {
		t.Error("Add after Close")
	}
}

// noteMany adds files until the ledger has had to use its temporary file.
func noteMany(l *Ledger) (files int, err error) {
	l.limits.records = 5000
	for l.spill.size == 0 {
		if err := l.Add(fmt.Sprintf("base/5/%d", files), 0, []byte{0, 0, 0, 0}); err != nil {
			return files, err
		}
		files++
	}
	return files, nil
}

func TestLedgerReportsWhereItsTemporaryFileCannotBe(t *testing.T) {
	for _, dir := range []string{"", filepath.Join(t.TempDir(), "absent")} {
		l := NewLedger(dir, CRC32C)
		_, err := noteMany(l)
		if err == nil {
			t.Fatalf("%q: no error", dir)
		}
		if again := l.Add("a", 0, []byte{0, 0, 0, 0}); again != err {
			t.Errorf("Add returns %v after %v", again, err)
		}
		if again := l.Verify(NewReader(strings.NewReader(listing()))); again != err {
			t.Errorf("Verify returns %v after %v", again, err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestLedgerLeavesNothingInItsDirectory(t *testing.T) {
	dir := t.TempDir()
	l := NewLedger(dir, CRC32C)
	if _, err := noteMany(l); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left: %v %v", left, err)
	}
}

func TestLedgerFindsItsTemporaryFileDamaged(t *testing.T) {
	for _, size := range []int64{1000, 1001, 1002, 1003} {
		l := NewLedger(t.TempDir(), CRC32C)
		defer l.Close()
		if _, err := noteMany(l); err != nil {
			t.Fatal(err)
		}
		if err := l.spill.file.Truncate(size); err != nil {
			t.Fatal(err)
		}
		err := l.Verify(NewReader(strings.NewReader(listing())))
		if err == nil || !strings.HasPrefix(err.Error(), "could not read temporary file: ") {
			t.Errorf("got %v", err)
		}
	}
}

// The same differences have to be found whatever way a record takes: side by
// side, through memory, or through the partitions of the temporary file.
func TestVerifyFindsTheSameInAnyOrder(t *testing.T) {
	const n = 3000
	files := someFiles(n)
	listed := slices.Clone(files)
	listed[10].content += "?"
	listed[n/2].content = strings.Repeat("y", len(listed[n/2].content))
	listed[n-10].path += "_fsm"
	listed = append(listed[:20:20], listed[21:]...) // files[20] is extra
	listed = append(listed, testFile{"base/missing", ""}, files[30])
	wal := testFile{"pg_wal/000000010000000000000001", "x"}
	files = append(files, wal, files[40])

	want := strings.Join([]string{
		`"` + files[10].path + `" has size 3 in the backup but size 4 in the manifest`,
		`"` + files[20].path + `" is present in the backup but not in the manifest`,
		`duplicate path name in backup manifest: "` + files[30].path + `"`,
		`"` + files[40].path + `" is present in the backup more than once`,
		`checksum mismatch for file "` + files[n/2].path + `"`,
		`"` + files[n-10].path + `" is present in the backup but not in the manifest`,
		`"` + files[n-10].path + `_fsm" is present in the manifest but not in the backup`,
		`"base/missing" is present in the manifest but not in the backup`,
	}, "\n")
	wanted := strings.Split(want, "\n")
	slices.Sort(wanted)

	random := rand.New(rand.NewPCG(1, 2))
	for _, order := range []struct {
		name   string
		change func([]testFile)
		divide bool
	}{
		{"same", func([]testFile) {}, false},
		{"local", func(f []testFile) {
			for i := 0; i+10 <= len(f); i += 10 {
				random.Shuffle(10, func(a, b int) { f[i+a], f[i+b] = f[i+b], f[i+a] })
			}
		}, false},
		{"reversed", slices.Reverse[[]testFile], true},
		{"random", func(f []testFile) { random.Shuffle(len(f), func(a, b int) { f[a], f[b] = f[b], f[a] }) }, true},
	} {
		t.Run(order.name, func(t *testing.T) {
			listed := slices.Clone(listed)
			order.change(listed)
			l := ledgerOf(t, files, true)
			before := l.spill.size
			err := l.Verify(NewReader(strings.NewReader(listingOf(listed))))
			if err == nil {
				t.Fatal("no difference found")
			}
			got := strings.Split(err.Error(), "\n")
			slices.Sort(got)
			if !slices.Equal(got, wanted) {
				t.Errorf("got  %q\nwant %q", got, wanted)
			}
			if divided := l.spill.size > before; divided != order.divide {
				t.Errorf("the temporary file is used: %v", divided)
			}
		})
	}
}

func TestCRC32CIsCastagnoliInManifestsOrder(t *testing.T) {
	h := CRC32C.New()
	io.WriteString(h, "15\n")
	if got := hex.EncodeToString(h.Sum([]byte{0xff})); got != "ff8a744722" {
		t.Errorf("PG_VERSION of 15: %s", got)
	}
	if got, want := h.(*crc32c).Sum32(), crc32.Checksum([]byte("15\n"), crc32.MakeTable(crc32.Castagnoli)); got != want {
		t.Errorf("Sum32 = %x, want %x", got, want)
	}
	h.Reset()
	if got := hex.EncodeToString(h.Sum(nil)); got != "00000000" {
		t.Errorf("empty file: %s", got)
	}
}

func TestChecksumAlgorithmsAreNamedAsTheServerNamesThem(t *testing.T) {
	for want := None; want <= SHA512; want++ {
		for _, name := range []string{want.String(), strings.ToLower(want.String())} {
			if got, err := ParseChecksumAlgorithm(name); err != nil || got != want {
				t.Errorf("%s: %v, %v", name, got, err)
			}
		}
		h := want.New()
		if want == None {
			if h != nil || want.Size() != 0 {
				t.Error("None has a hash")
			}
			continue
		}
		if h.Size() != want.Size() || len(h.Sum(nil)) != want.Size() {
			t.Errorf("%v: %d bytes, want %d", want, h.Size(), want.Size())
		}
	}
	for _, name := range []string{"", "md5", "SHA-256", "SHA1", "CRC32", "CRC32C ", "ſHA256", "nonе"} {
		_, err := ParseChecksumAlgorithm(name)
		if want := `unrecognized checksum algorithm: "` + name + `"`; err == nil || err.Error() != want {
			t.Errorf("%q: %v", name, err)
		}
	}
	if got := ChecksumAlgorithm(-1).String(); got != "ChecksumAlgorithm(-1)" {
		t.Error(got)
	}
}

func TestFilesThatBothSidesHaveTwiceAreFoundWhereverTheyAre(t *testing.T) {
	const n = 3000
	var files []testFile
	for i := range n {
		files = append(files, testFile{fmt.Sprintf("base/1/%d", i), "x"})
	}
	if err := verify(t, files, listingOf(files)); err != nil {
		t.Fatal(err)
	}
	for _, again := range [][2]int{{0, 0}, {0, n - 1}, {n / 2, n}} {
		twice := slices.Insert(slices.Clone(files), again[1], files[again[0]])
		var found *VerifyErrors
		if err := verify(t, twice, listingOf(twice)); !errors.As(err, &found) || found.Total != 1 || found.Errors[0].Problem != DuplicateFile || found.Errors[0].Path != files[again[0]].path {
			t.Errorf("file %d again at %d: %v", again[0], again[1], err)
		}
	}
	whole := slices.Concat(files, files)
	var found *VerifyErrors
	if err := verify(t, whole, listingOf(whole)); !errors.As(err, &found) || found.Total != n {
		t.Errorf("all of them twice: %v", err)
	}
}
