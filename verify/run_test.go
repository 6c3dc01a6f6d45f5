package verify

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pgbasin/pgbasin/manifest"
)

// made is a directory that looks like a backup in plain format, as far as the
// manifest goes.
type made struct {
	t     *testing.T
	dir   string
	lines []string
}

func newMade(t *testing.T) *made {
	t.Helper()
	m := &made{t: t, dir: t.TempDir()}
	m.add("PG_VERSION", []byte("15\n"), manifest.CRC32C)
	return m
}

// add makes a file that the manifest lists.
func (m *made) add(path string, content []byte, a manifest.ChecksumAlgorithm) {
	m.t.Helper()
	m.write(path, content)
	line := fmt.Sprintf("{ \"Path\": \"%s\", \"Size\": %d, \"Last-Modified\": \"2026-01-31 12:00:00 GMT\"", path, len(content))
	if a != manifest.None {
		h := a.New()
		h.Write(content)
		line += fmt.Sprintf(", \"Checksum-Algorithm\": \"%v\", \"Checksum\": \"%x\"", a, h.Sum(nil))
	}
	m.lines = append(m.lines, line+" }")
}

func (m *made) write(path string, content []byte) {
	m.t.Helper()
	full := filepath.Join(m.dir, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(full, content, 0o600); err != nil {
		m.t.Fatal(err)
	}
}

// run verifies it.
func (m *made) run(o Options) (*Report, error) {
	m.t.Helper()
	text := "{ \"PostgreSQL-Backup-Manifest-Version\": 1,\n\"Files\": [\n" + strings.Join(m.lines, ",\n") + "\n],\n\"WAL-Ranges\": [\n],\n"
	m.write("backup_manifest", fmt.Appendf(nil, "%s\"Manifest-Checksum\": \"%x\"}\n", text, sha256.Sum256([]byte(text))))
	o.Path = m.dir
	return Run(m.t.Context(), o)
}

func noise(n int) []byte {
	random := rand.NewChaCha8([32]byte{1})
	b := make([]byte, n)
	random.Read(b)
	return b
}

func TestManyJobsFindWhatOneFinds(t *testing.T) {
	m := newMade(t)
	for i := range 500 {
		m.add(fmt.Sprintf("base/%d/%d", i%5+1, i+1), noise(i*37), manifest.ChecksumAlgorithm(i%6))
	}
	m.write("base/1/1", []byte("x"))                // another size, and no checksum
	m.write("base/2/7", append(noise(6*37-1), 'x')) // other content
	m.write("base/4/14", append(noise(13*37-1), 'x'))
	m.write("base/4/99999", nil)
	if err := os.Remove(filepath.Join(m.dir, "base/5/50")); err != nil {
		t.Fatal(err)
	}
	var first []string
	for _, jobs := range []int{1, 2, 8, 0} {
		var said []string
		report, err := m.run(Options{Jobs: jobs, Observer: Observer{Problem: func(p *Problem) { said = append(said, p.Error()) }}})
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(said)
		if jobs == 1 {
			first = said
		}
		if !slices.Equal(said, first) || report.Total != int64(len(said)) || len(report.Problems) != len(said) || report.OK() {
			t.Errorf("%d jobs: %q, first %q, report %+v", jobs, said, first, report)
		}
	}
	want := []string{
		`"base/1/1" has size 1 on disk but size 0 in the manifest`,
		`"base/4/99999" is present on disk but not in the manifest`,
		`"base/5/50" is present in the manifest but not on disk`,
		`checksum mismatch for file "base/4/14"`,
	}
	if got := first; !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}

func TestLargeFilesAreReadInParts(t *testing.T) {
	const partSize = readSize
	for _, size := range []int{2*partSize + 1, 3 * partSize, 3*partSize + 12345} {
		for _, a := range []manifest.ChecksumAlgorithm{manifest.CRC32C, manifest.SHA256} {
			m := newMade(t)
			m.add("base/1/1", noise(size), a)
			if _, err := m.run(Options{}); err != nil { // writes the manifest
				t.Fatal(err)
			}
			var done Progress
			inParts := func() *Report {
				v := newVerifier(Options{Path: m.dir, Jobs: 3, Observer: Observer{Progress: func(p Progress) { done = p }}})
				v.partSize = partSize
				if err := v.run(t.Context()); err != nil {
					t.Fatal(err)
				}
				return &v.report
			}
			if report := inParts(); !report.OK() || report.Bytes != int64(size)+3 {
				t.Fatalf("%d bytes, %v: %+v", size, a, report)
			}
			if want := int64(size) + 3; done != (Progress{Done: want, Total: want, Finished: true}) {
				t.Errorf("progress %+v", done)
			}
			content := noise(size)
			content[size-1] ^= 1
			m.write("base/1/1", content)
			if report := inParts(); report.Total != 1 || report.Problems[0].Kind != ChecksumDiffers {
				t.Errorf("%d bytes, %v, the last one changed: %+v", size, a, report)
			}
		}
	}
}

func TestFirstProblemIsTheOnlyOneIfItIsToBe(t *testing.T) {
	m := newMade(t)
	for i := range 200 {
		m.add(fmt.Sprintf("base/1/%d", i+1), noise(100), manifest.CRC32C)
		m.write(fmt.Sprintf("base/1/%d", i+1), make([]byte, 100))
	}
	for _, jobs := range []int{1, 4} {
		var calls atomic.Int64
		report, err := m.run(Options{Jobs: jobs, ExitOnError: true, Observer: Observer{Problem: func(*Problem) { calls.Add(1) }}})
		if err != nil || report.Total != 1 || calls.Load() != 1 {
			t.Errorf("%d jobs: %d problems, %d calls, %v", jobs, report.Total, calls.Load(), err)
		}
	}
}

func TestProblemsAreCountedBeyondThoseThatAreKept(t *testing.T) {
	m := newMade(t)
	for i := range MaxProblems + 10 {
		m.lines = append(m.lines, fmt.Sprintf("{ \"Path\": \"gone/%d\", \"Size\": 1 }", i))
	}
	report, err := m.run(Options{})
	if err != nil || report.Total != MaxProblems+10 || len(report.Problems) != MaxProblems {
		t.Errorf("%d problems, %d kept, %v", report.Total, len(report.Problems), err)
	}
}

func TestCanceledRunReturnsTheCause(t *testing.T) {
	m := newMade(t)
	m.add("base/1/1", noise(1<<20), manifest.SHA512)
	if _, err := m.run(Options{}); err != nil {
		t.Fatal(err)
	}
	cause := errors.New("enough of this")
	for _, when := range []string{"before", "while reading"} {
		ctx, cancel := context.WithCancelCause(t.Context())
		o := Options{Path: m.dir}
		if when == "before" {
			cancel(cause)
		} else {
			o.Observer.Progress = func(Progress) { cancel(cause) }
		}
		if _, err := Run(ctx, o); !errors.Is(err, cause) {
			t.Errorf("canceled %s: %v", when, err)
		}
	}
}

func TestErrorsAreTypedAndKeepTheSystems(t *testing.T) {
	report, err := Run(t.Context(), Options{Path: filepath.Join(t.TempDir(), "gone")})
	var manifestErr *ManifestError
	if report == nil || !errors.As(err, &manifestErr) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v, %v", report, err)
	}
	m := newMade(t)
	m.lines = append(m.lines, m.lines[0])
	var repeated *RepeatedPathError
	if _, err := m.run(Options{}); !errors.As(err, &repeated) || repeated.Path != "PG_VERSION" {
		t.Error(err)
	}
	m.lines = []string{"{ }"}
	var format *manifest.FormatError
	if _, err := m.run(Options{}); !errors.As(err, &format) || format.Line == 0 {
		t.Error(err)
	}
}

