package basebackup_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/basebackup"
	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/internal/durable"
	"github.com/pgbasin/pgbasin/internal/pgfake"
	"github.com/pgbasin/pgbasin/replproto"
	"github.com/pgbasin/pgbasin/tarstream"
)

// edit changes the data directory's archive of a backup.
func edit(change func(tar []byte) []byte) func(pgfake.BackupRequest, *pgfake.BaseBackup) {
	return func(_ pgfake.BackupRequest, b *pgfake.BaseBackup) {
		for i := range b.Archives {
			if b.Archives[i].OID == 0 {
				b.Archives[i].Tar = change(bytes.Clone(b.Archives[i].Tar))
			}
		}
	}
}

// add puts members in front of the data directory's archive.
func add(files ...pgfake.File) func(pgfake.BackupRequest, *pgfake.BaseBackup) {
	return edit(func(tar []byte) []byte { return append(pgfake.Tar(files...), tar...) })
}

func TestWhatAServerMustNotSendIsAnErrorThatNamesItAndLeavesNothing(t *testing.T) {
	copyAt := func(part pgfake.Part, n int) pgfake.At {
		return pgfake.At{Command: "BASE_BACKUP", Part: part, N: n}
	}
	cases := map[string]struct {
		cluster *pgfake.Cluster
		want    string
	}{
		"member with an absolute name": {&pgfake.Cluster{Edit: add(pgfake.File{Path: "/etc/cron.d/x", Data: []byte("x")})}, "/etc/cron.d/x"},
		"member outside":               {&pgfake.Cluster{Edit: add(pgfake.File{Path: "base/../../x", Data: []byte("x")})}, "base/../../x"},
		"link that is no tablespace":   {&pgfake.Cluster{Edit: add(pgfake.File{Path: "base/l", Link: "/tmp"})}, "base/l"},
		"truncated header":             {&pgfake.Cluster{Edit: edit(func(b []byte) []byte { return b[:len(b)-200] })}, "archive base.tar"},
		"truncated member":             {&pgfake.Cluster{Edit: edit(func(b []byte) []byte { return b[:1100] })}, "archive base.tar"},
		"flipped bit in a header":      {&pgfake.Cluster{Edit: edit(func(b []byte) []byte { b[3] ^= 1; return b })}, "archive base.tar"},
		"flipped bit in a file": {
			&pgfake.Cluster{Edit: edit(func(b []byte) []byte { b[bytes.Index(b, []byte("base/1/1259_fsm   "))] ^= 1; return b })},
			`checksum mismatch for file "base/1/1259_fsm"`,
		},
		"manifest without a file that came": {
			&pgfake.Cluster{Edit: func(_ pgfake.BackupRequest, b *pgfake.BaseBackup) {
				b.Manifest = pgfake.Manifest{Version: 2, SystemID: 42, Files: []pgfake.File{{Path: "PG_VERSION", Data: []byte("18\n")}}}.Bytes()
			}},
			"backup_label",
		},
		"manifest of another cluster": {
			&pgfake.Cluster{Edit: func(_ pgfake.BackupRequest, b *pgfake.BaseBackup) {
				b.Manifest = bytes.Replace(b.Manifest, []byte(`"System-Identifier": 42`), []byte(`"System-Identifier": 43`), 1)
			}},
			"manifest",
		},
		"manifest cut off": {
			&pgfake.Cluster{Edit: func(_ pgfake.BackupRequest, b *pgfake.BaseBackup) { b.Manifest = b.Manifest[:len(b.Manifest)/2] }},
			"manifest",
		},
		"manifest with a changed size": {
			&pgfake.Cluster{Edit: func(_ pgfake.BackupRequest, b *pgfake.BaseBackup) {
				b.Manifest = bytes.Replace(b.Manifest, []byte(`"Size": 8192`), []byte(`"Size": 8191`), 1)
			}},
			"manifest checksum mismatch",
		},
		"archive name with a slash": {
			&pgfake.Cluster{Tamper: pgfake.Replace(copyAt(pgfake.PartArchive, 0), pgfake.CopyData([]byte("n../base.tar\x00\x00")))},
			`invalid archive name: "../base.tar"`,
		},
		"archive name that is empty": {
			&pgfake.Cluster{Tamper: pgfake.Replace(copyAt(pgfake.PartArchive, 0), pgfake.CopyData([]byte("n\x00\x00")))},
			`invalid archive name: ""`,
		},
		"archive of an unlisted tablespace": {
			&pgfake.Cluster{Tamper: pgfake.Replace(copyAt(pgfake.PartArchive, 0), pgfake.CopyData([]byte("n99.tar\x00/somewhere\x00")))},
			"99.tar",
		},
		"the same archive twice": {
			&pgfake.Cluster{Tamper: pgfake.Before(copyAt(pgfake.PartManifest, 0), pgfake.CopyData([]byte("nbase.tar\x00\x00")))},
			"twice",
		},
		"data before an archive": {
			&pgfake.Cluster{Tamper: pgfake.Before(copyAt(pgfake.PartArchive, 0), pgfake.CopyData([]byte("dxxxx")))},
			"unexpected payload data",
		},
		"COPY ended early": {
			&pgfake.Cluster{Tamper: pgfake.Replace(copyAt(pgfake.PartData, 0), pgfake.CopyDone())},
			"base.tar",
		},
		"unknown COPY message": {
			&pgfake.Cluster{Tamper: pgfake.Before(copyAt(pgfake.PartData, 0), pgfake.CopyData([]byte("?what")))},
			"malformed COPY message of type 63, length 5",
		},
		"empty COPY message": {
			&pgfake.Cluster{Tamper: pgfake.Before(copyAt(pgfake.PartData, 0), pgfake.CopyData(nil))},
			"empty COPY message",
		},
		"error in the middle": {
			&pgfake.Cluster{Tamper: pgfake.Replace(copyAt(pgfake.PartData, 0), pgfake.Error("ERROR", "58P01", `could not open file "base/1/1259": No such file or directory`), pgfake.ReadyForQuery())},
			`could not open file "base/1/1259"`,
		},
		"no stop point": {
			&pgfake.Cluster{Tamper: pgfake.Replace(copyAt(pgfake.PartStop, pgfake.Any))},
			"end position",
		},
	}
	forms := []form{plainForm, tarForm(codec.None), tarForm(codec.Zstd), oneForm}
	for name, c := range cases {
		for _, f := range forms {
			t.Run(name+"/"+f.name, func(t *testing.T) {
				cluster := &pgfake.Cluster{
					Version: "18.4", SystemID: 42, Data: pgfake.SmallData("18.4", ""), Edit: c.cluster.Edit, Tamper: c.cluster.Tamper,
				}
				s := pgfake.Serve(t, cluster)
				dir := t.TempDir()
				path := filepath.Join(dir, "backup")
				var out bytes.Buffer
				_, err := basebackup.Run(context.Background(), basebackup.Options{Connect: connector(t, s)}, f.make(path, &out))
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("error: %v\nwant one with %q", err, c.want)
				}
				t.Log(err)
				assertNothingLeft(t, dir)
				if f.name == oneForm.name && isWholeTar(out.Bytes()) {
					t.Error("the tar is whole although the backup failed")
				}
			})
		}
	}
}

