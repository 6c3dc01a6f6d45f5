package basebackup_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/basebackup"
	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/internal/peak"
	"github.com/pgbasin/pgbasin/internal/pgfake"
)

// enough is more memory than a backup takes, in bytes; the fake server and
// garbage are in it, with zstd, which has up to 33 MiB, as much again.
const enough = 80 << 20

// lyingBackup runs a backup in which change takes the place of the message at the
// place, and returns its error.
func lyingBackup(t *testing.T, version string, f form, at pgfake.At, change func(ctx context.Context, cancel context.CancelCauseFunc, o *basebackup.Options) []pgfake.Message) error {
	t.Helper()
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	o := basebackup.Options{WAL: basebackup.WALNone}
	messages := change(ctx, cancel, &o)
	c := &pgfake.Cluster{Version: version, SystemID: 42, Data: pgfake.SmallData(version, ""), Tamper: pgfake.Replace(at, messages...)}
	o.Connect = connector(t, pgfake.Serve(t, c))
	dir := t.TempDir()
	o.TempDir = t.TempDir()
	var err error
	n := peak.Heap(func() {
		_, err = basebackup.Run(ctx, o, f.make(filepath.Join(dir, "backup"), io.Discard))
	})
	t.Logf("%.1f MiB, %v", float64(n)/(1<<20), err)
	if n > enough {
		t.Errorf("it took %d MiB", n>>20)
	}
	assertNothingLeft(t, dir)
	assertNothingLeft(t, o.TempDir)
	return err
}

// piece is a CopyData with a part of an archive, in the layout of the version.
func piece(version string, b []byte) pgfake.Message {
	if major(version) >= 15 {
		b = append([]byte{'d'}, b...)
	}
	return pgfake.CopyData(b)
}

func TestAnArchiveThatNeverEndsTakesNoMoreMemoryThanAnother(t *testing.T) {
	reason := errors.New("this is enough")
	for _, version := range []string{v9, v18} {
		for _, f := range []form{plainForm, tarForm(codec.None), tarForm(codec.Zstd), oneForm} {
			t.Run(version+"/"+f.name, func(t *testing.T) {
				err := lyingBackup(t, version, f, at(pgfake.PartData, 0), func(_ context.Context, cancel context.CancelCauseFunc, o *basebackup.Options) []pgfake.Message {
					o.Observer.Progress = func(p basebackup.Progress) {
						if p.Done > 96<<20 {
							cancel(reason)
						}
					}
					zeroes := make([]byte, 32<<10)
					endless := []pgfake.Message{pgfake.RawBytes(bytes.Repeat(piece(version, zeroes).Bytes(), 32))}
					if version == v18 {
						// This server says how far it is, once 96 MiB came.
						endless = append(slices.Repeat(endless, 97), pgfake.CopyData([]byte("p\x00\x00\x00\x00\x08\x00\x00\x00")))
					}
					return []pgfake.Message{piece(version, sized("endless", exbibytes)), pgfake.Forever(endless...)}
				})
				if !errors.Is(err, reason) {
					t.Errorf("error: %v", err)
				}
			})
		}
	}
}

// manyMembers are n empty files in messages of 128.
func manyMembers(version string, n int) pgfake.Message {
	const batch = 128
	one := pgfake.Tar(pgfake.File{Path: "member-0000000"})
	sum := 0
	for _, c := range one[148:156] {
		sum -= int(c)
	}
	for _, c := range one {
		sum += int(c)
	}
	sum += 8 * ' '
	b := bytes.Repeat(one, batch)
	sent := 0
	return pgfake.Generate(func() (pgfake.Message, bool) {
		if sent >= n {
			return pgfake.Message{}, false
		}
		for i := range batch {
			h := b[512*i:][:512]
			digits := fmt.Sprintf("%07d", sent+i)
			copy(h[7:], digits)
			total := sum
			for _, c := range digits {
				total += int(c) - '0'
			}
			copy(h[148:], fmt.Sprintf("%06o\x00 ", total))
		}
		sent += batch
		return piece(version, b), true
	})
}

