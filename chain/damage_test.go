package chain_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/chain"
	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/internal/backuptest"
)

const x, ix = "base/5/1", "base/5/INCREMENTAL.1"

// hostileForms are those that differ in how incremental files are read.
var hostileForms = []form{plainForm, tarForm(codec.None), tarForm(codec.Gzip)}

// refused reads a chain that is wrong and looks at the error.
func refused(t *testing.T, what string, paths []string, says string) {
	t.Helper()
	if _, err := read(t, paths, readOptions(t), 2); err == nil || !strings.Contains(err.Error(), says) {
		t.Errorf("%s: %v", what, err)
	}
}

func TestCorruptIncrementalFilesAreRefusedByName(t *testing.T) {
	good := changed(5, map[uint32][]byte{1: block(1), 2: block(2)})
	put := func(i int, v uint32) []byte {
		b := bytes.Clone(good)
		binary.LittleEndian.PutUint32(b[4*i:], v)
		return b
	}
	for says, file := range map[string][]byte{
		"has bad incremental magic number (0xd3ae1f0e not 0xd3ae1f0d)": put(0, 0xd3ae1f0e),
		"has block count 131073 in excess":                             put(1, 131073),
		"has truncation block length 131073 in excess":                 put(2, 131073),
		"has block number 131072 in excess":                            put(4, 131072),
		"has block number 1 after block number 1":                      put(4, 1),
		"has 24576 bytes, but its 3 blocks of 8192 bytes need":         put(1, 3),
		"has 24575 bytes, but its 2 blocks":                            good[:len(good)-1],
		"has 24577 bytes, but its 2 blocks":                            append(bytes.Clone(good), 0),
		"ends too early":                                               good[:11],
		"has something else than zeroes":                               put(100, 7),
	} {
		for _, f := range hostileForms {
			for i := range 2 {
				layers := []map[string][]byte{{x: blocks(1, 2, 3)}, {ix: good}, {ix: good}}
				layers[2-i][ix] = file
				paths := store(t, series(layers...), f)
				_, err := read(t, paths, readOptions(t), 2)
				if err == nil || !strings.Contains(err.Error(), `file "`+ix+`" `+says) {
					t.Errorf("%s, backup %d: %v, not %s", f.name, 2-i, err, says)
				}
			}
		}
	}
}

func TestDamageInAnyInputIsFoundByItsManifest(t *testing.T) {
	make := func() []*backuptest.Backup {
		return series(
			map[string][]byte{x: blocks(1, 2, 3), "base/5/gone": blocks(4), "base/5/2": blocks(5)},
			map[string][]byte{ix: changed(3, map[uint32][]byte{0: block(6)}), "base/5/INCREMENTAL.2": changed(1, nil), "base/5/between": blocks(7)},
			map[string][]byte{ix: changed(3, map[uint32][]byte{0: block(8), 1: block(9)}), "base/5/2": blocks(10)},
		)
	}
	alter := func(name string) func(b map[string][]byte) {
		return func(b map[string][]byte) {
			file := bytes.Clone(b[name])
			file[len(file)-1] ^= 1
			b[name] = file
		}
	}
	for name, c := range map[string]struct {
		backup int
		change func(b map[string][]byte)
		says   string
	}{
		"a whole file that is composed":     {0, alter(x), x},
		"a file that was dropped":           {0, alter("base/5/gone"), "base/5/gone"},
		"a file that was replaced":          {0, alter("base/5/2"), "base/5/2"},
		"an incremental file in the middle": {1, alter(ix), ix},
		"an incremental file of no use":     {1, func(b map[string][]byte) { b["base/5/INCREMENTAL.2"] = changed(0, nil) }, "base/5/INCREMENTAL.2"},
		"a file only in the middle":         {1, alter("base/5/between"), "base/5/between"},
		"an incremental file":               {2, alter(ix), ix},
		"a new file":                        {2, alter("base/5/2"), "base/5/2"},
		"a missing file":                    {0, func(b map[string][]byte) { delete(b, "base/5/gone") }, "base/5/gone"},
		"an additional file":                {1, func(b map[string][]byte) { b["base/5/more"] = blocks(1) }, "base/5/more"},
		"a longer file":                     {0, func(b map[string][]byte) { b[x] = blocks(1, 2, 3, 4) }, x},
	} {
		for _, f := range hostileForms {
			t.Run(name+"/"+f.name, func(t *testing.T) {
				list := make()
				b := list[c.backup]
				good := b.Files
				b.ManifestFiles, b.Files = good, maps.Clone(good)
				c.change(b.Files)
				paths := store(t, list, f)
				_, err := read(t, paths, readOptions(t), 2)
				var damage *chain.DamageError
				if !errors.As(err, &damage) || damage.Backup != paths[c.backup] || !strings.Contains(err.Error(), `"`+c.says+`"`) {
					t.Errorf("%v", err)
				}
				o := readOptions(t)
				o.NoVerify = true
				if _, err := read(t, paths, o, 2); err != nil {
					t.Errorf("not verified, and yet: %v", err)
				}
			})
		}
	}
}

