package chain_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/chain"
	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/internal/backuptest"
	"github.com/pgbasin/pgbasin/manifest"
)

// three is a chain of small backups.
func three() []*backuptest.Backup {
	return series(map[string][]byte{x: blocks(1)}, map[string][]byte{ix: changed(1, nil)}, map[string][]byte{ix: changed(1, nil)})
}

func TestBackupsThatAreNoChainAreRefusedInTheWordsOfPgCombinebackup(t *testing.T) {
	for says, change := range map[string]func(l []*backuptest.Backup){
		`backup at "1" is a full backup, but only the first backup should be a full backup`:      func(l []*backuptest.Backup) { l[1].FromTLI = 0 },
		`backup at "0" is an incremental backup, but the first backup should be a full backup`:   func(l []*backuptest.Backup) { l[0].From, l[0].FromTLI = 0x500000, 1 },
		`backup at "1" starts on timeline 1, but expected 2`:                                     func(l []*backuptest.Backup) { l[2].FromTLI = 2 },
		`backup at "1" starts at LSN 0/2000000, but expected 0/2500000`:                          func(l []*backuptest.Backup) { l[2].From = 0x2500000 },
		`1/global/pg_control: expected system identifier 7000000000000000001, but found 5`:       func(l []*backuptest.Backup) { l[1].Control.SystemID = 5 },
		`0/global/pg_control: manifest system identifier is 5, but control file has 70000000000`: func(l []*backuptest.Backup) { l[0].ManifestID = 5 },
		`0/global/pg_control: blocks have 4096 bytes and files 131072 blocks`:                    func(l []*backuptest.Backup) { l[0].Control.BlockSize = 4096 },
		`backup at "0" is of version 16, but that at "2" is of version 17`: func(l []*backuptest.Backup) {
			l[0].Files["PG_VERSION"] = []byte("16\n")
		},
	} {
		for _, f := range []form{plainForm, tarForm(codec.None), tarForm(codec.Gzip)} {
			list := three()
			change(list)
			paths := store(t, list, f)
			_, err := read(t, paths, readOptions(t), 1)
			got := fmt.Sprint(err)
			for i, path := range paths {
				got = strings.ReplaceAll(got, path, fmt.Sprint(i))
			}
			if !strings.HasPrefix(got, says) && !(f.name == "tar gzip" && strings.Contains(got, "system identifier")) {
				t.Errorf("%s: %s, not %s", f.name, got, says)
			}
			var check *chain.CheckError
			if !errors.As(err, &check) {
				t.Errorf("%s: %T", f.name, err)
			}
		}
	}
}

func TestADamagedControlFileIsRefused(t *testing.T) {
	for i := range 3 {
		list := three()
		control := list[i].Control.Bytes()
		control[100] ^= 1
		list[i].Files["global/pg_control"] = control
		for _, f := range []form{plainForm, tarForm(codec.None)} {
			paths := store(t, list, f)
			refused(t, f.name, paths, paths[i]+"/global/pg_control: CRC is incorrect")
		}
		refused(t, "compressed", store(t, list, tarForm(codec.Gzip)), "pg_control's checksum does not match")
	}
}

func TestTheRightOrderIsTold(t *testing.T) {
	paths := store(t, three(), plainForm)
	for _, order := range [][]int{{0, 2, 1}, {2, 1, 0}, {1, 0, 2}} {
		var given []string
		for _, i := range order {
			given = append(given, paths[i])
		}
		_, err := read(t, given, readOptions(t), 1)
		var check *chain.CheckError
		if !errors.As(err, &check) || strings.Join(check.Order, " ") != strings.Join(paths, " ") {
			t.Errorf("%v: %v", order, err)
		}
	}
	var check *chain.CheckError
	if _, err := read(t, []string{paths[0], paths[2]}, readOptions(t), 1); !errors.As(err, &check) || check.Order != nil {
		t.Errorf("with one missing: %v", err)
	}
}

