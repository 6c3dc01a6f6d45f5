package replproto_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/internal/pgfake"
	"github.com/pgbasin/pgbasin/internal/pgtest"
	"github.com/pgbasin/pgbasin/replproto"
)

// One connection to a real server outlives all refusals, and the manifest that
// was taken last is what its next backup builds on.
func TestAServerSaysWhatIsWrongWithAManifest(t *testing.T) {
	ctx := context.Background()
	s := pgtest.Start(t, 18, pgtest.Setting("summarize_wal", "on"))
	c := succeed(t, config(t, s.DSN()))
	if block, segment, err := c.RelationFiles(ctx); block != 8192 || segment != 131072 || err != nil {
		t.Errorf("blocks of %d bytes, %d in a file, %v", block, segment, err)
	}
	incremental := replproto.BaseBackupOptions{Label: "x", FastCheckpoint: true, NoWait: true, Incremental: true}
	if _, err := c.BaseBackup(ctx, incremental); !replproto.HasCode(err, "55000") || !strings.Contains(err.Error(), "must UPLOAD_MANIFEST before") {
		t.Errorf("without a manifest: %v", err)
	}

	sys, err := c.IdentifySystem(ctx)
	if err != nil {
		t.Fatal(err)
	}
	m := pgfake.Manifest{Version: 2, SystemID: sys.ID, Ranges: []pgfake.WALRange{{Timeline: 1, Start: sys.Position, End: sys.Position}}}
	for range 3000 { // so that the server parses it in several parts
		m.Files = append(m.Files, pgfake.File{Path: "base/5/1259"})
	}
	good := m.Bytes()
	m.SystemID++
	other := m.Bytes()
	m.Version = 1
	for _, bad := range []struct {
		name, manifest, want string
	}{
		{"wrong checksum", strings.Replace(string(good), `"Size": 0`, `"Size": 1`, 1), "manifest checksum mismatch"},
		{"another system's", string(other), "system identifier in backup manifest is "},
		{"version 1", string(m.Bytes()), "backup manifest version 1 does not support incremental backup"},
		{"cut off", string(good[:len(good)/2]), "could not parse backup manifest: "},
		{"wrong from its beginning", "x" + strings.Repeat(" ", 10<<20), "could not parse backup manifest: "},
		{"empty", "", "could not parse backup manifest: "},
	} {
		err := c.UploadManifest(ctx, strings.NewReader(bad.manifest))
		var se *replproto.ServerError
		if !errors.As(err, &se) || se.Code == "" || !strings.HasPrefix(se.Message, bad.want) || !strings.HasPrefix(err.Error(), "could not upload manifest: ERROR:  "+bad.want) {
			t.Errorf("%s: %v", bad.name, err)
		}
		t.Log(bad.name, err)
	}

	if err := c.UploadManifest(ctx, bytes.NewReader(good)); err != nil {
		t.Fatal(err)
	}
	b, err := c.BaseBackup(ctx, incremental)
	if err != nil {
		t.Fatal(err)
	}
	var label bytes.Buffer
	for {
		a, err := b.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(&label, a, 1024); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := b.Finish(); err != nil || !strings.Contains(label.String(), "INCREMENTAL FROM LSN: "+sys.Position.String()+"\n") {
		t.Errorf("%v; the label is %q", err, label.String())
	}
}
