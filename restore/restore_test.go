package restore_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/manifest"
	"github.com/pgbasin/pgbasin/recoveryconf"
	"github.com/pgbasin/pgbasin/restore"
)

func TestARestoredDirectoryHasEverythingAtItsPlace(t *testing.T) {
	b := newBackup(t)
	o := b.options()
	o.WALDir = filepath.Join(b.root, "wal")
	o.Sync = restore.Fsync
	o.Settings = recoveryconf.Params{{Name: "port", Value: "5445"}}
	p, err := restore.Prepare(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	if p.Version != 150000 || !p.Verify || !p.BytesKnown || p.Label != "fixture" || p.Start == 0 || p.Stop <= p.Start || len(p.Warnings) > 0 {
		t.Errorf("plan: %+v", p)
	}
	if exists(o.DataDir) || exists(o.WALDir) {
		t.Error("a plan has made directories")
	}
	r, err := p.Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if !r.Verified || r.Version != 150000 || r.Files < 900 || r.Bytes < 20<<20 || r.SystemID == 0 {
		t.Errorf("result: %+v", r)
	}
	if _, err := p.Run(context.Background()); err == nil {
		t.Error("a plan was run twice")
	}
	space := filepath.Join(b.root, "space")
	for path, want := range map[string]string{
		filepath.Join(o.DataDir, "pg_wal"):                 o.WALDir,
		filepath.Join(o.DataDir, "pg_tblspc", fixture.oid): space,
	} {
		if got, err := os.Readlink(path); got != want {
			t.Errorf("%s leads to %q, %v", path, got, err)
		}
	}
	if got, want := read(t, filepath.Join(o.DataDir, "tablespace_map")), fixture.oid+" "+space+"\n"; got != want {
		t.Errorf("tablespace_map is %q, want %q", got, want)
	}
	if got := read(t, filepath.Join(o.DataDir, "postgresql.auto.conf")); !strings.HasSuffix(got, "port = '5445'\n") {
		t.Errorf("postgresql.auto.conf is %q", got)
	}
	if entries, _ := os.ReadDir(o.WALDir); len(entries) != 2 { // a segment and archive_status
		t.Errorf("the WAL directory holds %v", entries)
	}
	all := tree(t, b.root)
	for _, name := range []string{".incomplete", "pg_control.tmp", ".pgbasin-", "backup_manifest\n" + o.DataDir, "recovery.signal"} {
		if strings.Contains(all, name) {
			t.Errorf("%s is left", name)
		}
	}
	for _, dir := range []string{o.DataDir, o.WALDir, space, filepath.Join(o.DataDir, "pg_replslot")} {
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", dir, info, err)
		}
	}
}

func TestDamageIsFoundByTheManifest(t *testing.T) {
	const victim = "base/1/1259"
	for name, c := range map[string]struct {
		edit func(m member) []member
		want []string
	}{
		"a flipped bit": {func(m member) []member {
			if m.Name == victim {
				m.content[4711] ^= 1
			}
			return []member{m}
		}, []string{victim}},
		"a missing file": {without(victim), []string{victim}},
		"a longer file": {func(m member) []member {
			if m.Name == victim {
				m.content = append(m.content, make([]byte, 8192)...)
			}
			return []member{m}
		}, []string{victim}},
		"an extra file": {func(m member) []member {
			if m.Name != victim {
				return []member{m}
			}
			h := *m.Header
			h.Name = "base/1/99999"
			return []member{m, {&h, m.content}}
		}, []string{"base/1/99999"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBackup(t)
			b.rewrite("base.tar", c.edit)
			err := b.refused(b.options(), c.want...)
			var problems *manifest.VerifyErrors
			if !errors.As(err, &problems) {
				t.Errorf("%T: %v", err, err)
			}
			if name != "a flipped bit" {
				return
			}
			o := b.options()
			o.NoVerify = true
			if r, err := run(o); err != nil || r.Verified {
				t.Errorf("without verification: %+v, %v", r, err)
			}
		})
	}
}

func TestAnAlteredManifestIsRefused(t *testing.T) {
	b := newBackup(t)
	content := read(t, filepath.Join(b.path, "backup_manifest"))
	b.replace("backup_manifest", []byte(strings.Replace(content, `"Size": `, `"Size":  `, 1)))
	b.refused(b.options(), "manifest")
}

func TestACutArchiveIsRefusedByName(t *testing.T) {
	for _, name := range []string{"base.tar", "space", "pg_wal.tar"} {
		b := newBackup(t)
		if name == "space" {
			name = fixture.oid + ".tar"
		}
		content := read(t, filepath.Join(b.path, name))
		b.replace(name, []byte(content[:len(content)/2]))
		b.refused(b.options(), name)
	}
}

