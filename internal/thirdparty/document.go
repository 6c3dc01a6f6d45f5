package main

import (
	"fmt"
	"strings"
)

// head begins the document.
const head = `# What pgbasin is built of

Made by "make licences" from go.mod and the module cache; a test tells when it is not current. Licences are MIT, BSD, Apache 2.0 or ISC and nothing else,
which a test sees to, too. Whoever passes on a binary passes on the texts below. The Go runtime and standard library, which are in it as well, have the
licence of golang.org/x/sys.

| module | version | licence | where |
|---|---|---|---|
`

// document is the list of all modules and the texts of those in binaries.
func document(dir string) (string, error) {
	all, err := modules(dir)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString(head)
	for _, m := range all {
		where := "tests"
		if m.shipped {
			where = "binary"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", m.Path, m.Version, strings.Join(m.licences, ", "), where)
	}
	b.WriteString("\n## Texts\n")
	// Many are the same.
	var order []string
	holders := map[string][]string{}
	for _, m := range all {
		for _, t := range m.texts {
			if !m.shipped {
				continue
			}
			content := strings.Trim(t.content, "\n") + "\n"
			if holders[content] == nil {
				order = append(order, content)
			}
			holders[content] = append(holders[content], m.Path+" ("+t.name+")")
		}
	}
	for _, content := range order {
		fmt.Fprintf(&b, "\n### %s\n\n```\n%s```\n", strings.Join(holders[content], ", "), content)
	}
	return b.String(), nil
}
