package manifest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/internal/seeds"
)

// pieces returns what it has in pieces of random length.
type pieces struct {
	left   []byte
	random *rand.Rand
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.left) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.left[:min(len(p.left), p.random.IntN(20))])
	p.left = p.left[n:]
	return n, nil
}

func FuzzReader(f *testing.F) {
	seeds.Require(f, 18)
	for _, j := range judgements {
		f.Add([]byte(j.manifest), uint64(1))
	}
	for _, name := range []string{"postgresql-15.manifest.gz", "postgresql-18.manifest.gz"} {
		m := realManifest(f, name)
		f.Add(m[:2000], uint64(2))
		f.Add(m[len(m)-2000:], uint64(3))
	}
	f.Fuzz(func(t *testing.T, m []byte, seed uint64) {
		check(t, m, seed)
		// And with a last line that fits, so that the checksum does not hide
		// what is behind it.
		if i := bytes.LastIndex(m, []byte("\"Manifest-Checksum\"")); i >= 0 {
			m = m[:i]
		}
		check(t, []byte(sealed(string(m))), seed)
	})
}

func check(t *testing.T, m []byte, seed uint64) {
	whole, wholeErr := readAll(bytes.NewReader(m))
	split, splitErr := readAll(&pieces{m, rand.New(rand.NewPCG(seed, 0))})
	if fmt.Sprint(whole, wholeErr) != fmt.Sprint(split, splitErr) {
		t.Fatalf("in one piece: %v, %v\nin several: %v, %v", whole, wholeErr, split, splitErr)
	}
	for _, f := range whole.files {
		// Where a path leads is judged here by other means.
		for _, part := range strings.Split(f.Path, "/") {
			if part == "" || part == "." || part == ".." || strings.Contains(part, "\x00") {
				t.Errorf("path %q", f.Path)
			}
		}
		if f.Size < 0 {
			t.Errorf("size %d", f.Size)
		}
	}
	if wholeErr != nil {
		return
	}
	if !json.Valid(m) {
		t.Error("taken, and not JSON")
	}
	end := bytes.LastIndexByte(m[:len(m)-1], '\n') + 1
	if !bytes.Contains(bytes.ToLower(m[end:]), []byte(checksumOf(string(m)))) && !bytes.Contains(m[end:], []byte(`\u`)) {
		t.Error("taken with a wrong checksum")
	}
	if whole.version != 1 && whole.version != 2 {
		t.Errorf("version %d", whole.version)
	}
	// Arrived as listed, everything matches, unless a path is listed twice or
	// has a checksum of another kind.
	l := NewLedger(t.TempDir(), CRC32C)
	defer l.Close()
	seen := map[string]bool{}
	for _, f := range whole.files {
		if seen[f.Path] || f.Algorithm != CRC32C || len(f.Checksum) != 4 {
			return
		}
		seen[f.Path] = true
		if err := l.Add(f.Path, f.Size, f.Checksum); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Verify(NewReader(bytes.NewReader(m))); err != nil {
		t.Error(err)
	}
}

// FuzzLedger compares a Ledger's verdict with one that is found in memory.
func FuzzLedger(f *testing.F) {
	f.Add([]byte("abc"), []byte("abc"))
	f.Add([]byte("abc"), []byte("cab"))
	f.Add([]byte("abcabc"), []byte("cbba"))
	f.Add([]byte("aBcDeFgHiJkL"), []byte("AbCdEfGhIjKl"))
	f.Add([]byte("aAbBcCddeEEff"), []byte("FfeEdDccbBAa"))
	f.Add([]byte("abcdefghijklmnopqrstuvwxyz"), []byte("zyxwvutsrqponmlkjihgfedcba"))
	f.Fuzz(func(t *testing.T, arrived, listed []byte) {
		if len(arrived) > 100 || len(listed) > 100 {
			return
		}
		// A letter is a file; its case is the content.
		files := func(letters []byte) (all []testFile, once map[string]string, repeated bool) {
			once = map[string]string{}
			for _, c := range letters {
				f := testFile{fmt.Sprintf("f%d", c&0x1f), fmt.Sprint(c & 0xe0)}
				_, again := once[f.path]
				repeated = repeated || again
				once[f.path] = f.content
				all = append(all, f)
			}
			return all, once, repeated
		}
		arrivedFiles, have, again := files(arrived)
		listedFiles, want, twice := files(listed)
		different := 0
		for path, content := range want {
			if got, ok := have[path]; !ok || got != content {
				different++
			}
		}
		for path := range have {
			if _, ok := want[path]; !ok {
				different++
			}
		}
		manifest := listingOf(listedFiles)
		err := verify(t, arrivedFiles, manifest)
		small := ledgerOf(t, arrivedFiles, false)
		small.limits = limits{records: 30, waiting: 3 * waitingOverhead, piece: 20}
		divided := small.Verify(NewReader(strings.NewReader(manifest)))
		switch {
		case again || twice:
			// Which of several records meets which depends on the way.
			if err == nil || divided == nil {
				t.Errorf("nothing found in %q, %q: %v; with little memory: %v", arrived, listed, err, divided)
			}
		case fmt.Sprint(divided) != fmt.Sprint(err):
			t.Errorf("found in %q, %q: %v\nwith little memory: %v", arrived, listed, err, divided)
		case different == 0:
			if err != nil {
				t.Errorf("found in %q, %q: %v", arrived, listed, err)
			}
		default:
			if all, ok := err.(*VerifyErrors); !ok || all.Total != int64(different) {
				t.Errorf("found in %q, %q: %v; want %d differences", arrived, listed, err, different)
			}
		}
	})
}
