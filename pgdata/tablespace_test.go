package pgdata_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/internal/seeds"
	"github.com/pgbasin/pgbasin/pgdata"
)

func TestTablespaceMaps(t *testing.T) {
	for text, want := range map[string][]pgdata.TablespaceLink{
		"":                           nil,
		"\n\r\n":                     nil,
		"16387 /tmp/rec/ts\n":        {{16387, "/tmp/rec/ts"}},
		"1 /a\r\n4294967295  /b":     nil, // cut
		"1 /a\r\n4294967295  /b\r\n": {{1, "/a"}, {4294967295, " /b"}},
		// As 14 and newer write it, and as 13 and older do.
		"5 /a\\\\b\\\nc\\\rd\n":          {{5, "/a\\b\nc\rd"}},
		"5 /a\\b\\\nc\\\rd\\\\e\n6 /f\n": {{5, "/a\\b\nc\rd\\\\e"}, {6, "/f"}},
	} {
		got, err := pgdata.ParseTablespaceMap([]byte(text))
		if cut := text != "" && !strings.HasSuffix(text, "\n"); cut != (err != nil) {
			t.Errorf("%q: %v", text, err)
		} else if !slices.Equal(got, want) {
			t.Errorf("%q is read as %v, want %v", text, got, want)
		}
	}
	for _, text := range []string{
		"x /a\n", " 1 /a\n", "1\n", "1 \n", "0 /a\n", "-1 /a\n", "4294967296 /a\n", "1 /a\n1 /b\n", "1 /a\x00b\n",
		"1 /" + strings.Repeat("x", 1023) + "\n", "1 /a\\\n", "1 /a\\", "1\t/a\n",
	} {
		if got, err := pgdata.ParseTablespaceMap([]byte(text)); err == nil {
			t.Errorf("%q is read as %v", text, got)
		}
	}
}

func FuzzParseTablespaceMap(f *testing.F) {
	seeds.Require(f, 14)
	f.Add([]byte("16387 /tmp/rec/ts\n"))
	f.Add([]byte("5 /a\\\\b\\\nc\\\rd\r\n"))
	f.Add([]byte("5 /a\\b\\\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		links, err := pgdata.ParseTablespaceMap(b)
		if err != nil {
			return
		}
		formatted := pgdata.FormatTablespaceMap(links)
		again, err := pgdata.ParseTablespaceMap(formatted)
		if err != nil || !slices.Equal(again, links) {
			t.Fatalf("%q is read as %v, written as %q and read as %v, %v", b, links, formatted, again, err)
		}
		if !bytes.ContainsRune(formatted, '\\') && !bytes.Equal(formatted, pgdata.Version(90500).FormatTablespaceMap(links)) {
			t.Fatalf("%v is written in two ways", links)
		}
	})
}
