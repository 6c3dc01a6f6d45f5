package replproto

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// uploadPiece is how much of a manifest goes into one CopyData, in bytes.
const uploadPiece = 64 << 10

// UploadManifest runs UPLOAD_MANIFEST (17 and later): the next BASE_BACKUP with
// BaseBackupOptions.Incremental, on the same connection, sends what changed since the
// backup that the manifest is of. The manifest is read to its end; the server looks at
// it as a whole and says what is wrong with it as a *ServerError, after which the
// connection serves on.
//
// An error of r, which is returned wrapped, leaves the connection in use for nothing
// else. ctx ends what waits for the server, but not a Read of r.
func (c *Conn) UploadManifest(ctx context.Context, r io.Reader) error {
	if c.version < v17 {
		return &UnsupportedError{What: "an incremental backup", Since: "17", Server: c.ServerVersionString()}
	}
	if err := c.begin(ctx); err != nil {
		return err
	}
	readErr, err := c.uploadManifest(r)
	switch {
	case readErr != nil:
		return c.fail(fmt.Errorf("could not read the manifest: %w", readErr))
	case err != nil:
		return fmt.Errorf("could not upload manifest: %w", err)
	}
	return nil
}

// uploadManifest tells errors of r, after which nothing is done, from others.
func (c *Conn) uploadManifest(r io.Reader) (readErr, err error) {
	const name = "UPLOAD_MANIFEST"
	if err := c.query(name); err != nil {
		return nil, c.fail(err)
	}
	if err := c.expect('G', name); err != nil {
		return nil, err
	}
	piece := make([]byte, uploadPiece)
	for last := false; !last; {
		n, err := r.Read(piece)
		if last = err == io.EOF; err != nil && !last {
			return err, nil
		}
		if n == 0 {
			continue
		}
		// A server that refuses the manifest reads on to its end nevertheless.
		if err := c.sendCopyData(piece[:n]); err != nil {
			return nil, c.refusedUpload(err)
		}
	}
	if err := c.sendCopyDone(); err != nil {
		return nil, c.refusedUpload(err)
	}
	if _, err := c.resultSet(name); err != nil {
		return nil, err
	}
	return nil, c.ready(name)
}

// refusedUpload is for a connection that takes no more: what the server said before
// it went is the reason. Whatever that is, the connection is of no use any more,
// because a message may have gone out in part.
func (c *Conn) refusedUpload(err error) error {
	ctx := c.ctx
	_, receiveErr := c.receive()
	var server *ServerError
	switch {
	case errors.As(receiveErr, &server):
		err = receiveErr
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	}
	return c.fail(err)
}
