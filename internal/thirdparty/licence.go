package main

import (
	"regexp"
	"slices"
	"strings"
)

// allowed are the licences that go together with this project's own and ask for
// no more than that their texts are passed on.
var allowed = []string{"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT"}

// known are sentences that only one licence has, without line ends. A text with
// several licences, as of modules with parts of others, has several.
var known = []struct {
	id      string
	pattern *regexp.Regexp
}{
	{"Apache-2.0", regexp.MustCompile(`Apache License,? Version 2\.0`)},
	{"MIT", regexp.MustCompile(`Permission is hereby granted, free of charge, to any person obtaining a copy`)},
	{"ISC", regexp.MustCompile(`Permission to use, copy, modify, (and|and/or) distribute this software for any purpose with or without fee`)},
	{"BSD-3-Clause", regexp.MustCompile(`(Neither the name|The names? of).{0,200}endorse or promote products derived`)},
	{"GPL", regexp.MustCompile(`GNU (AFFERO |LESSER |LIBRARY )?GENERAL PUBLIC LICENSE|GNU (Affero |Lesser |Library )?General Public License`)},
	{"MPL", regexp.MustCompile(`Mozilla Public License`)},
	{"EPL", regexp.MustCompile(`Eclipse Public License`)},
	{"BUSL", regexp.MustCompile(`Business Source License`)},
	{"SSPL", regexp.MustCompile(`Server Side Public License`)},
	{"CC", regexp.MustCompile(`Creative Commons`)},
}

// twoClauses are those of both BSD licences; without the third it is the shorter.
var twoClauses = regexp.MustCompile(`Redistributions? (of source code|in source form) must retain the`)

// classify returns the licences of a text, by their SPDX identifiers, none if it
// has none that is known.
func classify(content string) []string {
	line := strings.Join(strings.Fields(content), " ")
	var found []string
	for _, k := range known {
		if k.pattern.MatchString(line) {
			found = append(found, k.id)
		}
	}
	if twoClauses.MatchString(line) && !slices.Contains(found, "BSD-3-Clause") {
		found = append(found, "BSD-2-Clause")
	}
	return found
}