type ignore struct{}

func (ignore) Member(*tarstream.Header) error { return nil }
func (ignore) Content([]byte) error           { return nil }
func (ignore) EndMember() error               { return nil }

func isWholeTar(b []byte) bool {
	p := tarstream.NewParser(ignore{})
	_, err := p.Write(b)
	return err == nil && p.Close() == nil
}

func TestAnInterruptedConnectionLeavesNothingWhereverItHappens(t *testing.T) {
	cluster := func() *pgfake.Cluster {
		return &pgfake.Cluster{Version: "18.4", SystemID: 42, Data: pgfake.SmallData("18.4", "")}
	}
	// Connection 0 has the backup, connection 1 the WAL.
	sent := func(f form) int64 {
		s := pgfake.Serve(t, cluster())
		var out bytes.Buffer
		if _, err := basebackup.Run(context.Background(), basebackup.Options{Connect: connector(t, s)}, f.make(filepath.Join(t.TempDir(), "b"), &out)); err != nil {
			t.Fatal(err)
		}
		return s.Sent()
	}
	const places = 24
	for _, f := range []form{plainForm, tarForm(codec.None)} {
		whole := sent(f)
		for conn := range 2 {
			for _, kind := range []pgfake.CloseKind{pgfake.FIN, pgfake.RST} {
				t.Run(fmt.Sprintf("%s/connection %d/%v", f.name, conn, kind), func(t *testing.T) {
					failed := 0
					for i := range places {
						c := cluster()
						at := whole * int64(i) / places
						c.Faults = func(n int) []pgfake.Fault {
							if n != conn {
								return nil
							}
							return []pgfake.Fault{{After: at, Kind: kind}}
						}
						s := pgfake.Serve(t, c)
						dir := t.TempDir()
						path := filepath.Join(dir, "b")
						_, err := basebackup.Run(context.Background(), basebackup.Options{Connect: connector(t, s)}, f.make(path, nil))
						if err == nil {
							// The connection had said all it had to say.
							if _, err := os.Stat(filepath.Join(path, "backup_manifest")); err != nil {
								t.Errorf("cut at byte %d: no error, and %v", at, err)
							}
							continue
						}
						failed++
						assertNothingLeft(t, dir)
					}
					if failed < places/8 {
						t.Errorf("only %d of %d cuts were noticed", failed, places)
					}
				})
			}
		}
	}
}

