package receive

import (
	"testing"

	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/lsn"
)

func TestEndPositionsAreReadAsSscanfDoes(t *testing.T) {
	for text, want := range map[string]lsn.LSN{
		"0/0": 0, "1/2": 1<<32 + 2, "ab/CD": 0xab<<32 + 0xcd, " 1/ 2": 1<<32 + 2, "0x1/0X2": 1<<32 + 2, "1/2x": 1<<32 + 2,
		"-1/+2": 0xFFFFFFFF<<32 + 2, "FFFFFFFF/FFFFFFFF": 1<<64 - 1, "1/00000000000000002": 1<<32 + 2,
	} {
		if got, ok := scanLSN(text); !ok || got != want {
			t.Errorf("%q: %s, %v", text, got, ok)
		}
	}
	for _, text := range []string{"", "/", "1", "1/", "/1", "x/1", "1/x", "1 /2", "1\\2", "--1/2"} {
		if got, ok := scanLSN(text); ok {
			t.Errorf("%q: %s", text, got)
		}
	}
}

func FuzzScanLSN(f *testing.F) {
	f.Add("16/B374D848")
	f.Add(" -0x1/+0Xgz")
	f.Fuzz(func(t *testing.T, text string) {
		want, err := lsn.Parse(text)
		if got, ok := scanLSN(text); err == nil && (!ok || got != want) {
			t.Errorf("%q: %s, %v; want %s", text, got, ok, want)
		}
	})
}

func TestCompressionIsOnTheOnlySideThereIs(t *testing.T) {
	for text, want := range map[string]codec.Algorithm{"gzip": codec.Gzip, "lz4:3": codec.LZ4, "zstd:level=5": codec.Zstd, "none": codec.None, "7": codec.Gzip, "0": codec.None} {
		o, err := parse([]string{"-D", t.TempDir(), "-Z", text}, true)
		if err != nil || o.compression.spec.Algorithm != want {
			t.Errorf("%s: %+v, %v", text, o.compression, err)
		}
	}
	for _, text := range []string{"client-gzip", "server-zstd:3"} {
		if _, err := parse([]string{"-D", t.TempDir(), "-Z", text}, true); err == nil {
			t.Errorf("%s was taken", text)
		}
	}
}