func TestAManifestThatWasTamperedWithIsRefused(t *testing.T) {
	for _, f := range hostileForms {
		for i := range 2 {
			paths := store(t, series(map[string][]byte{x: blocks(1)}, map[string][]byte{ix: changed(1, nil)}), f)
			name := filepath.Join(paths[i], "backup_manifest")
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			b = bytes.Replace(b, []byte("05 GMT"), []byte("07 GMT"), 1)
			b = bytes.Replace(b, []byte(":06 GMT"), []byte(":07 GMT"), 1)
			if err := os.WriteFile(name, b, 0o600); err != nil {
				t.Fatal(err)
			}
			refused(t, f.name, paths, "manifest checksum mismatch")
		}
	}
}

func TestWhatHasNothingToBuildOnIsRefused(t *testing.T) {
	for _, f := range hostileForms {
		refused(t, "base "+f.name, store(t, series(map[string][]byte{"base/5/2": nil}, map[string][]byte{ix: changed(1, nil)}), f),
			`no full version of file "base/5/1" was found in the chain`)
		refused(t, "middle "+f.name, store(t, series(map[string][]byte{x: blocks(1)}, map[string][]byte{"base/5/2": nil}, map[string][]byte{ix: changed(1, nil)}), f),
			`no full version of file "base/5/1" was found in the chain`)
		refused(t, "full "+f.name, store(t, series(map[string][]byte{ix: changed(1, nil)}, map[string][]byte{ix: changed(1, nil)}), f),
			`is a full backup, but has the incremental file "base/5/INCREMENTAL.1"`)
		refused(t, "full, of no use "+f.name, store(t, series(map[string][]byte{ix: changed(1, nil)}, map[string][]byte{x: blocks(1)}), f),
			`is a full backup, but has the incremental file "base/5/INCREMENTAL.1"`)
		refused(t, "alone "+f.name, store(t, series(map[string][]byte{ix: changed(1, nil)}), f),
			`is a full backup, but has the incremental file "base/5/INCREMENTAL.1"`)
	}
}

func TestAFileThatIsThereWholeAndIncrementalIsRefused(t *testing.T) {
	both := map[string][]byte{x: blocks(1), ix: changed(1, nil)}
	for _, f := range hostileForms {
		refused(t, "newest "+f.name, store(t, series(map[string][]byte{x: blocks(1)}, both), f), `has both "base/5/1" and "base/5/INCREMENTAL.1"`)
		refused(t, "middle "+f.name, store(t, series(map[string][]byte{x: blocks(1)}, both, map[string][]byte{ix: changed(1, nil)}), f),
			`has both "base/5/1" and "base/5/INCREMENTAL.1"`)
	}
}

func TestAMemberThatComesTwiceIsRefused(t *testing.T) {
	for _, name := range []string{x, ix, "backup_label", "global/pg_control"} {
		for i := range 3 {
			list := series(map[string][]byte{x: blocks(1)}, map[string][]byte{ix: changed(1, nil)}, map[string][]byte{ix: changed(1, nil), "base/5/2": nil})
			if _, ok := list[i].Files[name]; !ok && strings.HasPrefix(name, "base/") {
				continue
			}
			list[i].Twice = name
			paths := store(t, list, tarForm(codec.None))
			if _, err := read(t, paths, readOptions(t), 1); err == nil || !strings.Contains(err.Error(), `"`+name+`"`) && !strings.Contains(err.Error(), name+" came twice") {
				t.Errorf("%s in %d: %v", name, i, err)
			}
		}
	}
}

func TestNamesThatBeginLikeIncrementalFilesAreJustNames(t *testing.T) {
	list := series(
		map[string][]byte{"INCREMENTAL.conf": []byte("full"), "pg_xact/INCREMENTAL.1": []byte("full")},
		map[string][]byte{"INCREMENTAL.conf": []byte("mine"), "pg_xact/INCREMENTAL.1": []byte("mine")},
	)
	for _, f := range hostileForms {
		if got := mustRead(t, list, f); string(got["INCREMENTAL.conf"]) != "mine" || string(got["pg_xact/INCREMENTAL.1"]) != "mine" {
			t.Errorf("%s: %q", f.name, got)
		}
	}
	// Nor does one keep the older file from being compared with its manifest.
	good := list[0].Files
	list[0].ManifestFiles, list[0].Files = good, maps.Clone(good)
	list[0].Files["conf"], list[0].ManifestFiles["conf"] = []byte("altered"), []byte("as it was")
	refused(t, "plain", store(t, list, plainForm), `"conf"`)
}
