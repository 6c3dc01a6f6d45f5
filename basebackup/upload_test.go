package basebackup

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/pgbasin/pgbasin/conninfo"
	"github.com/pgbasin/pgbasin/internal/pgfake"
	"github.com/pgbasin/pgbasin/replproto"
)

// What a manifest is made of is closed or changed after the upload. The race detector sees
// a writer that is not waited for, too.
func TestAnUploadThatIsGivenUpHasEndedItsWriter(t *testing.T) {
	c := &pgfake.Cluster{Version: "18.4", SystemID: 42, Tamper: pgfake.Replace(
		pgfake.At{Command: "UPLOAD_MANIFEST", Part: pgfake.PartCopyBegin}, pgfake.CopyIn(), pgfake.Close(pgfake.RST))}
	given, err := conninfo.Parse(pgfake.Serve(t, c).ConnString())
	if err != nil {
		t.Fatal(err)
	}
	settings, err := conninfo.Resolve(given, nil)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := replproto.Connect(context.Background(), &replproto.Config{Settings: settings})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	ended := false
	err = uploadManifest(context.Background(), conn, func(w io.Writer) error {
		for {
			if _, err := w.Write(make([]byte, 1<<16)); err != nil {
				ended = true
				return err
			}
		}
	})
	if !errors.Is(err, replproto.ErrConnectionLost) {
		t.Errorf("%v, want a lost connection", err)
	}
	if !ended {
		t.Error("the manifest is still being written")
	}
}
