package basebackup

import (
	"context"
	"io"

	"github.com/pgbasin/pgbasin/replproto"
)

// uploadManifest sends the server the manifest that write writes. What write works with is
// free again when it returns.
func uploadManifest(ctx context.Context, c *replproto.Conn, write func(io.Writer) error) error {
	r, w := io.Pipe()
	written := make(chan struct{})
	go func() {
		defer close(written)
		w.CloseWithError(write(w))
	}()
	err := c.UploadManifest(ctx, r)
	// Ends the writing, if the server did not want all of it.
	r.CloseWithError(io.ErrClosedPipe)
	<-written
	return err
}
