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
// it as a whole and says what is wrong with it as a *ServerError.
//
// An error of r leaves the connection in use for nothing else.
func (c *Conn) UploadManifest(ctx context.Context, r io.Reader) error {
	const name = "UPLOAD_MANIFEST"
	if c.version < v17 {
		return &UnsupportedError{What: "an incremental backup", Since: "17", Server: c.ServerVersionString()}
	}
	if err := c.begin(ctx); err != nil {
		return err
	}
	if err := c.query(name); err != nil {
		return c.fail(err)
	}
	typ, err := c.receive()
	if err != nil {
		return fmt.Errorf("could not upload manifest: %w", err)
	}
	if typ != 'G' {
		return c.unexpected(typ, name)
	}
	if err := c.wire.skip(); err != nil {
		return c.fail(err)
	}
	piece := make([]byte, uploadPiece)
	for {
		n, err := io.ReadFull(r, piece)
		if n > 0 {
			// A server that refuses the manifest goes on reading to its end.
			if err := c.sendCopyData(piece[:n]); err != nil {
				return c.refusedUpload(err)
			}
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			break
		}
		if err != nil {
			return c.fail(fmt.Errorf("could not read the manifest: %w", err))
		}
	}
	if err := c.sendCopyDone(); err != nil {
		return c.refusedUpload(err)
	}
	if _, err := c.resultSet(name); err != nil {
		return fmt.Errorf("could not upload manifest: %w", err)
	}
	if err := c.ready(name); err != nil {
		return fmt.Errorf("could not upload manifest: %w", err)
	}
	return nil
}

// refusedUpload is for a server that does not take any more: what it said before
// it went is the reason.
func (c *Conn) refusedUpload(err error) error {
	for {
		typ, receiveErr := c.receive()
		var server *ServerError
		if errors.As(receiveErr, &server) {
			return fmt.Errorf("could not upload manifest: %w", receiveErr)
		}
		if receiveErr != nil || typ == 'Z' || c.wire.skip() != nil {
			return c.fail(err)
		}
	}
}
