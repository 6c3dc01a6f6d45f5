package walstream_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/walstream"
)

// pack is a file of n bytes compressed.
func pack(t testing.TB, a codec.Algorithm, n int) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := codec.NewWriter(&b, codec.Spec{Algorithm: a})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(make([]byte, n)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestArchiveEndIsWherePgReceivewalWouldGoOn(t *testing.T) {
	whole := make([]byte, segmentSize)
	short := make([]byte, 100)
	of := map[codec.Algorithm][]byte{}
	little := map[codec.Algorithm][]byte{}
	for _, a := range algorithms {
		of[a], little[a] = pack(t, a, segmentSize), pack(t, a, 4000)
	}
	const (
		s3 = "000000010000000000000003"
		s4 = "000000010000000000000004"
		s5 = "000000010000000000000005"
		s6 = "000000010000000000000006"
		s8 = "000000010000000000000008"
		t4 = "000000020000000000000004"
	)
	at := func(timeline uint32, segment int) walstream.Position {
		return walstream.Position{Timeline: timeline, LSN: lsn.LSN(segment * segmentSize)}
	}
	for name, c := range map[string]struct {
		files map[string][]byte
		want  walstream.Position
		warn  string
		err   string
	}{
		"empty":                {},
		"other files":          {files: map[string][]byte{"00000002.history": short, s3 + ".tmp": whole, "x": whole, "archive_status": whole}},
		"whole":                {files: map[string][]byte{s3: whole, s4: whole}, want: at(1, 5)},
		"partial":              {files: map[string][]byte{s3: whole, s4 + ".partial": whole}, want: at(1, 4)},
		"partial only":         {files: map[string][]byte{s4 + ".partial": nil}, want: at(1, 4)},
		"whole and partial":    {files: map[string][]byte{s3: whole, s3 + ".partial": whole}, want: at(1, 4)},
		"whole and compressed": {files: map[string][]byte{s3: whole, s3 + ".gz": of[codec.Gzip], s4 + ".gz.partial": short}, want: at(1, 4)},
		"gzip":                 {files: map[string][]byte{s3: whole, s4 + ".gz": of[codec.Gzip]}, want: at(1, 5)},
		"lz4":                  {files: map[string][]byte{s3: whole, s4 + ".lz4": of[codec.LZ4]}, want: at(1, 5)},
		"zstd":                 {files: map[string][]byte{s3: whole, s4 + ".zst": of[codec.Zstd]}, want: at(1, 5)},
		"compressed partials":  {files: map[string][]byte{s3 + ".zst": of[codec.Zstd], s4 + ".zst.partial": short}, want: at(1, 4)},
		"wrong size": {files: map[string][]byte{s3: whole, s4: short}, want: at(1, 4),
			warn: "segment file \"" + s4 + "\" has incorrect size 100, skipping"},
		"wrong size, gzip": {files: map[string][]byte{s3: whole, s4 + ".gz": little[codec.Gzip]}, want: at(1, 4),
			warn: "compressed segment file \"" + s4 + ".gz\" has incorrect uncompressed size 4000, skipping"},
		"wrong size, lz4": {files: map[string][]byte{s3: whole, s4 + ".lz4": little[codec.LZ4]}, want: at(1, 4),
			warn: "compressed segment file \"" + s4 + ".lz4\" has incorrect uncompressed size 4000, skipping"},
		"wrong size, zstd": {files: map[string][]byte{s3: whole, s4 + ".zst": little[codec.Zstd]}, want: at(1, 4),
			warn: "compressed segment file \"" + s4 + ".zst\" has incorrect uncompressed size 4000, skipping"},
		"larger than a segment": {files: map[string][]byte{s3 + ".zst": pack(t, codec.Zstd, 3*segmentSize)},
			warn: "compressed segment file \"" + s3 + ".zst\" has incorrect uncompressed size 1048577, skipping"},
		"cut off, zstd": {files: map[string][]byte{s3 + ".zst": of[codec.Zstd][:len(of[codec.Zstd])-3]},
			warn: "incorrect uncompressed size"},
		"older ones are not decompressed": {files: map[string][]byte{s3 + ".zst": short, s4 + ".zst": of[codec.Zstd]}, want: at(1, 5)},
		"garbage":                         {files: map[string][]byte{s3 + ".lz4": bytes.Repeat([]byte{7}, 100)}, err: "could not decompress file "},
		"gzip without a size":             {files: map[string][]byte{s3 + ".gz": {1}}, err: "could not seek in compressed file "},
		"newest timeline":                 {files: map[string][]byte{s5: whole, s6: whole, t4: whole}, want: at(2, 5)},
		"partial on the newest":           {files: map[string][]byte{s3: whole, s4 + ".partial": whole, t4 + ".partial": whole}, want: at(2, 4)},
		"nothing of use on the newest":    {files: map[string][]byte{s3: whole, t4: short}, want: at(1, 4), warn: "incorrect size"},

		"gap":                      {files: map[string][]byte{s3: whole, s4: whole, s6: whole}, err: "between \"" + s4 + "\" and \"" + s6 + "\""},
		"gap before a partial":     {files: map[string][]byte{s3: whole, s6 + ".zst.partial": whole}, err: "between \"" + s3 + "\" and \"" + s6 + ".zst.partial\""},
		"gap of a bad file":        {files: map[string][]byte{s3: whole, s4: short, s5: whole}, err: "between \"" + s3 + "\" and \"" + s5 + "\"", warn: "incorrect size"},
		"gap of a partial":         {files: map[string][]byte{s3: whole, s4 + ".partial": whole, s5: whole}, err: "between \"" + s3 + "\" and \"" + s5 + "\""},
		"the newer of two":         {files: map[string][]byte{s3: whole, s5: whole, s8: whole}, err: "between \"" + s5 + "\" and \"" + s8 + "\""},
		"gap on an older timeline": {files: map[string][]byte{s3: whole, s6: whole, t4: whole}, want: at(2, 5)},
		"gap closed by two kinds":  {files: map[string][]byte{s3: whole, s4 + ".gz": of[codec.Gzip], s5 + ".lz4": short, s6: whole}, want: at(1, 7)},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for name, content := range c.files {
				if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			var warnings []string
			got, err := walstream.ArchiveEnd(dir, segmentSize, func(text string) { warnings = append(warnings, text) })
			if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err) || !strings.Contains(err.Error(), dir)) {
				t.Errorf("error %v", err)
			}
			var gap *walstream.GapError
			if errors.As(err, &gap) != strings.HasPrefix(c.err, "between") {
				t.Errorf("error %#v", err)
			}
			if got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
			if all := strings.Join(warnings, "\n"); c.warn == "" && all != "" || !strings.Contains(all, c.warn) {
				t.Errorf("warnings %q", all)
			}
		})
	}
	if _, err := walstream.ArchiveEnd(filepath.Join(t.TempDir(), "none"), segmentSize, nil); err == nil || !strings.Contains(err.Error(), "could not open directory ") {
		t.Errorf("without a directory: %v", err)
	}
}

func TestArchiveEndReadsOtherProgramsFiles(t *testing.T) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(make([]byte, segmentSize))
	w.Close()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, segmentName+".gz"), b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := walstream.ArchiveEnd(dir, segmentSize, nil)
	if err != nil || got.LSN != 2*segmentSize {
		t.Errorf("%+v, %v", got, err)
	}
}

func FuzzArchiveEnd(f *testing.F) {
	f.Add([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0, 16, 0}, uint8(0))
	f.Add([]byte{4, 0x22, 0x4d, 0x18, 0x64, 0x40}, uint8(1))
	f.Add([]byte{0x28, 0xb5, 0x2f, 0xfd, 4, 0}, uint8(2))
	f.Fuzz(func(t *testing.T, content []byte, kind uint8) {
		dir := t.TempDir()
		name := segmentName + slices.Concat([]string{""}, []string{".gz", ".lz4", ".zst"})[kind%4]
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
		if pos, err := walstream.ArchiveEnd(dir, segmentSize, nil); err != nil && pos != (walstream.Position{}) {
			t.Errorf("%+v and %v", pos, err)
		}
	})
}