func TestABackupWithoutManifestIsReadWithAWarning(t *testing.T) {
	for _, f := range []form{plainForm, tarForm(codec.None), tarForm(codec.Zstd), singleForm(codec.Gzip)} {
		list := three()
		list[1].NoManifest = true
		paths := store(t, list, f)
		o := readOptions(t)
		var warnings []string
		o.Warn = func(w chain.Warning) { warnings = append(warnings, w.Message) }
		r, err := read(t, paths, o, 1)
		if err != nil || string(r.files[x]) != string(blocks(1)) {
			t.Errorf("%s: %v", f.name, err)
		}
		if want := fmt.Sprintf("file \"%s/backup_manifest\" does not exist", paths[1]); len(warnings) != 1 || warnings[0] != want {
			t.Errorf("%s: %q", f.name, warnings)
		}
	}
}

func TestTheManifestOfAnotherBackupCountsForNothing(t *testing.T) {
	list := three()
	paths := store(t, list, plainForm)
	older, err := os.ReadFile(filepath.Join(paths[0], "backup_manifest"))
	if err == nil {
		err = os.WriteFile(filepath.Join(paths[1], "backup_manifest"), older, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	o := readOptions(t)
	var warnings []string
	o.Warn = func(w chain.Warning) { warnings = append(warnings, w.Message) }
	if _, err := read(t, paths, o, 1); err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], "is the manifest of another backup") {
		t.Errorf("%q, %v", warnings, err)
	}
}

func TestDifferentPageChecksumsAreWarnedOf(t *testing.T) {
	for _, f := range []form{plainForm, tarForm(codec.None)} {
		for newest := range 2 {
			list := three()
			list[2*newest].Control.Checksums = true
			o := readOptions(t)
			var warnings []chain.Warning
			o.Warn = func(w chain.Warning) { warnings = append(warnings, w) }
			if _, err := read(t, store(t, list, f), o, 1); err != nil {
				t.Fatal(err)
			}
			if newest == 0 && len(warnings) > 0 || newest == 1 && (len(warnings) != 1 || warnings[0].Message != "only some backups have checksums enabled" || warnings[0].Hint == "") {
				t.Errorf("%s, %d: %v", f.name, newest, warnings)
			}
		}
	}
}

func TestBlocksOfAnotherSizeAreRead(t *testing.T) {
	list := series(map[string][]byte{x: []byte(strings.Repeat("a", 1024) + strings.Repeat("b", 1024))}, map[string][]byte{})
	small := incrementalOf(1024, 3, map[uint32][]byte{0: []byte(strings.Repeat("c", 1024))})
	list[1].Files = map[string][]byte{ix: small}
	for _, b := range list {
		b.Control.BlockSize, b.Control.SegmentBlocks = 1024, 1048576
	}
	want := strings.Repeat("c", 1024) + strings.Repeat("b", 1024) + strings.Repeat("\x00", 1024)
	for _, f := range []form{plainForm, tarForm(codec.None)} {
		if got := mustRead(t, list, f)[x]; string(got) != want {
			t.Errorf("%s: %q", f.name, got)
		}
	}
	refused(t, "compressed", store(t, list, tarForm(codec.Gzip)), "bytes")
}

func TestEveryChecksumAlgorithmIsCompared(t *testing.T) {
	for _, a := range []manifest.ChecksumAlgorithm{manifest.None, manifest.SHA224, manifest.SHA512} {
		list := three()
		list[1].Checksums = a
		for _, f := range []form{plainForm, singleForm(codec.Gzip)} {
			mustRead(t, list, f)
		}
	}
}

func TestAChainThatIsGivenUpEndsAtOnce(t *testing.T) {
	for _, f := range []form{plainForm, tarForm(codec.Gzip)} {
		paths := store(t, three(), f)
		c, err := chain.Open(context.Background(), paths, readOptions(t))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		ctx, cancel := context.WithCancelCause(context.Background())
		gone := errors.New("gone")
		cancel(gone)
		if err := c.Read(ctx, c.Last().Data(), &discard{}); !errors.Is(err, gone) {
			t.Errorf("%s: %v", f.name, err)
		}
	}
}
