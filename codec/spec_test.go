package codec

import (
	"math"
	"testing"
)

// What ParseOption and ParseSpec make of a value of -Z. The refusals were compared with those of pg_basebackup 15, which has no long and
// takes 0 and the empty value differently.
func TestSpecificationsAreThoseOfPostgreSQL(t *testing.T) {
	const (
		invalid = "invalid compression specification: "
		empty   = invalid + "found empty string where a compression option was expected"
		gzip    = invalid + `compression algorithm "gzip" expects a compression level between 1 and 9 (default at -1)`
		lz4     = invalid + `compression algorithm "lz4" expects a compression level between 1 and 12 (default at 0)`
		zstd    = invalid + `compression algorithm "zstd" expects a compression level between -131072 and 22 (default at 3)`
		none    = invalid + `compression algorithm "none" does not accept a compression level`
	)
	for _, c := range []struct {
		option string
		want   Spec
		err    string
	}{
		{"none", Spec{}, ""},
		{"gzip", Spec{Algorithm: Gzip, Level: -1}, ""},
		{"lz4", Spec{Algorithm: LZ4}, ""},
		{"zstd", Spec{Algorithm: Zstd, Level: 3}, ""},
		{"turkey", Spec{}, `unrecognized compression algorithm: "turkey"`},
		{"turkey:sandwich", Spec{}, `unrecognized compression algorithm: "turkey"`},
		{"GZIP", Spec{}, `unrecognized compression algorithm: "GZIP"`},
		{":5", Spec{}, `unrecognized compression algorithm: ""`},
		{"client-server-gzip", Spec{}, `unrecognized compression algorithm: "server-gzip"`},
		{"Client-gzip", Spec{}, `unrecognized compression algorithm: "Client-gzip"`},

		// bare integers
		{"", Spec{}, ""},
		{"0", Spec{}, ""},
		{"00", Spec{}, ""},
		{"-0", Spec{}, ""},
		{"client-", Spec{}, ""},
		{"client-0", Spec{}, ""},
		{"5", Spec{Algorithm: Gzip, Level: 5, LevelSet: true}, ""},
		{"client-5", Spec{Algorithm: Gzip, Level: 5, LevelSet: true}, ""},
		{" \t\n+5", Spec{Algorithm: Gzip, Level: 5, LevelSet: true}, ""},
		{"-1", Spec{Algorithm: Gzip, Level: -1, LevelSet: true}, ""},
		{"10", Spec{}, gzip},
		{"-2", Spec{}, gzip},
		{"5 ", Spec{}, `unrecognized compression algorithm: "5 "`},
		{"+-5", Spec{}, `unrecognized compression algorithm: "+-5"`},
		{"5a", Spec{}, `unrecognized compression algorithm: "5a"`},
		{"0x5", Spec{}, `unrecognized compression algorithm: "0x5"`},
		{"1_0", Spec{}, `unrecognized compression algorithm: "1_0"`},
		{" ", Spec{}, `unrecognized compression algorithm: " "`},

		// levels
		{"none:0", Spec{LevelSet: true}, ""},
		{"none:level=0", Spec{LevelSet: true}, ""},
		{"none:1", Spec{}, none},
		{"none:-1", Spec{}, none},
		{"gzip:1", Spec{Algorithm: Gzip, Level: 1, LevelSet: true}, ""},
		{"gzip:9", Spec{Algorithm: Gzip, Level: 9, LevelSet: true}, ""},
		{"gzip: 6", Spec{Algorithm: Gzip, Level: 6, LevelSet: true}, ""},
		{"gzip:-1", Spec{Algorithm: Gzip, Level: -1, LevelSet: true}, ""},
		{"gzip:0", Spec{}, gzip},
		{"gzip:10", Spec{}, gzip},
		{"gzip:-2", Spec{}, gzip},
		{"gzip:99999999999999999999", Spec{}, gzip},
		{"gzip:level=9", Spec{Algorithm: Gzip, Level: 9, LevelSet: true}, ""},
		{"gzip:level=3,level=4", Spec{Algorithm: Gzip, Level: 4, LevelSet: true}, ""},
		{"gzip:level=12,level=4", Spec{Algorithm: Gzip, Level: 4, LevelSet: true}, ""},
		{"gzip:level=12", Spec{}, gzip},
		{"gzip:level=-99999999999999999999", Spec{}, gzip},
		{"lz4:0", Spec{Algorithm: LZ4, LevelSet: true}, ""},
		{"lz4:12", Spec{Algorithm: LZ4, Level: 12, LevelSet: true}, ""},
		{"lz4:13", Spec{}, lz4},
		{"lz4:-1", Spec{}, lz4},
		{"zstd:-131072", Spec{Algorithm: Zstd, Level: -131072, LevelSet: true}, ""},
		{"zstd:0", Spec{Algorithm: Zstd, LevelSet: true}, ""},
		{"zstd:22", Spec{Algorithm: Zstd, Level: 22, LevelSet: true}, ""},
		{"zstd:23", Spec{}, zstd},
		{"zstd:-131073", Spec{}, zstd},
		{"gzip:level", Spec{}, invalid + `compression option "level" requires a value`},
		{"gzip:level=", Spec{}, invalid + `value for compression option "level" must be an integer`},
		{"gzip:level=x", Spec{}, invalid + `value for compression option "level" must be an integer`},
		{"gzip:level=5 ", Spec{}, invalid + `value for compression option "level" must be an integer`},
		{"zstd:level=3=4", Spec{}, invalid + `value for compression option "level" must be an integer`},

		// workers
		{"zstd:workers=4", Spec{Algorithm: Zstd, Level: 3, Workers: 4, WorkersSet: true}, ""},
		{"zstd:workers=0", Spec{Algorithm: Zstd, Level: 3, WorkersSet: true}, ""},
		{"zstd:workers=-1", Spec{Algorithm: Zstd, Level: 3, Workers: -1, WorkersSet: true}, ""},
		{"zstd:workers=99999999999", Spec{Algorithm: Zstd, Level: 3, Workers: math.MaxInt32, WorkersSet: true}, ""},
		{"zstd:workers", Spec{}, invalid + `compression option "workers" requires a value`},
		{"zstd:workers=x", Spec{}, invalid + `value for compression option "workers" must be an integer`},
		{"gzip:workers=2", Spec{}, invalid + `compression algorithm "gzip" does not accept a worker count`},
		{"lz4:workers=2", Spec{}, invalid + `compression algorithm "lz4" does not accept a worker count`},
		{"none:workers=2", Spec{}, invalid + `compression algorithm "none" does not accept a worker count`},
		{"gzip:level=12,workers=2", Spec{}, gzip},

		// long
		{"zstd:long", Spec{Algorithm: Zstd, Level: 3, Long: true}, ""},
		{"zstd:long=on", Spec{Algorithm: Zstd, Level: 3, Long: true}, ""},
		{"zstd:long=YES", Spec{Algorithm: Zstd, Level: 3, Long: true}, ""},
		{"zstd:long=1", Spec{Algorithm: Zstd, Level: 3, Long: true}, ""},
		{"zstd:long=Off", Spec{Algorithm: Zstd, Level: 3}, ""},
		{"zstd:long=no", Spec{Algorithm: Zstd, Level: 3}, ""},
		{"zstd:long=0", Spec{Algorithm: Zstd, Level: 3}, ""},
		{"zstd:long,level=9,workers=2", Spec{Algorithm: Zstd, Level: 9, LevelSet: true, Workers: 2, WorkersSet: true, Long: true}, ""},
		{"zstd:long=", Spec{}, invalid + `value for compression option "long" must be a Boolean value`},
		{"zstd:long=maybe", Spec{}, invalid + `value for compression option "long" must be a Boolean value`},
		{"zstd:long=true", Spec{}, invalid + `value for compression option "long" must be a Boolean value`},
		{"zstd:long=yeſ", Spec{}, invalid + `value for compression option "long" must be a Boolean value`},
		{"gzip:long", Spec{}, invalid + `compression algorithm "gzip" does not support long-distance mode`},
		{"lz4:long=off", Spec{}, invalid + `compression algorithm "lz4" does not support long-distance mode`},

		// syntax
		{"gzip:", Spec{}, empty},
		{"none:", Spec{}, empty},
		{"gzip:,", Spec{}, empty},
		{"gzip:level=3,", Spec{}, empty},
		{"gzip:,level=3", Spec{}, empty},
		{"gzip:=3", Spec{}, empty},
		{"gzip:foo", Spec{}, invalid + `unrecognized compression option: "foo"`},
		{"gzip:foo=1,bar", Spec{}, invalid + `unrecognized compression option: "foo"`},
		{"gzip:6,long", Spec{}, invalid + `unrecognized compression option: "6"`},
		{"zstd:Level=3", Spec{}, invalid + `unrecognized compression option: "Level"`},
		{"zstd: level=3", Spec{}, invalid + `unrecognized compression option: " level"`},
		{"gzip:5:6", Spec{}, invalid + `unrecognized compression option: "5:6"`},
	} {
		_, algorithm, detail, hasDetail := ParseOption(c.option)
		var got Spec
		var err error
		if a, aerr := ParseAlgorithm(algorithm); aerr == nil && hasDetail {
			got, err = ParseDetail(a, detail)
		} else {
			got, err = ParseSpec(algorithm, detail)
		}
		text := ""
		if err != nil {
			text = err.Error()
		}
		if got != c.want || text != c.err {
			t.Errorf("-Z %q:\n got %+v, %q\nwant %+v, %q", c.option, got, text, c.want, c.err)
		}
	}
}

