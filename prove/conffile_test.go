package prove

import (
	"slices"
	"strings"
	"testing"
)

func TestConfigurationFilesAreReadAsTheServerDoes(t *testing.T) {
	const text = `# a comment
port = 5433		# the port
Shared_Buffers=1GB
work_mem 4MB
app.greeting = 'it''s \'fine\' \\ \101\n'  # octal is A
empty = ''
include_dir 'conf.d'
crlf = on` + "\r\n" + `
= nothing
unterminated = 'abc
name_only
timezone='Asia/Seoul'#comment
`
	want := []setting{
		{"port", "5433"}, {"shared_buffers", "1GB"}, {"work_mem", "4MB"}, {"app.greeting", "it's 'fine' \\ A\n"}, {"empty", ""},
		{"include_dir", "conf.d"}, {"crlf", "on"}, {"timezone", "Asia/Seoul"},
	}
	if got := parseConf(text); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func FuzzParseConf(f *testing.F) {
	f.Add("a = b\n")
	f.Add("a.b = 'it''s' # c\ninclude 'x'")
	f.Add("a '\\101\\x\\")
	f.Add("\xfeA 00")
	f.Fuzz(func(t *testing.T, text string) {
		for _, s := range parseConf(text) {
			if s.name == "" || strings.ContainsAny(s.name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") {
				t.Errorf("%q has a setting named %q", text, s.name)
			}
			if len(s.name)+len(s.value) > len(text) {
				t.Errorf("%q has a setting that is longer: %q", text, s)
			}
		}
	})
}

func TestLibrariesAreSplitAsTheServerDoes(t *testing.T) {
	for list, want := range map[string][]string{
		"":                         nil,
		"a":                        {"a"},
		" a , b":                   {"a", "b"},
		`"with, comma", "q""uote"`: {"with, comma", `q"uote`},
		`"open`:                    {"open"},
		",,":                       nil,
	} {
		if got := splitLibraries(list); !slices.Equal(got, want) {
			t.Errorf("%q is %q, want %q", list, got, want)
		}
	}
}

func TestTheMajorVersionIsTakenFromAnyVersion(t *testing.T) {
	for version, want := range map[string]string{
		"15.18 (Debian 15.18-0+deb12u1)": "15", "18beta2": "18", "19devel": "19", "9.6.24": "9.6", "9.5.3": "9.5", "10.0": "10", "x": "", "": "",
	} {
		if got := majorOf(version); got != want {
			t.Errorf("%q is of %q, want %q", version, got, want)
		}
	}
}
