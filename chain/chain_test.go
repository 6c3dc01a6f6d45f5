package chain_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
)

// withoutMap leaves out what only tars have.
func withoutMap(m model) model {
	m = maps.Clone(m)
	delete(m, "tablespace_map")
	return m
}

func TestAnyFormReadsAsTheFilesThatTheServerHad(t *testing.T) {
	for seed := range uint64(3) {
		r := rand.New(rand.NewPCG(seed, 1))
		list, want := randomSeries(r, 4, "base/5/", "global/")
		for _, f := range forms {
			t.Run(fmt.Sprintf("%s/%d", f.name, seed), func(t *testing.T) {
				same(t, "read", withoutMap(mustRead(t, list, f)), want)
			})
		}
		t.Run(fmt.Sprintf("mixed/%d", seed), func(t *testing.T) {
			mixed := []form{forms[r.IntN(len(forms))], forms[r.IntN(len(forms))], forms[r.IntN(len(forms))], forms[r.IntN(len(forms))]}
			t.Log(mixed)
			same(t, "read", withoutMap(mustRead(t, list, mixed...)), want)
		})
	}
}

func TestBothWaysOfReadingGiveTheSame(t *testing.T) {
	list, want := randomSeries(rand.New(rand.NewPCG(7, 7)), 5, "base/5/")
	paths := store(t, list, plainForm)
	for _, workers := range []int{0, 1, 3} {
		r, err := read(t, paths, readOptions(t), workers)
		if err != nil {
			t.Fatal(err)
		}
		same(t, fmt.Sprintf("%d workers", workers), r.files, want)
	}
	// A tar in the middle makes all of it a stream.
	same(t, "stream", withoutMap(mustRead(t, list, plainForm, plainForm, tarForm(0), plainForm)), want)
}

func TestTablespacesAreReadLikeTheRest(t *testing.T) {
	list, want := randomSeries(rand.New(rand.NewPCG(3, 9)), 3, "base/5/", "pg_tblspc/16400/PG_17_202406281/5/", "pg_tblspc/16500/PG_17_202406281/5/")
	for i, b := range list {
		b.Tablespaces = map[uint32]string{16400: "/one", 16500: "/two"}
		b.WAL["000000010000000000000001"] = fmt.Appendf(nil, "WAL of %d", i)
	}
	want["pg_wal/000000010000000000000001"] = []byte("WAL of 2")
	for _, f := range forms[:5] {
		same(t, f.name, withoutMap(mustRead(t, list, f)), want)
	}
	same(t, "mixed", withoutMap(mustRead(t, list, tarForm(2), plainForm, tarForm(1))), want)
}

func TestATablespaceMayBeInsideTheDataDirectory(t *testing.T) {
	list, want := randomSeries(rand.New(rand.NewPCG(5, 9)), 3, "base/5/", "pg_tblspc/16400/PG_17_202406281/5/")
	for outside := range 4 {
		for i, b := range list {
			b.Tablespaces = nil
			if i == outside {
				b.Tablespaces = map[uint32]string{16400: "/one"}
			}
		}
		for _, f := range forms[:4] {
			t.Run(fmt.Sprintf("%s/%d", f.name, outside), func(t *testing.T) {
				same(t, "read", withoutMap(mustRead(t, list, f)), want)
			})
		}
	}
}

func TestAFullBackupAloneIsItself(t *testing.T) {
	list, want := randomSeries(rand.New(rand.NewPCG(1, 1)), 1, "base/5/")
	for _, f := range forms {
		same(t, f.name, withoutMap(mustRead(t, list, f)), want)
	}
}

func TestBlocksThatWereCutOffInBetweenNeverComeBack(t *testing.T) {
	const x, ix = "base/5/1", "base/5/INCREMENTAL.1"
	list := series(
		map[string][]byte{x: blocks(1, 2, 3, 4, 5)},
		map[string][]byte{ix: changed(2, nil)},
		map[string][]byte{ix: changed(4, map[uint32][]byte{3: block(9)})},
		map[string][]byte{ix: changed(5, nil)},
	)
	for _, f := range forms {
		if got := mustRead(t, list, f)[x]; string(got) != string(blocks(1, 2, 0, 9, 0)) {
			t.Errorf("%s: %s", f.name, sketch(got))
		}
	}
}

func TestOnlyWholeBlocksOfAnOlderFileCount(t *testing.T) {
	const x, ix = "base/5/1", "base/5/INCREMENTAL.1"
	for name, c := range map[string]struct {
		full, changed, want []byte
	}{
		"cut in a block":             {append(blocks(1), 7, 7), changed(2, nil), blocks(1, 0)},
		"longer than the truncation": {blocks(1, 2, 3), changed(1, nil), blocks(1)},
		"shorter":                    {blocks(1), changed(3, map[uint32][]byte{1: block(8)}), blocks(1, 8, 0)},
		"empty":                      {nil, changed(2, nil), blocks(0, 0)},
		"to nothing":                 {blocks(1), changed(0, nil), nil},
		"behind the truncation":      {blocks(1, 2, 3), changed(1, map[uint32][]byte{2: block(8)}), blocks(1, 0, 8)},
		"unchanged":                  {blocks(1, 2), changed(2, nil), blocks(1, 2)},
		"all new":                    {blocks(1, 2), changed(2, map[uint32][]byte{0: block(8), 1: block(9)}), blocks(8, 9)},
	} {
		list := series(map[string][]byte{x: c.full}, map[string][]byte{ix: c.changed})
		for _, f := range forms {
			if got := mustRead(t, list, f)[x]; string(got) != string(c.want) {
				t.Errorf("%s, %s: %s", name, f.name, sketch(got))
			}
		}
	}
}

func TestLargeFilesAreComposedInPieces(t *testing.T) {
	const x, ix = "base/5/1", "base/5/INCREMENTAL.1"
	full := make([]byte, 400*blockSize)
	for i := range full {
		full[i] = byte(i / blockSize)
	}
	by, again := map[uint32][]byte{}, map[uint32][]byte{}
	want := append([]byte{}, full...)
	want = append(want, make([]byte, 300*blockSize)...)
	for n := uint32(0); n < 700; n += 1 + n%7 {
		by[n] = block(byte(n * 3))
		copy(want[n*blockSize:], by[n])
	}
	for n := uint32(100); n < 380; n += 3 {
		again[n] = block(byte(n*5 + 1))
		copy(want[n*blockSize:], again[n])
	}
	length := uint32(len(want) / blockSize)
	list := series(map[string][]byte{x: full}, map[string][]byte{ix: changed(length, by)}, map[string][]byte{ix: changed(length, again)})
	for _, f := range forms {
		if got := mustRead(t, list, f)[x]; string(got) != string(want) {
			t.Errorf("%s: wrong", f.name)
		}
	}
}