func TestTheBackupEndsAtOnceWhenTheWALStreamDies(t *testing.T) {
	// The archive stalls for good; only the death of the stream can end it.
	gate := pgfake.NewGate()
	c := &pgfake.Cluster{Version: "18.4", SystemID: 42, Data: pgfake.SmallData("18.4", "")}
	c.Tamper = pgfake.Tampers(
		pgfake.Before(pgfake.At{Command: "BASE_BACKUP", Part: pgfake.PartData, N: 0}, pgfake.Stall(gate)),
		pgfake.Before(pgfake.At{Command: "START_REPLICATION", Part: pgfake.PartWAL, N: 1}, pgfake.Error("FATAL", "57P01", "terminating connection due to administrator command"), pgfake.Close(pgfake.FIN)),
	)
	s := pgfake.Serve(t, c)
	dir := t.TempDir()
	_, err := basebackup.Run(context.Background(), basebackup.Options{Connect: connector(t, s)}, plainForm.make(filepath.Join(dir, "b"), nil))
	if err == nil || !strings.HasPrefix(err.Error(), "background process terminated unexpectedly: ") || !replproto.HasCode(err, "57P01") {
		t.Errorf("error: %v", err)
	}
	assertNothingLeft(t, dir)
}

func TestPageChecksumFailuresKeepTheDataButGiveNoManifest(t *testing.T) {
	for _, version := range []string{"11.22", "14.23", "18.4"} {
		c := &pgfake.Cluster{Version: version, SystemID: 42, Data: pgfake.SmallData(version, "")}
		const warning = `checksum verification failed in file "./base/1/1259", block 1: calculated 1 but expected 2`
		c.Edit = func(_ pgfake.BackupRequest, b *pgfake.BaseBackup) { b.Warnings = []string{warning} }
		s := pgfake.Serve(t, c)
		path := filepath.Join(t.TempDir(), "b")
		var notices []string
		o := basebackup.Options{Connect: connector(t, s)}
		o.Observer.Notice = func(n *replproto.Notice) { notices = append(notices, n.String()) }
		result, err := basebackup.Run(context.Background(), o, plainForm.make(path, nil))
		if !replproto.HasCode(err, replproto.CodeDataCorrupted) || result == nil || result.Stop == 0 {
			t.Errorf("%s: result %+v, error %v", version, result, err)
		}
		if len(notices) == 0 || !strings.Contains(strings.Join(notices, "\n"), "WARNING:  "+warning) {
			t.Errorf("%s: notices %q", version, notices)
		}
		files := readTree(t, path)
		if files["base/1/1259"] == "" || files["global/pg_control"] == "" {
			t.Errorf("%s: the data was not kept: %s", version, names(files))
		}
		if _, ok := files["backup_manifest"]; ok {
			t.Errorf("%s: the backup has a manifest", version)
		}
	}
}

