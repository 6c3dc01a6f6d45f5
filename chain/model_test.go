package chain_test

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/incremental"
	"github.com/pgbasin/pgbasin/internal/backuptest"
	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/manifest"
)

const blockSize = 8192

// block is a block that tells by whom it was written.
func block(who byte) []byte { return bytes.Repeat([]byte{who}, blockSize) }

// blocks is a whole file of such blocks.
func blocks(who ...byte) []byte {
	var b []byte
	for _, w := range who {
		b = append(b, block(w)...)
	}
	return b
}

// changed is an incremental file.
func changed(truncation uint32, by map[uint32][]byte) []byte {
	return backuptest.Incremental(incremental.DefaultLayout, truncation, by)
}

func incrementalOf(size int, truncation uint32, by map[uint32][]byte) []byte {
	return backuptest.Incremental(incremental.Layout{BlockSize: size, SegmentBlocks: 1 << 20}, truncation, by)
}

const systemID = 7000000000000000001

// series makes backups that follow one another; the files of each are what is
// stored.
func series(files ...map[string][]byte) []*backuptest.Backup {
	var list []*backuptest.Backup
	for i, f := range files {
		b := &backuptest.Backup{
			Start: lsn.LSN(0x1000000 * (i + 1)), TLI: 1, Files: f,
			Control: backuptest.Control{SystemID: systemID}, Checksums: manifest.CRC32C,
			WAL: map[string][]byte{},
		}
		if i > 0 {
			b.From, b.FromTLI = list[i-1].Start, list[i-1].TLI
		}
		list = append(list, b)
	}
	return list
}

// form is how a backup is stored.
type form struct {
	name  string
	write func(b *backuptest.Backup, path string) string // returns what to open
}

func tarForm(a codec.Algorithm) form {
	return form{"tar " + a.String(), func(b *backuptest.Backup, path string) string {
		b.Tar(path, codec.Spec{Algorithm: a})
		return path
	}}
}

func singleForm(a codec.Algorithm) form {
	return form{"single " + a.String(), func(b *backuptest.Backup, path string) string {
		b.Single(path+".tar", codec.Spec{Algorithm: a})
		return path + ".tar" + a.Suffix()
	}}
}

var plainForm = form{"plain", func(b *backuptest.Backup, path string) string { b.Plain(path); return path }}

var forms = []form{plainForm, tarForm(codec.None), tarForm(codec.Gzip), tarForm(codec.Zstd), tarForm(codec.LZ4), singleForm(codec.None), singleForm(codec.Zstd)}

// store writes a chain, each backup in the form for it, the last form for all
// others.
func store(t testing.TB, list []*backuptest.Backup, forms ...form) []string {
	t.Helper()
	dir := t.TempDir()
	var paths []string
	for i, b := range list {
		f := forms[min(i, len(forms)-1)]
		paths = append(paths, f.write(b, filepath.Join(dir, fmt.Sprintf("backup%d", i))))
	}
	return paths
}

// model is a cluster as it is at each backup: whole files.
type model map[string][]byte

// randomSeries makes a chain of n backups and what the last one stands for.
func randomSeries(r *rand.Rand, n int, prefixes ...string) ([]*backuptest.Backup, model) {
	now := model{}
	name := func() string {
		return fmt.Sprintf("%s%d%s", prefixes[r.IntN(len(prefixes))], 1000+r.IntN(9), []string{"", "", "_vm"}[r.IntN(3)])
	}
	var stored []map[string][]byte
	for i := range n {
		files := map[string][]byte{"postgresql.conf": fmt.Appendf(nil, "# %d\n", i)}
		if i == 0 {
			for range 20 {
				files[name()] = randomFile(r, i)
			}
			maps.Copy(now, files)
			stored = append(stored, files)
			continue
		}
		next := model{"postgresql.conf": files["postgresql.conf"]}
		for _, path := range slices.Sorted(maps.Keys(now)) {
			old := now[path]
			if _, ok := incremental.Target(incremental.Name(path)); !ok {
				continue
			}
			switch r.IntN(8) {
			case 0: // dropped
			case 1: // made anew
				files[path] = randomFile(r, i)
				next[path] = files[path]
			default:
				file, result := randomChange(r, i, old)
				if incremental.VisibilityMap(path) {
					clear(result)
				}
				files[incremental.Name(path)] = file
				next[path] = result
			}
		}
		if path := name(); !has(next, path) {
			files[path] = randomFile(r, i)
			next[path] = files[path]
		}
		now = next
		stored = append(stored, files)
	}
	list := series(stored...)
	last := list[n-1]
	now["PG_VERSION"] = []byte("17\n")
	now["global/pg_control"] = last.Control.Bytes()
	now["backup_label"] = backuptest.Label(last.Start, last.TLI, 0, 0)
	return list, now
}

func has(m model, path string) bool {
	_, ok := m[path]
	return ok
}

func randomFile(r *rand.Rand, i int) []byte {
	var b []byte
	for range r.IntN(6) {
		b = append(b, block(byte(16*i+r.IntN(16)))...)
	}
	if r.IntN(6) == 0 {
		b = append(b, "the file was cut"...)
	}
	return b
}

// randomChange makes an incremental file for old, and what both are together.
// It is the definition that everything else is compared with.
func randomChange(r *rand.Rand, i int, old []byte) (file, result []byte) {
	truncation := uint32(r.IntN(8))
	by := map[uint32][]byte{}
	for range r.IntN(4) {
		by[uint32(r.IntN(9))] = block(byte(16*i + r.IntN(16)))
	}
	length := truncation
	for n := range by {
		length = max(length, n+1)
	}
	for n := range length {
		switch {
		case by[n] != nil:
			result = append(result, by[n]...)
		case n < truncation && int(n+1)*blockSize <= len(old):
			result = append(result, old[n*blockSize:(n+1)*blockSize]...)
		default:
			result = append(result, make([]byte, blockSize)...)
		}
	}
	return changed(truncation, by), result
}
