package replproto_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/pgbasin/pgbasin/internal/pgfake"
	"github.com/pgbasin/pgbasin/replproto"
)

// beyondBuffers is more than a connection takes without a reader at its other end.
const beyondBuffers = 64 << 20

// zeroes is so many bytes, which no server looks at.
type zeroes struct{ left int }

func (z *zeroes) Read(p []byte) (int, error) {
	n := min(len(p), z.left)
	if z.left -= n; n == 0 {
		return 0, io.EOF
	}
	clear(p[:n])
	return n, nil
}

// uploading is a script of a connection on which a manifest is about to be sent.
func uploading(steps ...pgfake.Step) pgfake.Step {
	return pgfake.UntilGone(append([]pgfake.Step{pgfake.Startup("18.4"), pgfake.Expect("UPLOAD_MANIFEST")}, steps...)...)
}

// broken checks that a connection says why it is of no use any more.
func broken(t *testing.T, c *replproto.Conn, cause string) {
	t.Helper()
	if _, err := c.IdentifySystem(context.Background()); err == nil || !strings.Contains(err.Error(), cause) {
		t.Errorf("the next command: %v", err)
	}
}

func TestAManifestArrivesAsItIs(t *testing.T) {
	cluster := &pgfake.Cluster{Version: "18.4"}
	c := dial(t, pgfake.Serve(t, cluster))
	m := pgfake.Manifest{Version: 2, SystemID: 7210987654321098765, Ranges: []pgfake.WALRange{{Timeline: 1, Start: 1, End: 2}}}
	for range 5000 {
		m.Files = append(m.Files, pgfake.File{Path: "base/5/1259"})
	}
	want := m.Bytes()
	for _, r := range []io.Reader{bytes.NewReader(want), iotest.DataErrReader(iotest.HalfReader(bytes.NewReader(want)))} {
		if err := c.UploadManifest(context.Background(), r); err != nil {
			t.Fatal(err)
		}
	}
	for _, got := range cluster.Manifests() {
		if !bytes.Equal(got, want) {
			t.Errorf("the server got %d bytes, not the %d of the manifest", len(got), len(want))
		}
	}
	if n := len(cluster.Manifests()); n != 2 {
		t.Errorf("the server got %d manifests", n)
	}
}

func TestServersBefore17AreNotSentAManifest(t *testing.T) {
	s := pgfake.Serve(t, &pgfake.Cluster{Version: "16.14"})
	var unsupported *replproto.UnsupportedError
	if err := dial(t, s).UploadManifest(context.Background(), strings.NewReader("x")); !errors.As(err, &unsupported) || unsupported.Since != "17" {
		t.Error(err)
	}
	for _, q := range s.Queries() {
		t.Errorf("the server was asked %q", q.Text)
	}
}

// Real servers, too, say what they do not like while the rest is still to come,
// and read that.
func TestAnErrorInTheMiddleOfAManifestLeavesTheConnectionUsable(t *testing.T) {
	refuse := true
	cluster := &pgfake.Cluster{Version: "18.4", RefuseManifest: func(got []byte, whole bool) *pgfake.Message {
		if !refuse || len(got) < 100_000 {
			return nil
		}
		m := pgfake.Error("ERROR", "22023", "could not parse backup manifest: no", pgfake.Detail("because"))
		return &m
	}}
	c := dial(t, pgfake.Serve(t, cluster))
	err := c.UploadManifest(context.Background(), &zeroes{beyondBuffers})
	if !replproto.HasCode(err, "22023") || err.Error() != "could not upload manifest: ERROR:  could not parse backup manifest: no\nDETAIL:  because" {
		t.Error(err)
	}
	refuse = false
	if err := c.UploadManifest(context.Background(), &zeroes{200_000}); err != nil || len(cluster.Manifests()) != 1 {
		t.Errorf("another manifest after that: %v", err)
	}
}

