package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"pgbasin":          main,
		"pg_basebackup":    main,
		"pg_combinebackup": main,
		"pg_receivewal":    main,
		"pg_receivexlog":   main,
		"pg_verifybackup":  main,
	})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", RequireExplicitExec: true, RequireUniqueNames: true})
}

func TestProgramNamesAreFoundInPaths(t *testing.T) {
	for argv0, want := range map[string]string{
		"pg_basebackup":                      "pg_basebackup",
		"./pg_basebackup":                    "pg_basebackup",
		"/usr/local/bin/pg_basebackup":       "pg_basebackup",
		`C:\Program Files\pg_basebackup.exe`: "pg_basebackup",
		"pg_basebackup.EXE":                  "pg_basebackup",
		".exe":                               ".exe",
		"pgbasin-1.0":                        "pgbasin-1.0",
		"dir/":                               "",
		"":                                   "",
	} {
		if got := baseName(argv0); got != want {
			t.Errorf("%q: %q, want %q", argv0, got, want)
		}
	}
	if got := runIn(nil, "", `C:\bin\pg_basebackup.exe`, "-V").stdout; got[:13] != "pg_basebackup" {
		t.Errorf("version under a Windows path: %q", got)
	}
	if got := runIn(nil, ""); got.status != 127 || got.stderr == "" {
		t.Errorf("without even a name: %+v", got)
	}
}

func TestAMisspelledRestoreCommandDoesNotEndRecovery(t *testing.T) {
	// Up to 125 the server goes on without the file.
	if got := runIn(nil, "", "pgbasin", "wal-fetsh", "--from", "x", "%f", "%p"); got.status <= 125 {
		t.Errorf("%+v", got)
	}
}
