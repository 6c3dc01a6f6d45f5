//go:build unix

package e2e

import (
	"testing"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// source is a server under load with data to compare.
type source struct {
	*pgtest.Server
	load  *pgtest.Workload
	sums  map[string]string
	space string // the location of its tablespace; "" if it has none
}

type sourceConfig struct {
	tablespace bool
	bytes      int64 // that Fill adds
	rate       int   // transactions per second
}

// startSource starts a server with page checksums where there are any, with
// tables that do not change and others that do.
func startSource(t *testing.T, major int, cfg sourceConfig, opts ...pgtest.Option) *source {
	t.Helper()
	if major >= 11 {
		opts = append(opts, pgtest.Checksums(true))
	}
	s := &source{Server: pgtest.Start(t, major, opts...)}
	load := pgtest.LoadConfig{Clients: 2, Rate: cfg.rate}
	if cfg.tablespace {
		s.space = s.CreateTablespace(t, "space")
		load.Tablespace = "space"
		s.Exec(t, `create schema apart;
create table apart.numbers (i int primary key, t text) tablespace space;
insert into apart.numbers select i, repeat(md5(i::text), 10) from generate_series(1, 5000) i`)
	}
	pgtest.Fill(t, s.Server, cfg.bytes)
	s.sums = pgtest.Sums(t, s.Server)
	w, err := s.StartLoad(t.Context(), load)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := w.Stop(); err != nil {
			t.Logf("load: %v", err)
		}
	})
	w.Wait(t, 50)
	s.load = w
	return s
}

// mapping is the -T argument that puts the tablespace beside a data directory.
func (s *source) mapping(dir string) string { return s.space + "=" + dir + "-space" }