func TestTheServersLastWordsAreTheReason(t *testing.T) {
	taken := pgfake.ExpectCopyData(func([]byte) error { return nil })
	fatal := pgfake.Error("FATAL", "57P01", "terminating connection due to administrator command")
	for name, c := range map[string]struct {
		steps []pgfake.Step
		want  string
	}{
		"FATAL in place of the COPY":    {[]pgfake.Step{fatal, pgfake.Close(pgfake.FIN)}, "FATAL:  terminating connection"},
		"FATAL during the upload":       {[]pgfake.Step{pgfake.CopyIn(), taken, fatal, pgfake.Close(pgfake.FIN)}, "FATAL:  terminating connection"},
		"an end during the upload":      {[]pgfake.Step{pgfake.CopyIn(), taken, pgfake.Close(pgfake.FIN)}, "server closed the connection unexpectedly"},
		"a reset during the upload":     {[]pgfake.Step{pgfake.CopyIn(), taken, pgfake.Close(pgfake.RST)}, "server closed the connection unexpectedly"},
		"an end in place of the COPY":   {[]pgfake.Step{pgfake.Close(pgfake.FIN)}, "server closed the connection unexpectedly"},
		"another COPY":                  {[]pgfake.Step{pgfake.CopyOut()}, "unexpected message of type 'H' in the answer to UPLOAD_MANIFEST"},
		"no COPY":                       {[]pgfake.Step{pgfake.CommandComplete("UPLOAD_MANIFEST"), pgfake.ReadyForQuery()}, "unexpected message of type 'C' in the answer to UPLOAD_MANIFEST"},
		"a COPY that begins once more":  {[]pgfake.Step{pgfake.CopyIn(), taken, pgfake.ExpectCopyDone(), pgfake.CopyIn()}, "unexpected message of type 'G' in the answer to UPLOAD_MANIFEST"},
		"a message of an unknown type":  {[]pgfake.Step{pgfake.RawBytes([]byte{'?', 0, 0, 0, 4})}, "unexpected message of type '?'"},
		"a length that cannot be right": {[]pgfake.Step{pgfake.RawBytes([]byte{'G', 0xff, 0xff, 0xff, 0xff})}, "claims a length"},
	} {
		t.Run(name, func(t *testing.T) {
			conn := dial(t, pgfake.Start(t, uploading(c.steps...)))
			size := beyondBuffers
			if strings.HasPrefix(name, "a COPY") {
				size = 1000
			}
			err := conn.UploadManifest(context.Background(), &zeroes{size})
			if err == nil || !strings.HasPrefix(err.Error(), "could not upload manifest: ") || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("%v, want %q", err, c.want)
			}
			broken(t, conn, c.want)
		})
	}
}

func TestAManifestThatCannotBeReadIsNamedAsTheReason(t *testing.T) {
	for _, reason := range []error{errors.New("the disk is gone"), io.ErrUnexpectedEOF} {
		s := pgfake.Serve(t, &pgfake.Cluster{Version: "18.4"})
		c := dial(t, s)
		err := c.UploadManifest(context.Background(), io.MultiReader(&zeroes{100_000}, iotest.ErrReader(reason)))
		if !errors.Is(err, reason) || err.Error() != "could not read the manifest: "+reason.Error() {
			t.Fatal(err)
		}
		broken(t, c, reason.Error())
	}
}

// A server that reads no more must not hold a backup up for good.
func TestAContextEndsAnUploadThatTheServerDoesNotRead(t *testing.T) {
	for name, steps := range map[string][]pgfake.Step{
		"asked":     {},
		"uploading": {pgfake.CopyIn()},
	} {
		t.Run(name, func(t *testing.T) {
			g := pgfake.NewGate()
			c := dial(t, pgfake.Start(t, uploading(append(steps, pgfake.Stall(g))...)))
			ctx, cancel := context.WithCancelCause(context.Background())
			reason := errors.New("enough of this")
			go func() {
				<-g.Reached()
				cancel(reason)
			}()
			err := c.UploadManifest(ctx, &zeroes{beyondBuffers})
			if !errors.Is(err, reason) {
				t.Error(err)
			}
			broken(t, c, reason.Error())
		})
	}
}