// refused runs a backup that must be refused before the server is asked for
// one.
func refused(t *testing.T, c *pgfake.Cluster, o basebackup.Options, d basebackup.Destination, want string) error {
	t.Helper()
	s := pgfake.Serve(t, c)
	o.Connect = connector(t, s)
	_, err := basebackup.Run(context.Background(), o, d)
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error: %v\nwant one with %q", err, want)
	}
	for _, q := range s.Queries() {
		if strings.HasPrefix(q.Text, "BASE_BACKUP") {
			t.Errorf("the server was asked for a backup: %s", q.Text)
		}
	}
	return err
}

func TestRefusalsCostNobodyACheckpoint(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "b")
	plain := func(o basebackup.PlainOptions) basebackup.Destination {
		if o.Path == "" {
			o.Path = path
		}
		return basebackup.Plain(o)
	}
	full := filepath.Join(dir, "full")
	if err := os.MkdirAll(full, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(full, "precious"), []byte("data"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(full, "precious")
	v18 := func() *pgfake.Cluster { return &pgfake.Cluster{Version: "18.4", SystemID: 42} }
	version := func(v string) *pgfake.Cluster { return &pgfake.Cluster{Version: v, SystemID: 42} }

	for name, c := range map[string]struct {
		cluster *pgfake.Cluster
		o       basebackup.Options
		d       basebackup.Destination
		want    string
	}{
		"directory that holds something":     {v18(), basebackup.Options{}, plain(basebackup.PlainOptions{Path: full}), fmt.Sprintf("directory %q exists but is not empty", full)},
		"tar directory that holds something": {v18(), basebackup.Options{}, basebackup.TarDirectory(basebackup.TarOptions{Path: full}), fmt.Sprintf("directory %q exists but is not empty", full)},
		"file for a directory":               {v18(), basebackup.Options{}, plain(basebackup.PlainOptions{Path: file}), fmt.Sprintf("could not access directory %q", file)},
		"path where none can be made":        {v18(), basebackup.Options{}, plain(basebackup.PlainOptions{Path: "/proc/backup/b"}), `could not create directory "/proc/backup/b"`},
		"path below a file":                  {v18(), basebackup.Options{}, plain(basebackup.PlainOptions{Path: filepath.Join(file, "x")}), "could not create directory"},
		"WAL directory that holds something": {v18(), basebackup.Options{}, plain(basebackup.PlainOptions{WALDir: full}), fmt.Sprintf("directory %q exists but is not empty", full)},
		"mapping to what holds something": {
			v18(), basebackup.Options{}, plain(basebackup.PlainOptions{Tablespaces: []basebackup.TablespaceMapping{{Old: "/x", New: full}}}),
			fmt.Sprintf("directory %q exists but is not empty", full),
		},
		"unknown slot":            {v18(), basebackup.Options{Slot: "nix"}, plain(basebackup.PlainOptions{}), `replication slot "nix" does not exist`},
		"slot that exists":        {&pgfake.Cluster{Version: "18.4", Slots: []pgfake.Slot{{Name: "there"}}}, basebackup.Options{Slot: "there", CreateSlot: true}, plain(basebackup.PlainOptions{}), `replication slot "there" already exists`},
		"unknown checksums":       {v18(), basebackup.Options{ManifestChecksums: "MD5"}, plain(basebackup.PlainOptions{}), `"MD5"`},
		"stream from 9.2":         {version("9.2.24"), basebackup.Options{}, plain(basebackup.PlainOptions{}), "WAL streaming needs server version 9.3 or later, this server is 9.2.24"},
		"one tar stream from 9.6": {version("9.6.24"), basebackup.Options{}, basebackup.TarStream(io.Discard, codec.Spec{}), "needs server version 10 or later"},
		"target on 14":            {version("14.1"), basebackup.Options{Target: "server", TargetDetail: "/x", WAL: basebackup.WALFetch}, nil, "a backup target needs server version 15 or later"},
		"compression on 14":       {version("14.1"), basebackup.Options{ServerCompression: "gzip"}, plain(basebackup.PlainOptions{}), "server-side compression needs server version 15 or later"},
		"rate on 9.3":             {version("9.3.1"), basebackup.Options{MaxRate: 100}, plain(basebackup.PlainOptions{}), "a maximum transfer rate needs server version 9.4 or later"},
		"manifest options on 12":  {version("12.1"), basebackup.Options{ManifestChecksums: "SHA256"}, plain(basebackup.PlainOptions{}), "a backup manifest needs server version 13 or later"},
		"compressed twice":        {v18(), basebackup.Options{ServerCompression: "gzip"}, basebackup.TarDirectory(basebackup.TarOptions{Path: path, Compression: codec.Spec{Algorithm: codec.Gzip}}), "both by the server and here"},
		"manifest into a compressed tar": {
			v18(), basebackup.Options{ServerCompression: "gzip", WAL: basebackup.WALFetch}, basebackup.TarStream(io.Discard, codec.Spec{}),
			"cannot inject manifest into a compressed tar file",
		},
		"no walsender for the WAL": {
			&pgfake.Cluster{Version: "18.4", Refuse: func(n int) *pgfake.Message {
				if n == 0 {
					return nil
				}
				m := pgfake.Error("FATAL", "53300", "number of requested standby connections exceeds \"max_wal_senders\" (currently 1)")
				return &m
			}}, basebackup.Options{}, plain(basebackup.PlainOptions{}), "exceeds \"max_wal_senders\"",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Log(refused(t, c.cluster, c.o, c.d, c.want))
			assertNothingLeft(t, path)
			if got, err := os.ReadFile(file); string(got) != "data" || err != nil {
				t.Errorf("what was there before is %q, %v", got, err)
			}
		})
	}
}

