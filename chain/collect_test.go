package chain_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pgbasin/pgbasin/backupset"
	"github.com/pgbasin/pgbasin/chain"
	"github.com/pgbasin/pgbasin/internal/backuptest"
	"github.com/pgbasin/pgbasin/manifest"
	"github.com/pgbasin/pgbasin/tarstream"
)

// result is what a chain reads as.
type result struct {
	mu    sync.Mutex
	files model
	dirs  map[string]bool
	order []string
}

// collector is a Visitor for one archive that fills a result.
type collector struct {
	r      *result
	prefix string
	header tarstream.Header
	body   bytes.Buffer
	sum    []byte
}

func (c *collector) Member(h *tarstream.Header) error {
	c.header, c.sum = *h, nil
	c.header.Name = c.prefix + h.Name
	c.body.Reset()
	return nil
}

func (c *collector) Content(p []byte) error {
	if len(p) == 0 {
		return errors.New("empty content")
	}
	c.body.Write(p)
	return nil
}

func (c *collector) Sum(sum []byte) error {
	c.sum = append([]byte{}, sum...)
	return nil
}

func (c *collector) EndMember() error {
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	name := c.header.Name
	c.r.order = append(c.r.order, name)
	if c.header.Type != tarstream.Regular {
		c.r.dirs[name] = true
		return nil
	}
	if c.r.files[name] != nil {
		return fmt.Errorf("%s came twice", name)
	}
	if int64(c.body.Len()) != c.header.Size {
		return fmt.Errorf("%s has %d bytes, and its header says %d", name, c.body.Len(), c.header.Size)
	}
	h := manifest.CRC32C.New()
	h.Write(c.body.Bytes())
	if !strings.HasPrefix(name, "pg_wal/") && !bytes.Equal(h.Sum(nil), c.sum) {
		return fmt.Errorf("%s has checksum %x, and %x was told", name, h.Sum(nil), c.sum)
	}
	c.r.files[name] = append([]byte{}, c.body.Bytes()...)
	return nil
}

func prefixOf(a *backupset.Archive) string {
	switch a.Kind {
	case backupset.Tablespace:
		return fmt.Sprintf("pg_tblspc/%d/", a.OID)
	case backupset.WAL:
		return "pg_wal/"
	}
	return ""
}

// readOptions are how the tests open a chain.
func readOptions(t testing.TB) chain.Options {
	return chain.Options{TempDir: t.TempDir(), Checksums: manifest.CRC32C, Jobs: 2,
		Note: func(m string) { t.Logf("note: %s", m) }, Warn: func(w chain.Warning) { t.Logf("warning: %s", w.Message) }}
}

// read reads all of a chain by several workers.
func read(t testing.TB, paths []string, o chain.Options, workers int) (*result, error) {
	t.Helper()
	ctx := context.Background()
	c, err := chain.Open(ctx, paths, o)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	r := &result{files: model{}, dirs: map[string]bool{}}
	for i := range c.Last().Archives {
		a := &c.Last().Archives[i]
		make := func() tarstream.Visitor { return &collector{r: r, prefix: prefixOf(a)} }
		if workers > 0 {
			err = c.ReadFiles(ctx, a, workers, make)
		} else {
			err = c.Read(ctx, a, make())
		}
		if err != nil {
			return r, err
		}
		if a.Kind == backupset.Data && r.order[len(r.order)-1] != "global/pg_control" {
			t.Errorf("%s is last", r.order[len(r.order)-1])
		}
	}
	return r, c.Verify(ctx)
}

// same compares files with what they should be.
func same(t testing.TB, what string, got, want model) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if g, ok := got[name]; !ok {
			t.Errorf("%s: %s is missing", what, name)
		} else if !bytes.Equal(g, want[name]) {
			t.Errorf("%s: %s is wrong: %s instead of %s", what, name, sketch(g), sketch(want[name]))
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s: %s is too much", what, name)
		}
	}
}

// sketch shows a file by the first byte of each block.
func sketch(b []byte) string {
	var s strings.Builder
	for i := 0; i < len(b); i += blockSize {
		fmt.Fprintf(&s, "%02x ", b[i])
	}
	return fmt.Sprintf("[%s] %d bytes", s.String(), len(b))
}

// mustRead reads a chain that is right.
func mustRead(t *testing.T, list []*backuptest.Backup, forms ...form) model {
	t.Helper()
	r, err := read(t, store(t, list, forms...), readOptions(t), 2)
	if err != nil {
		t.Fatal(err)
	}
	return r.files
}

// discard is where nothing is kept.
type discard struct{ n int64 }

func (d *discard) Member(*tarstream.Header) error { return nil }
func (d *discard) Content(p []byte) error         { d.n += int64(len(p)); return nil }
func (d *discard) EndMember() error               { return nil }
