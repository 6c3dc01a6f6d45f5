package chain_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pgbasin/pgbasin/chain"
	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/tarstream"
)

// meddler changes something when a member comes.
type meddler struct {
	discard
	when   string
	change func()
}

func (m *meddler) Member(h *tarstream.Header) error {
	if h.Name == m.when && m.change != nil {
		m.change()
		m.change = nil
	}
	return nil
}

func TestAFileThatChangesWhileItIsReadIsAnError(t *testing.T) {
	touch := func(path ...string) func() {
		return func() {
			now := time.Now().Add(time.Hour)
			if err := os.Chtimes(filepath.Join(path...), now, now); err != nil {
				t.Error(err)
			}
		}
	}
	for name, c := range map[string]struct {
		forms []form
		when  string
		what  string
	}{
		"directories":          {[]form{plainForm}, x, ix},
		"directory before tar": {[]form{tarForm(codec.Gzip), plainForm}, "postgresql.conf", ix},
		"tar":                  {[]form{tarForm(codec.Gzip), tarForm(codec.None)}, "postgresql.conf", "base.tar"},
	} {
		t.Run(name, func(t *testing.T) {
			conf := []byte("#\n")
			paths := store(t, series(map[string][]byte{x: blocks(1, 2)}, map[string][]byte{ix: changed(2, map[uint32][]byte{1: block(3)}), "postgresql.conf": conf}), c.forms...)
			c0, err := chain.Open(context.Background(), paths, readOptions(t))
			if err != nil {
				t.Fatal(err)
			}
			defer c0.Close()
			v := &meddler{when: c.when, change: touch(paths[1], c.what)}
			if err := c0.Read(context.Background(), c0.Last().Data(), v); err == nil || !strings.Contains(err.Error(), "changed while it was read") || v.change != nil {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestNothingStaysInTheTemporaryDirectory(t *testing.T) {
	list := three()
	list[1].Files[ix] = changed(1, map[uint32][]byte{0: block(7)})
	o := readOptions(t)
	if _, err := read(t, store(t, list, tarForm(codec.Gzip)), o, 1); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(o.TempDir); err != nil || len(entries) > 0 {
		t.Errorf("%v, %v", entries, err)
	}
}