func TestOptionsAreTakenApart(t *testing.T) {
	for _, c := range []struct {
		option            string
		location          Location
		algorithm, detail string
		hasDetail         bool
	}{
		{"gzip", Unspecified, "gzip", "", false},
		{"client-gzip", Client, "gzip", "", false},
		{"server-gzip", Server, "gzip", "", false},
		{"server-gzip:", Server, "gzip", "", true},
		{"server-zstd:level=3,workers=2", Server, "zstd", "level=3,workers=2", true},
		{"client-turkey:sandwich:more", Client, "turkey", "sandwich:more", true},
		{"server-", Server, "none", "", false},
		{"server-0", Server, "none", "", false},
		{"server-7", Server, "gzip", "7", true},
		{" 7", Unspecified, "gzip", " 7", true},
		{"server", Unspecified, "server", "", false},
		{"server-client-lz4", Server, "client-lz4", "", false},
	} {
		location, algorithm, detail, hasDetail := ParseOption(c.option)
		if location != c.location || algorithm != c.algorithm || detail != c.detail || hasDetail != c.hasDetail {
			t.Errorf("%q: %v, %q, %q, %v", c.option, location, algorithm, detail, hasDetail)
		}
	}
}

func TestParseSpecTakesAnEmptyDetailAsNone(t *testing.T) {
	got, err := ParseSpec("zstd", "")
	if want := (Spec{Algorithm: Zstd, Level: 3}); got != want || err != nil {
		t.Errorf("%+v, %v", got, err)
	}
	got, err = ParseSpec("zstd", "7")
	if want := (Spec{Algorithm: Zstd, Level: 7, LevelSet: true}); got != want || err != nil {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestAlgorithmsAreKnownByNameSuffixAndSignature(t *testing.T) {
	for _, c := range []struct {
		a            Algorithm
		name, suffix string
	}{{None, "none", ""}, {Gzip, "gzip", ".gz"}, {LZ4, "lz4", ".lz4"}, {Zstd, "zstd", ".zst"}} {
		if c.a.String() != c.name || c.a.Suffix() != c.suffix {
			t.Errorf("%d: %q %q", c.a, c.a.String(), c.a.Suffix())
		}
		if a, err := ParseAlgorithm(c.name); a != c.a || err != nil {
			t.Errorf("%s: %v, %v", c.name, a, err)
		}
		if a := ByName("/backups/base.tar" + c.suffix); a != c.a {
			t.Errorf("by name: %v, want %v", a, c.a)
		}
		z := compress(t, Spec{Algorithm: c.a}, []byte("base"))
		for n := range z {
			want := None
			if n >= DetectSize || c.a == Gzip && n == 3 {
				want = c.a
			}
			if a := Detect(z[:n]); a != want {
				t.Errorf("%s by its first %d bytes: %v", c.a, n, a)
			}
		}
	}
	for _, name := range []string{"", "base.tar", "gz", "base.gz.tar", "base.tar.GZ"} {
		if a := ByName(name); a != None {
			t.Errorf("%q: %v", name, a)
		}
	}
	if s := Algorithm(99).String() + Algorithm(99).Suffix() + Location(99).String(); s != "Algorithm(99)Location(99)" {
		t.Error(s)
	}
}
