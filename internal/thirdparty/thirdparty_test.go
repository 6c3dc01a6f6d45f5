package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

func TestTheListOfModulesIsCurrent(t *testing.T) {
	want, err := document(root)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(root, "docs", "THIRD_PARTY.md"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.ReplaceAll(string(got), "\r\n", "\n") != want {
		t.Error(`docs/THIRD_PARTY.md is not current: run "make licences"`)
	}
}

func TestEveryLicenceIsAllowed(t *testing.T) {
	all, err := modules(root)
	if err != nil {
		t.Fatal(err)
	}
	shipped := 0
	for _, m := range all {
		if m.shipped {
			shipped++
		}
		for _, id := range m.licences {
			if !slices.Contains(allowed, id) {
				t.Errorf("module %s has the licence %s", m.Path, id)
			}
		}
	}
	if shipped == 0 || shipped == len(all) {
		t.Errorf("%d of %d modules are in binaries", shipped, len(all))
	}
}

func TestLicencesAreToldByTheirTexts(t *testing.T) {
	for text, want := range map[string]string{
		"Permission is hereby granted, free of\ncharge, to any person obtaining a copy":                                                                      "MIT",
		"Permission to use, copy, modify, and distribute this software for any\npurpose with or without fee is hereby granted":                               "ISC",
		"Apache License\n   Version 2.0, January 2004":                                                                                                       "Apache-2.0",
		"Redistributions of source code must retain the above\nNeither the name of X Inc. nor the names\nmay be used to endorse or promote products derived": "BSD-3-Clause",
		"Redistributions of source code must retain the above copyright":                                                                                     "BSD-2-Clause",
		"GNU LESSER GENERAL PUBLIC LICENSE\nVersion 3":                                                                                                       "GPL",
		"Permission is hereby granted, free of charge, to any person obtaining a copy ... GNU General Public License":                                        "MIT GPL",
		"You may use this on Tuesdays.": "",
	} {
		if got := strings.Join(classify(text), " "); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}

// Whatever is run by its version must be run by an exact one.
func TestToolsOfTheMakefileHaveExactVersions(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	tools := 0
	for word := range strings.FieldsSeq(string(makefile)) {
		if _, version, ok := strings.Cut(word, "@v"); ok && strings.Count(version, ".") == 2 {
			tools++
		} else if strings.Contains(word, "@latest") || ok {
			t.Errorf("%s has no exact version", word)
		}
	}
	if tools == 0 {
		t.Error("no tools were found")
	}
}
