package backupset_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/pgbasin/pgbasin/backupset"
	"github.com/pgbasin/pgbasin/basebackup"
	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/conninfo"
	"github.com/pgbasin/pgbasin/internal/durable"
	"github.com/pgbasin/pgbasin/internal/pgfake"
	"github.com/pgbasin/pgbasin/replproto"
)

// recorded takes a backup of the recording of a real server 9.5.3 that has a
// tablespace.
func recorded(t *testing.T, to basebackup.Destination, o basebackup.Options, names ...string) {
	t.Helper()
	s := pgfake.Replay(t, names...)
	given, err := conninfo.Parse(s.ConnString())
	if err != nil {
		t.Fatal(err)
	}
	settings, err := conninfo.Resolve(given, nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg := &replproto.Config{Settings: settings}
	o.Connect = func(ctx context.Context) (*replproto.Conn, error) { return replproto.Connect(ctx, cfg) }
	o.FastCheckpoint = true
	if _, err := basebackup.Run(t.Context(), o, to); err != nil {
		t.Fatal(err)
	}
}

func TestBackupsOf95AreRead(t *testing.T) {
	dir := t.TempDir()
	const location = "/tmp/rec/ts"
	tars, plain, space := filepath.Join(dir, "tars"), filepath.Join(dir, "plain"), filepath.Join(dir, "space")
	recorded(t, basebackup.TarDirectory(basebackup.TarOptions{Path: tars, Compression: codec.Spec{Algorithm: codec.LZ4}, Sync: durable.NoSync}),
		basebackup.Options{WAL: basebackup.WALFetch}, "tar_fetch.1")
	recorded(t, basebackup.Plain(basebackup.PlainOptions{Path: plain, Sync: durable.NoSync, Tablespaces: []basebackup.TablespaceMapping{{Old: location, New: space}}}),
		basebackup.Options{}, "plain_stream.1", "plain_stream.2")
	for path, at := range map[string]string{tars: location, plain: space} {
		set := open(t, path)
		h := peek(t, set)
		if h.Version != 90500 || h.Label == nil || h.Manifest != nil || len(h.Tablespaces) != 1 || h.Tablespaces[0].OID != 16387 ||
			h.Tablespaces[0].Location != at || h.Tablespaces[0].Where != backupset.InArchive {
			t.Errorf("%s: %+v", path, h)
		}
		got := readAll(t, set)
		if got["PG_VERSION"] == "" || got["pg_clog"] != "dir" || got["global/pg_control"] == "" {
			t.Errorf("%s: %d members", path, len(got))
		}
		d := describe(t, set)
		if len(d.Problems) != 0 || d.Control == nil || d.SystemID != 7710876247589456981 || d.WAL.Segments != 1 || d.WAL.SegmentSize != 16<<20 {
			t.Errorf("%s: %+v", path, d)
		}
	}
}
