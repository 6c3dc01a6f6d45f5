package main

import (
	"fmt"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/incremental"
	"github.com/pgbasin/pgbasin/internal/backuptest"
	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/manifest"
)

// Scripts make up backups with "makechain [-tar] [-space] NAME...", a full one and
// incremental ones after it.
func TestCombineScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/combine", RequireExplicitExec: true, RequireUniqueNames: true,
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"makechain": makeChain},
	})
}

func makeChain(ts *testscript.TestScript, neg bool, args []string) {
	tar, space := false, false
	for ; len(args) > 0 && args[0][0] == '-'; args = args[1:] {
		tar, space = tar || args[0] == "-tar", space || args[0] == "-space"
	}
	if neg || len(args) == 0 {
		ts.Fatalf("usage: makechain [-tar] [-space] NAME...")
	}
	for i, name := range args {
		b := &backuptest.Backup{
			Start: lsn.LSN(0x1000000 * (i + 1)), TLI: 1, Control: backuptest.Control{SystemID: 7, Checksums: i > 0}, Checksums: manifest.CRC32C,
			Files: map[string][]byte{"base/5/INCREMENTAL.1": backuptest.Incremental(incremental.DefaultLayout, 1, nil), "base/5/2": fmt.Appendf(nil, "%d", i)},
			WAL:   map[string][]byte{},
		}
		if i == 0 {
			b.Files = map[string][]byte{"base/5/1": make([]byte, 8192), "base/5/2": {}}
		} else {
			b.From, b.FromTLI = lsn.LSN(0x1000000*i), 1
		}
		if space {
			b.Tablespaces = map[uint32]string{16400: "/srv/space"}
		}
		if tar {
			b.Tar(ts.MkAbs(name), codec.Spec{Algorithm: codec.Gzip})
		} else {
			b.Plain(ts.MkAbs(name))
		}
	}
}