func TestIndexOfAMillionFilesIsSmall(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	x := newIndex()
	f := manifest.File{Algorithm: manifest.CRC32C, Checksum: make([]byte, 4)}
	name := []byte("base/16384/")
	for i := range 1000000 {
		f.Path = string(fmt.Append(name, i))
		x.add(&f, false)
	}
	x.seal()
	runtime.GC()
	runtime.ReadMemStats(&after)
	if n := after.HeapAlloc - before.HeapAlloc; n > 32<<20 {
		t.Errorf("%d bytes", n)
	}
	runtime.KeepAlive(x)
}

func FuzzArchive(f *testing.F) {
	var empty [1024]byte
	f.Add([]byte{})
	f.Add(empty[:])
	f.Add(bytes.Repeat([]byte("x"), 2000))
	header := make([]byte, 1024)
	copy(header, "../base/1/1\x00")
	copy(header[100:], "0000600\x00")
	copy(header[124:], "00000000003\x00")
	copy(header[257:], "ustar\x0000")
	header[156] = '0'
	var sum int
	for _, c := range header[:512] {
		sum += int(c)
	}
	copy(header[148:], fmt.Sprintf("%06o\x00 ", sum+8*' '))
	f.Add(header)
	f.Fuzz(func(t *testing.T, archive []byte) {
		m := &made{t: t, dir: t.TempDir()}
		m.add("PG_VERSION", []byte("15\n"), manifest.CRC32C)
		if err := os.Remove(filepath.Join(m.dir, "PG_VERSION")); err != nil {
			t.Fatal(err)
		}
		m.write("base.tar", archive)
		report, err := m.run(Options{PageChecksums: true})
		if err == nil && report.OK() && !bytes.Contains(archive, []byte("15\n")) {
			t.Error("an archive without the file is good")
		}
	})
}