func TestMillionsOfEmptyMembersTakeNoMoreMemoryThanAFew(t *testing.T) {
	for _, c := range []struct {
		form    form
		members int
	}{
		{tarForm(codec.Zstd), 1_000_000 / slowdown},
		{oneForm, 1_000_000 / slowdown},
		{plainForm, 5_000 / slowdown},
	} {
		t.Run(c.form.name, func(t *testing.T) {
			err := lyingBackup(t, v18, c.form, at(pgfake.PartData, 0), func(context.Context, context.CancelCauseFunc, *basebackup.Options) []pgfake.Message {
				return []pgfake.Message{manyMembers(v18, c.members)}
			})
			// The part of the archive that they took the place of is missing.
			if err == nil || !strings.Contains(err.Error(), "archive base.tar: ") {
				t.Errorf("error: %v", err)
			}
		})
	}
}

func TestAManifestThatIsTooLargeForItsFilesIsNotReadToItsEnd(t *testing.T) {
	const prefix = `{ "PostgreSQL-Backup-Manifest-Version": 2, "System-Identifier": 42, "Files": [`
	for name, endless := range map[string]string{
		"blanks":         "\n",
		"files":          `{ "Path": "base/1/1", "Size": 1, "Last-Modified": "2024-01-01 00:00:00 GMT" },`,
		"a string":       "",
		"nested lists":   "[",
		"nested objects": `{"Path":`,
		"a long number":  "",
	} {
		for _, version := range []string{v14, v18} {
			for _, verify := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s/%s/verify=%v", name, version, verify), func(t *testing.T) {
					begin := prefix
					switch name {
					case "a string":
						begin, endless = prefix+`{ "Path": "`, "x"
					case "a long number":
						begin, endless = prefix+`{ "Path": "a", "Size": 1`, "0"
					}
					err := lyingBackup(t, version, tarForm(codec.None), at(pgfake.PartManifest, 1-(18-major(version))/4), func(_ context.Context, _ context.CancelCauseFunc, o *basebackup.Options) []pgfake.Message {
						o.NoVerify = !verify
						return []pgfake.Message{
							piece(version, []byte(begin)),
							pgfake.Forever(piece(version, bytes.Repeat([]byte(endless), 32<<10/len(endless)))),
						}
					})
					if err == nil || !strings.Contains(err.Error(), "manifest is larger than the files that it can list need") {
						t.Errorf("error: %v", err)
					}
				})
			}
		}
	}
}

func TestEstimatesAndProgressThatMakeNoSenseAreNoErrors(t *testing.T) {
	for name, tamper := range map[string]pgfake.Tamper{
		"smaller than what comes":  pgfake.Replace(at(pgfake.PartTablespaces, 1), pgfake.Row(nil, nil, 1)),
		"half of all there can be": pgfake.Replace(at(pgfake.PartTablespaces, 1), pgfake.Row(nil, nil, int64(1<<52))),
		"negative progress":        pgfake.Before(at(pgfake.PartData, 0), pgfake.CopyData([]byte("p\xff\xff\xff\xff\xff\xff\xff\xff"))),
		"endless progress":         pgfake.Before(at(pgfake.PartData, 0), pgfake.CopyData([]byte("p\x7f\xff\xff\xff\xff\xff\xff\xff"))),
	} {
		t.Run(name, func(t *testing.T) {
			c := &pgfake.Cluster{Version: v18, SystemID: 42, Data: pgfake.SmallData(v18, ""), Tamper: tamper}
			o := basebackup.Options{Connect: connector(t, pgfake.Serve(t, c)), WAL: basebackup.WALNone}
			o.Observer.Progress = func(p basebackup.Progress) {
				// A percentage of it can be computed.
				if p.Done < 0 || p.Total < 0 || p.Done > math.MaxInt64/100 || p.Total > math.MaxInt64/100 {
					t.Errorf("%+v", p)
				}
			}
			if _, err := basebackup.Run(context.Background(), o, tarForm(codec.None).make(filepath.Join(t.TempDir(), "backup"), nil)); err != nil {
				t.Error(err)
			}
		})
	}
}