func TestASlotMadeForAFailedBackupIsDroppedAgain(t *testing.T) {
	// Before 10 the server cannot be asked to wait for the stream's process to go.
	for _, version := range []string{"9.6.24", "18.4"} {
		c := &pgfake.Cluster{Version: version, SystemID: 42, Edit: edit(func(b []byte) []byte { return b[:1100] })}
		s := pgfake.Serve(t, c)
		var said []string
		o := basebackup.Options{Connect: connector(t, s), Slot: "kept", CreateSlot: true}
		o.Observer.Cleanup = func(m string) { said = append(said, m) }
		_, err := basebackup.Run(context.Background(), o, plainForm.make(filepath.Join(t.TempDir(), "b"), nil))
		if err == nil {
			t.Errorf("%s: no error", version)
		}
		if _, there := c.Slot("kept"); there {
			t.Errorf("%s: the slot is still there: %q", version, said)
		}
	}
}

func TestNoCleanKeepsWhatArrivedWithoutTheNameOfABackup(t *testing.T) {
	c := &pgfake.Cluster{Version: "18.4", SystemID: 42, Edit: edit(func(b []byte) []byte {
		b[bytes.Index(b, []byte("base/1/1259_fsm   "))] ^= 1
		return b
	})}
	s := pgfake.Serve(t, c)
	path := filepath.Join(t.TempDir(), "b")
	var said []string
	o := basebackup.Options{Connect: connector(t, s)}
	o.Observer.Cleanup = func(m string) { said = append(said, m) }
	_, err := basebackup.Run(context.Background(), o, basebackup.Plain(basebackup.PlainOptions{Path: path, NoClean: true, Sync: durable.NoSync}))
	if err == nil {
		t.Fatal("no error")
	}
	files := readTree(t, path)
	if files["base/1/1259"] == "" {
		t.Errorf("nothing was kept: %s", names(files))
	}
	for _, name := range []string{"backup_manifest", "global/pg_control"} {
		if _, there := files[name]; there {
			t.Errorf("%s is there, which makes it look like a backup", name)
		}
	}
	if want := fmt.Sprintf("data directory %q not removed at user's request", path); strings.Join(said, "|") != want {
		t.Errorf("said %q, want %q", said, want)
	}
}

func TestACanceledBackupLeavesNothing(t *testing.T) {
	gate := pgfake.NewGate()
	c := &pgfake.Cluster{Version: "18.4", SystemID: 42}
	c.Tamper = pgfake.Before(pgfake.At{Command: "BASE_BACKUP", Part: pgfake.PartData, N: 0}, pgfake.Stall(gate))
	s := pgfake.Serve(t, c)
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-gate.Reached()
		cancel()
	}()
	_, err := basebackup.Run(ctx, basebackup.Options{Connect: connector(t, s)}, plainForm.make(filepath.Join(dir, "made", "b"), nil))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error: %v", err)
	}
	assertNothingLeft(t, dir)
}
