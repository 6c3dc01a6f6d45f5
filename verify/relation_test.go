package verify

import "testing"

func TestFilesOfRelationsAreToldByTheirNames(t *testing.T) {
	for path, want := range map[string]relationFile{
		"base/5/16384":       {1663, 5, 16384, mainFork, 0},
		"base/5/16384.1":     {1663, 5, 16384, mainFork, 1},
		"base/5/16384_fsm":   {1663, 5, 16384, fsmFork, 0},
		"base/5/16384_vm.12": {1663, 5, 16384, vmFork, 12},
		"base/5/16384_init":  {1663, 5, 16384, initFork, 0},
		"global/1262":        {1664, 0, 1262, mainFork, 0},
		"global/1262_vm":     {1664, 0, 1262, vmFork, 0},
		"pg_tblspc/16400/PG_15_202209061/5/16401":    {16400, 5, 16401, mainFork, 0},
		"pg_tblspc/16400/PG_9.6_201608131/5/16401.2": {16400, 5, 16401, mainFork, 2},
	} {
		if got, ok := parseRelationFile(path); !ok || got != want {
			t.Errorf("%s: %+v, %v", path, got, ok)
		}
	}
	for _, path := range []string{
		"", "16384", "base", "base/5", "base/5/PG_VERSION", "base/5/pg_filenode.map", "base/5/pg_internal.init",
		"base/5/t3_16384", "base/5/16384_foo", "base/5/16384_", "base/5/16384.", "base/5/16384.0", "base/5/16384.01", "base/5/.1",
		"base/5/016384", "base/5/+1", "base/5/0", "base/5/99999999999", "base/5/16384.1_fsm", "base/5/INCREMENTAL.16384",
		"base/x/16384", "base/5/6/16384", "global/pg_control", "global/5/1262", "pg_wal/1", "pg_xact/0000", "pg_xact/1",
		"pg_tblspc/16400/5/16401", "pg_tblspc/16400/PG_15/x/16401", "pg_tblspc/x/PG_15/5/16401", "elsewhere/1",
	} {
		if got, ok := parseRelationFile(path); ok {
			t.Errorf("%s: %+v", path, got)
		}
	}
}

func FuzzRelationFile(f *testing.F) {
	f.Add("base/5/16384_fsm.1")
	f.Add("pg_tblspc/16400/PG_15_202209061/5/16401")
	f.Add("global/1")
	f.Fuzz(func(t *testing.T, path string) {
		if got, ok := parseRelationFile(path); ok && (got.relation == 0 || got.tablespace == 0 || got.fork > initFork) {
			t.Errorf("%q: %+v", path, got)
		}
	})
}

func FuzzArchiveName(f *testing.F) {
	for _, name := range []string{"base.tar", "base.tar.gz", "16384.tgz", "pg_wal.tar.zst", "0.tar", "99999999999.tar", "base.tarx", "1"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		a, isWAL, ok := parseArchiveName(name)
		if !ok {
			return
		}
		suffix := a.algorithm.Suffix()
		stem := "base"
		switch {
		case isWAL:
			stem = "pg_wal"
		case a.oid != 0:
			return // leading zeros
		}
		if name != stem+".tar"+suffix && name != stem+".tgz" {
			t.Errorf("%q: %+v", name, a)
		}
	})
}
