package basebackup_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/pgbasin/pgbasin/basebackup"
	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/conninfo"
	"github.com/pgbasin/pgbasin/internal/backuptest"
	"github.com/pgbasin/pgbasin/internal/durable"
	"github.com/pgbasin/pgbasin/internal/pgtest"
	"github.com/pgbasin/pgbasin/replproto"
)

// serverConnector connects to a real server.
func serverConnector(t testing.TB, dsn string) func(context.Context) (*replproto.Conn, error) {
	t.Helper()
	given, err := conninfo.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	settings, err := conninfo.Resolve(given, nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg := &replproto.Config{Settings: settings, ApplicationName: "basebackup_test"}
	return func(ctx context.Context) (*replproto.Conn, error) { return replproto.Connect(ctx, cfg) }
}

func TestABackupOfARealServerUnderLoadStarts(t *testing.T) {
	for _, major := range []int{10, 15, 18} {
		s := pgtest.Start(t, major)
		pgtest.Fill(t, s, 20<<20)
		sums := pgtest.Sums(t, s)
		load := pgtest.Load(t, s, 2)
		path := filepath.Join(t.TempDir(), "data")
		result, err := basebackup.Run(context.Background(), basebackup.Options{Connect: serverConnector(t, s.DSN()), FastCheckpoint: true},
			basebackup.Plain(basebackup.PlainOptions{Path: path, Sync: durable.Fsync}))
		load.Stop()
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%+v", result)
		restored := pgtest.StartDir(t, major, path)
		pgtest.CheckBalances(t, restored)
		pgtest.SameSums(t, pgtest.Sums(t, restored), sums)
	}
}

// By the bytes as they came, with members that -R changes, and in one tar.
func TestFramesOfZstdEndWhereMembersBegin(t *testing.T) {
	s := pgtest.Start(t, 15)
	zstd := codec.Spec{Algorithm: codec.Zstd}
	take := func(d basebackup.Destination, primary func(replproto.Version) string) {
		t.Helper()
		o := basebackup.Options{Connect: serverConnector(t, s.DSN()), FastCheckpoint: true, WAL: basebackup.WALNone, PrimaryConnInfo: primary}
		if _, err := basebackup.Run(context.Background(), o, d); err != nil {
			t.Fatal(err)
		}
	}
	check := func(what string, z []byte) {
		t.Helper()
		if err := backuptest.CheckFrames(z); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, primary := range map[string]func(replproto.Version) string{
		"as it came": nil, "with -R": func(replproto.Version) string { return "host=primary" },
	} {
		dir := filepath.Join(t.TempDir(), "tar")
		take(basebackup.TarDirectory(basebackup.TarOptions{Path: dir, Compression: zstd, Sync: durable.NoSync}), primary)
		z, err := os.ReadFile(filepath.Join(dir, "base.tar.zst"))
		if err != nil {
			t.Fatal(err)
		}
		check(what, z)
	}
	var out bytes.Buffer
	take(basebackup.TarStream(&out, zstd), nil)
	check("one tar", out.Bytes())
}