func TestABackupWithoutLabelIsRefusedUnlessTheClusterWasShutDown(t *testing.T) {
	b := newBackup(t)
	b.noManifest()
	b.rewrite("base.tar", without("backup_label"))
	b.refused(b.options(), "backup_label", "in production")
}

func TestWhatACopyByHandBringsOfItsServerIsLeftOut(t *testing.T) {
	b := newBackup(t)
	file := func(name, content string) member {
		return member{&tar.Header{Name: name, Mode: 0o600, Typeflag: tar.TypeReg}, []byte(content)}
	}
	dir := func(name string) member {
		return member{&tar.Header{Name: name, Mode: 0o700, Typeflag: tar.TypeDir}, nil}
	}
	b.rewrite("base.tar", func(m member) []member {
		switch {
		case m.Name == "backup_label":
			m.content = bytes.Replace(m.content, []byte("streamed"), []byte("pg_start_backup"), 1)
		case m.Name == "postgresql.auto.conf":
			m.content = append(m.content, "recovery_target_time = '2020-01-01 00:00:00+00'\nrestore_command = 'old'\nwork_mem = '5MB'\n"...)
		case strings.HasPrefix(m.Name, "pg_notify"), strings.HasPrefix(m.Name, "tablespace_map"):
			return nil
		}
		return []member{m}
	})
	one := b.one("data5445/", file("postmaster.pid", "1"), file("postmaster.opts", "x"), file("recovery.done", "x"), file("standby.signal", ""), file("promote", ""),
		dir("pg_log"), file("pg_log/server.log", "x"), dir("pg_replslot/slot"), file("pg_replslot/slot/state", "x"), file("base/pgsql_tmp1.0", "x"))
	o := b.options()
	o.Backup, o.Tablespaces = one, nil
	o.Recovery = recoveryconf.Recovery{RestoreCommand: "cp /archive/%f %p", Target: recoveryconf.Target{Time: "2999-02-13 11:50:00+09"}}
	r, err := run(o)
	if err != nil {
		t.Fatal(err)
	}
	if r.Verified {
		t.Error("verified without a manifest")
	}
	for _, name := range []string{"postmaster.pid", "postmaster.opts", "recovery.done", "standby.signal", "promote", "pg_log/server.log", "pg_replslot/slot", "base/pgsql_tmp1.0", "data5445"} {
		if exists(filepath.Join(o.DataDir, name)) {
			t.Errorf("%s is there", name)
		}
	}
	for _, name := range []string{"pg_notify", "pg_replslot", "pg_wal/archive_status", "recovery.signal", "backup_label", "global/pg_control"} {
		if !exists(filepath.Join(o.DataDir, name)) {
			t.Errorf("%s is not there", name)
		}
	}
	auto := read(t, filepath.Join(o.DataDir, "postgresql.auto.conf"))
	for _, line := range []string{"work_mem = '5MB'\n", "restore_command = 'cp /archive/%f %p'\n", "recovery_target_time = '2999-02-13 11:50:00+09'\n", "recovery_target_action = 'promote'\n"} {
		if !strings.Contains(auto, line) {
			t.Errorf("no %q in\n%s", line, auto)
		}
	}
	if strings.Contains(auto, "2020") || strings.Contains(auto, "'old'") {
		t.Errorf("the old recovery is still there:\n%s", auto)
	}
}

// stream is the backup as one tar like "backup -D -", with its manifest and its
// WAL, but without the tablespace.
func (b *backup) stream() string {
	b.t.Helper()
	old := tarOf(b.t, filepath.Join(b.path, "base.tar"))
	listed := manifestOf(b.t, old)
	file := func(name string, content []byte) member {
		return member{&tar.Header{Name: name, Mode: 0o600, Typeflag: tar.TypeReg}, content}
	}
	var wal []member
	for _, m := range tarOf(b.t, filepath.Join(b.path, "pg_wal.tar")) {
		if m.Typeflag == tar.TypeReg && !strings.Contains(m.Name, "/") {
			wal = append(wal, file("pg_wal/"+m.Name, m.content))
		}
	}
	return b.one("", append(wal, file("backup_manifest", listed))...)
}

