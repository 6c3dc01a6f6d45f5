package verify

import (
	"encoding/binary"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/manifest"
	"github.com/pgbasin/pgbasin/pgdata"
)

// page makes a page that was last changed at that position.
func page(block uint32, changed lsn.LSN) []byte {
	p := noise(defaultBlockSize)
	binary.LittleEndian.PutUint32(p, uint32(changed>>32))
	binary.LittleEndian.PutUint32(p[4:], uint32(changed))
	binary.LittleEndian.PutUint16(p[pageSumOffset:], pageChecksum(p, block))
	return p
}

func testControl() *pgdata.Control {
	return &pgdata.Control{Complete: true, BlockSize: defaultBlockSize, RelSegSize: defaultSegment, DataChecksumVersion: checksumsOn}
}

// judged checks the content of a file as a whole backup without WAL.
func judged(t *testing.T, path string, start lsn.LSN, content []byte, pieces func() int) (*Report, error) {
	t.Helper()
	v := newVerifier(Options{PageChecksums: true})
	v.control = testControl()
	v.pages = newPageChecker(v.control, start)
	f := v.pages.file(path, "", 0)
	for len(content) > 0 {
		n := min(pieces(), len(content))
		f.write(content[:n])
		content = content[n:]
	}
	f.close()
	err := v.judgePages(t.Context())
	return &v.report, err
}

func TestPagesAreJudgedByChecksumAndAge(t *testing.T) {
	const start, before, after = 0x2_00000028, 0x1_FFFFFFF0, 0x2_00000028
	random := rand.New(rand.NewPCG(5, 6))
	change := func(p []byte, at int) []byte { p[at] ^= 1; return p }
	for _, c := range []struct {
		name string
		path string
		want PageReport
		all  [][]byte
	}{
		{"good", "base/5/16384", PageReport{Checked: 2}, [][]byte{page(0, before), page(1, after)}},
		{"good in another file", "base/5/16384.3", PageReport{Checked: 1}, [][]byte{page(3*defaultSegment, before)}},
		{"new", "base/5/16384", PageReport{Checked: 2, New: 1}, [][]byte{make([]byte, defaultBlockSize), page(1, before)}},
		{"nearly new", "base/5/16384", PageReport{Checked: 1, Broken: 1}, [][]byte{change(make([]byte, defaultBlockSize), 5000)}},
		{"flipped", "base/5/16384", PageReport{Checked: 2, Broken: 1}, [][]byte{page(0, before), change(page(1, before), 5000)}},
		{"torn", "base/5/16384", PageReport{Checked: 2, Unknown: 1}, [][]byte{page(0, before), change(page(1, after), 5000)}},
		{"in the wrong place", "base/5/16384", PageReport{Checked: 1, Broken: 1}, [][]byte{page(1, before)}},
		{"in the wrong file", "base/5/16384.1", PageReport{Checked: 1, Broken: 1}, [][]byte{page(0, before)}},
		{"cut", "base/5/16384", PageReport{Checked: 2, Broken: 1}, [][]byte{page(0, before), page(1, before)[:8000]}},
		{"cut early", "base/5/16384", PageReport{Checked: 2, Broken: 1}, [][]byte{page(0, before), {1, 2, 3}}},
	} {
		content := []byte{}
		for _, p := range c.all {
			content = append(content, p...)
		}
		for _, pieces := range []func() int{
			func() int { return len(content) },
			func() int { return defaultBlockSize },
			func() int { return 1 + random.IntN(3*defaultBlockSize) },
			func() int { return 1 + random.IntN(100) },
		} {
			report, err := judged(t, c.path, start, content, pieces)
			want := c.want
			want.Enabled = true
			if err != nil || *report.Pages != want || report.Total != want.Broken {
				t.Errorf("%s: %+v, %d problems, %v; want %+v", c.name, report.Pages, report.Total, err, want)
			}
		}
	}
}

