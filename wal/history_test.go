package wal_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/internal/seeds"
	"github.com/pgbasin/pgbasin/wal"
)

func TestHistoriesListTheAncestors(t *testing.T) {
	for text, want := range map[string][]wal.Ancestor{
		"": nil,
		"1\t0/3000060\tno recovery target specified\n":                               {{1, 0x3000060}},
		"# comment\n\n1\t0/3000060\tx\n\n3\t1/A0\tbefore 2000-01-01 00:00:00+00\n\n": {{1, 0x3000060}, {3, 1<<32 + 0xA0}},
		"1 0/1": {{1, 1}},
	} {
		got, err := wal.ParseHistory([]byte(text))
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"1\n", "x\t0/1\ty\n", "1\tx\ty\n", "0\t0/1\n", "2\t0/1\n2\t0/2\n", "2\t0/1\n1\t0/2\n", "4294967296\t0/1\n", "-1\t0/1\n"} {
		if got, err := wal.ParseHistory([]byte(text)); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func FuzzParseHistory(f *testing.F) {
	seeds.Require(f, 14)
	f.Add([]byte("1\t0/3000060\tno recovery target specified\n\n3\t1/A0\tx\n"))
	f.Add([]byte("# only a comment"))
	f.Fuzz(func(t *testing.T, content []byte) {
		all, err := wal.ParseHistory(content)
		if err != nil && all != nil {
			t.Error("ancestors and an error")
		}
		for i := 1; i < len(all); i++ {
			if all[i].Timeline <= all[i-1].Timeline {
				t.Errorf("not ascending: %v", all)
			}
		}
		// What was read means the same when it is written again.
		var again strings.Builder
		for _, a := range all {
			if a.Timeline == 0 {
				t.Error("there is no timeline 0")
			}
			fmt.Fprintf(&again, "%d\t%v\tagain\n", a.Timeline, a.End)
		}
		if list, err := wal.ParseHistory([]byte(again.String())); err == nil && !slices.Equal(list, all) || (err != nil && all != nil) {
			t.Errorf("%v is read again as %v, %v", all, list, err)
		}
	})
}