func TestAStreamIsRestoredFromStandardInputAndComparedWithTheManifestAtItsEnd(t *testing.T) {
	for _, name := range []string{"-", "one.tar"} {
		for _, damaged := range []bool{false, true} {
			b := newBackup(t)
			b.rewrite("base.tar", without("tablespace_map"))
			path := b.stream()
			if damaged {
				content := []byte(read(t, path))
				i := bytes.Index(content, []byte("base/1/1259\x00"))
				content[i+512] ^= 1
				if err := os.WriteFile(path, content, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			o := b.options()
			o.Backup, o.Tablespaces = path, nil
			if name == "-" {
				f, err := os.Open(path)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				o.Backup, o.Stdin = name, f
			}
			if damaged {
				b.refused(o, "base/1/1259")
				continue
			}
			r, err := run(o)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if !r.Verified || !exists(filepath.Join(o.DataDir, "global/pg_control")) || exists(filepath.Join(o.DataDir, "backup_manifest")) {
				t.Errorf("%s: %+v", name, r)
			}
		}
	}
}

func TestAManifestOfAnotherBackupIsNotUsed(t *testing.T) {
	b := newBackup(t)
	b.rewrite("base.tar", func(m member) []member {
		switch m.Name {
		case "tablespace_map":
			return nil
		case "backup_label":
			m.content = bytes.Replace(m.content, []byte("streamed"), []byte("pg_start_backup"), 1)
		}
		return []member{m}
	})
	old := bytes.Replace(manifestOf(t, tarOf(t, filepath.Join(b.path, "base.tar"))), []byte(`"Start-LSN": "0/`), []byte(`"Start-LSN": "F/`), 1)
	old = bytes.Replace(old, []byte(`"End-LSN": "0/`), []byte(`"End-LSN": "F/`), 1)
	at := bytes.Index(old, []byte(`"Manifest-Checksum"`))
	old = fmt.Appendf(old[:at:at], "\"Manifest-Checksum\": \"%x\"}\n", sha256.Sum256(old[:at]))
	path := b.one("data/", member{&tar.Header{Name: "backup_manifest", Mode: 0o600, Typeflag: tar.TypeReg}, old})
	for _, stdin := range []bool{false, true} {
		o := b.options()
		o.Backup, o.Tablespaces, o.DataDir = path, nil, fmt.Sprint(o.DataDir, stdin)
		if stdin {
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			o.Backup, o.Stdin = "-", f
		}
		var said []string
		o.Observer.Warning = func(m string) { said = append(said, m) }
		r, err := run(o)
		if err != nil {
			t.Fatal(err)
		}
		if r.Verified || !strings.Contains(strings.Join(said, "\n"), "earlier backup") {
			t.Errorf("%+v, said %q", r, said)
		}
	}
}

func TestOnlyServersThatTakeItGetAccessForTheGroup(t *testing.T) {
	for _, c := range []struct {
		file, version string
		mode          os.FileMode
	}{{"0640", "15\n", 0o750}, {"0600", "15\n", 0o700}, {"0644", "15\n", 0o700}, {"0640", "10\n", 0o700}} {
		b := newBackup(t)
		b.noManifest()
		mode, _ := strconv.ParseInt(c.file, 8, 32)
		b.rewrite("base.tar", func(m member) []member {
			switch {
			case m.Name == "tablespace_map", strings.HasPrefix(m.Name, "base/4/"), strings.HasPrefix(m.Name, "base/5/"):
				return nil
			case m.Name == "PG_VERSION":
				m.content = []byte(c.version)
			}
			if m.Typeflag == tar.TypeReg {
				m.Mode = mode
			}
			return []member{m}
		})
		o := b.options()
		o.Backup, o.Tablespaces = b.one(""), nil
		if _, err := run(o); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]os.FileMode{".": c.mode, "base": c.mode, "base/1/1259": c.mode & 0o640, "postgresql.auto.conf": c.mode & 0o640} {
			if info, err := os.Stat(filepath.Join(o.DataDir, name)); err != nil || info.Mode().Perm() != want {
				t.Errorf("%+v: %s has %v, %v", c, name, info.Mode(), err)
			}
		}
	}
}

func TestACanceledRestoreLeavesNothing(t *testing.T) {
	b := newBackup(t)
	o := b.options()
	ctx, cancel := context.WithCancelCause(context.Background())
	reason := errors.New("enough")
	o.Observer.Progress = func(restore.Progress) { cancel(reason) }
	before := tree(t, b.root)
	p, err := restore.Prepare(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Run(ctx); !errors.Is(err, reason) {
		t.Errorf("error: %v", err)
	}
	if after := tree(t, b.root); after != before {
		t.Errorf("left:\n%s", after)
	}
}