func TestBrokenPagesAreNamedByFileAndBlock(t *testing.T) {
	good := page(1, 1)
	sum := binary.LittleEndian.Uint16(good[pageSumOffset:])
	binary.LittleEndian.PutUint16(good[pageSumOffset:], sum+1)
	report, err := judged(t, "base/5/16384", 1000, append(page(0, 1), good...), func() int { return 9999 })
	if err != nil || len(report.Problems) != 1 {
		t.Fatalf("%+v, %v", report, err)
	}
	p := report.Problems[0]
	if p.Kind != BrokenPage || p.Path != "base/5/16384" || p.Block != 1 || p.Computed != sum || p.Stored != sum+1 {
		t.Errorf("%+v", p)
	}
	if !strings.HasPrefix(p.Error(), `checksum verification failed in file "base/5/16384", block 1: calculated checksum `) {
		t.Error(p)
	}
	p.Archive = "base.tar"
	if !strings.HasPrefix(p.Error(), `checksum verification failed in file "base/5/16384" in archive "base.tar", block 1: `) {
		t.Error(p)
	}
}

func TestMorePagesThanAreKeptAreCounted(t *testing.T) {
	const n = maxSuspects + MaxProblems + 10
	content := make([]byte, 0, n*defaultBlockSize)
	broken := page(0, 1)
	broken[5000] ^= 1
	for range n {
		content = append(content, broken...)
	}
	report, err := judged(t, "base/5/16384", 1000, content, func() int { return 1 << 20 })
	if err != nil || report.Pages.Broken != n || report.Total != maxSuspects+MaxProblems {
		t.Errorf("%+v, %d problems, %v", report.Pages, report.Total, err)
	}
}

func TestControlFileHasToTellHowToReadPages(t *testing.T) {
	for name, change := range map[string]func(*pgdata.Control){
		"unknown format":    func(c *pgdata.Control) { *c = pgdata.Control{PGControlVersion: 1900} },
		"no block size":     func(c *pgdata.Control) { c.BlockSize = 0 },
		"odd block size":    func(c *pgdata.Control) { c.BlockSize = 8191 },
		"huge block size":   func(c *pgdata.Control) { c.BlockSize = 1 << 30 },
		"no size of a file": func(c *pgdata.Control) { c.RelSegSize = 0 },
	} {
		v := newVerifier(Options{})
		v.control = testControl()
		if err := v.checkPageSizes(); err != nil {
			t.Fatal(err)
		}
		change(v.control)
		if v.checkPageSizes() == nil {
			t.Errorf("%s: taken", name)
		}
	}
	m := newMade(t)
	m.add("base/5/1", page(0, 1), manifest.CRC32C)
	if _, err := m.run(Options{PageChecksums: true}); err == nil || !strings.Contains(err.Error(), "\"global/pg_control\" is missing") {
		t.Error(err)
	}
}

func FuzzPages(f *testing.F) {
	f.Add(page(0, 1), uint16(8192))
	f.Add(make([]byte, 3*defaultBlockSize), uint16(100))
	f.Add([]byte{1}, uint16(1))
	f.Add(append(page(0, 1), page(1, 1)[:100]...), uint16(8191))
	f.Fuzz(func(t *testing.T, content []byte, piece uint16) {
		if len(content) > 1<<20 {
			return
		}
		report, err := judged(t, "base/5/16384", 1000, content, func() int { return int(piece) + 1 })
		if err != nil {
			t.Fatal(err)
		}
		p := report.Pages
		if want := int64(len(content)+defaultBlockSize-1) / defaultBlockSize; p.Checked != want || p.New+p.Broken+p.Unknown > want || p.Broken != report.Total {
			t.Errorf("%d bytes: %+v, %d problems", len(content), p, report.Total)
		}
	})
}

func TestAShutDownServersPagesAreBrokenWhateverTheirAge(t *testing.T) {
	for path, broken := range map[string]int64{"base/5/16384": 1, "base/5/16384_vm": 1, "base/5/16384_fsm": 0} {
		v := newVerifier(Options{PageChecksums: true, ShutDown: true})
		v.control = testControl()
		v.pages = newPageChecker(v.control, v.start())
		content := page(0, 1<<40)
		content[5000] ^= 0x10
		f := v.pages.file(path, "", 0)
		f.write(content)
		f.close()
		if err := v.judgePages(t.Context()); err != nil {
			t.Fatal(err)
		}
		if r := v.report.Pages; r.Broken != broken || r.Unknown != 1-broken {
			t.Errorf("%s: %+v", path, r)
		}
	}
}
