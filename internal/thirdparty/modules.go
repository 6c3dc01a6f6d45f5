package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// targets are the platforms that there are binaries for.
var targets = []string{"linux/amd64", "linux/arm64", "darwin/arm64", "windows/amd64"}

// module is a module that something of this one is built of.
type module struct {
	Path, Version, Dir string
	Main               bool
	Replace            *struct{ Path string }

	shipped  bool     // in a binary; else in tests and tools only
	licences []string // SPDX identifiers
	texts    []text   // its licence and notice files
}

// text is a file of a module.
type text struct{ name, content string }

// modules lists what the program is built of on every target, and what the tests
// need beside.
func modules(dir string) ([]*module, error) {
	found := map[string]*module{}
	for _, target := range targets {
		goos, goarch, _ := strings.Cut(target, "/")
		env := []string{"GOOS=" + goos, "GOARCH=" + goarch, "CGO_ENABLED=0"}
		if err := list(dir, found, true, env, "./cmd/pgbasin"); err != nil {
			return nil, err
		}
	}
	if err := list(dir, found, false, nil, "-test", "./..."); err != nil {
		return nil, err
	}
	all := slices.SortedFunc(maps.Values(found), func(a, b *module) int { return cmp.Compare(a.Path, b.Path) })
	for _, m := range all {
		if err := m.read(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// list adds the modules of packages and of all that they import.
func list(dir string, found map[string]*module, shipped bool, env []string, args ...string) error {
	cmd := exec.Command("go", append([]string{"list", "-deps", "-json=Module"}, args...)...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	cmd.Env = append(cmd.Env, "GOFLAGS=-mod=readonly", "GOPROXY=off")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("go list: %w\n%s", err, stderr.String())
	}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct{ Module *module }
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("go list: %w", err)
		}
		if p.Module == nil || p.Module.Main || found[p.Module.Path] != nil {
			continue
		}
		if p.Module.Replace != nil {
			return fmt.Errorf("module %s is replaced by %s: who builds this module by its name gets another one", p.Module.Path, p.Module.Replace.Path)
		}
		p.Module.shipped = shipped
		found[p.Module.Path] = p.Module
	}
}

// read finds the licence of a module.
func (m *module) read() error {
	entries, err := os.ReadDir(m.Dir)
	if err != nil {
		return fmt.Errorf("module %s: %w", m.Path, err)
	}
	for _, e := range entries {
		upper := strings.ToUpper(e.Name())
		licence := strings.HasPrefix(upper, "LICENSE") || strings.HasPrefix(upper, "LICENCE") || strings.HasPrefix(upper, "COPYING")
		if !licence && !strings.HasPrefix(upper, "NOTICE") {
			continue
		}
		content, err := os.ReadFile(filepath.Join(m.Dir, e.Name()))
		if err != nil {
			return fmt.Errorf("module %s: %w", m.Path, err)
		}
		m.texts = append(m.texts, text{e.Name(), strings.ReplaceAll(string(content), "\r\n", "\n")})
		if !licence {
			continue
		}
		names := classify(string(content))
		if len(names) == 0 {
			return fmt.Errorf("module %s: what licence %s is cannot be told", m.Path, e.Name())
		}
		m.licences = append(m.licences, names...)
	}
	slices.Sort(m.licences)
	if m.licences = slices.Compact(m.licences); len(m.licences) == 0 {
		return fmt.Errorf("module %s has no licence file", m.Path)
	}
	return nil
}
