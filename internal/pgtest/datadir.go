package pgtest

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// adopt prepares an existing data directory: the server's user must own it and everything its links lead to.
func (s *Server) adopt() error {
	dir, err := filepath.Abs(s.cfg.DataDir)
	if err != nil {
		return err
	}
	s.dataDir = dir
	version, err := os.ReadFile(filepath.Join(dir, "PG_VERSION"))
	if err != nil {
		return fmt.Errorf("%s is not a data directory: %w", dir, err)
	}
	if v := strings.TrimSpace(string(version)); leadingNumber(v) != s.cfg.Major {
		return fmt.Errorf("%s is a data directory of PostgreSQL %s, not %d", dir, v, s.cfg.Major)
	}
	trees := []string{dir}
	linked, err := linkedTrees(dir)
	if err != nil {
		return err
	}
	for _, tree := range append(trees, linked...) {
		if err := s.owner.open(tree); err != nil {
			return err
		}
		if err := s.owner.give(tree); err != nil {
			return err
		}
	}
	settings := map[string]string{"ssl": "off"}
	if s.certs != nil {
		maps.Copy(settings, s.certs.settings())
	}
	maps.Copy(settings, s.cfg.Settings)
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		s.args = append(s.args, "-c", name+"="+settings[name])
	}
	if len(s.cfg.HBA) > 0 || s.cfg.TLS != nil {
		hba := filepath.Join(s.dir, "pg_hba.conf")
		if err := os.WriteFile(hba, []byte(s.hba()), 0o644); err != nil {
			return err
		}
		s.args = append(s.args, "-c", "hba_file="+hba)
	}
	return nil
}

// linkedTrees returns the directories outside a data directory that belong to it: pg_wal's and the tablespaces'. Their owner
// is going to be changed, so they must be in a temporary directory or next to the data directory.
func linkedTrees(dir string) ([]string, error) {
	links := []string{filepath.Join(dir, "pg_wal")}
	spaces, err := os.ReadDir(filepath.Join(dir, "pg_tblspc"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, e := range spaces {
		links = append(links, filepath.Join(dir, "pg_tblspc", e.Name()))
	}
	var trees []string
	for _, link := range links {
		info, err := os.Lstat(link)
		if errors.Is(err, fs.ErrNotExist) || err == nil && info.Mode()&fs.ModeSymlink == 0 {
			continue
		}
		if err != nil {
			return nil, err
		}
		tree, err := filepath.EvalSymlinks(link)
		if err != nil {
			return nil, err
		}
		// Started like this, the copy would seem to work, on the files of the original.
		if home := filepath.Dir(tree); home != filepath.Dir(dir) && strings.HasPrefix(filepath.Base(home), serverDirPrefix) &&
			strings.HasPrefix(filepath.Base(tree), tablespacePrefix) {
			return nil, fmt.Errorf("%s leads to %s, the tablespace of another server", link, tree)
		}
		rel, err := filepath.Rel(filepath.Dir(dir), tree)
		if !temporary(tree) && (err != nil || !filepath.IsLocal(rel) || rel == ".") {
			return nil, fmt.Errorf("%s leads to %s, which is neither below %s nor next to the data directory", link, tree, os.TempDir())
		}
		trees = append(trees, tree)
	}
	return trees, nil
}
