package basebackup

import (
	"context"
	"io"

	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/replproto"
)

// upload tells the server which files are there, and since when.
func (k *keeper) upload(ctx context.Context, c *replproto.Conn, since lsn.LSN) error {
	r, w := io.Pipe()
	go func() { w.CloseWithError(k.stock.upload(w, since)) }()
	err := c.UploadManifest(ctx, r)
	r.CloseWithError(io.ErrClosedPipe)
	return k.refused(err)
}

// baseBackup runs BASE_BACKUP, of what is not there if something is.
//
// A standby's backup starts at its last restart point, which may still be the one that
// the reference has. For a range of WAL without anything in it there are no summaries,
// and that is refused; so that it ends with something, it begins one byte
// before. Then the changes since the restart point before come, too, at the most.
func (k *keeper) baseBackup(ctx context.Context, c *replproto.Conn, o replproto.BaseBackupOptions) (*replproto.BaseBackup, error) {
	if !k.resumed() {
		return c.BaseBackup(ctx, o)
	}
	o.Incremental = true
	bb, err := c.BaseBackup(ctx, o)
	if replproto.HasCode(err, codeNotInState) && c.Parameter("in_hot_standby") == "on" {
		if err := k.upload(ctx, c, k.stock.reference().start-1); err != nil {
			return nil, err
		}
		bb, err = c.BaseBackup(ctx, o)
	}
	return bb, k.refused(err)
}

// announce tells the server what is there, if anything is.
func (k *keeper) announce(ctx context.Context, c *replproto.Conn) error {
	if !k.resumed() {
		return nil
	}
	return k.upload(ctx, c, k.stock.reference().start)
}

// codeNotInState is how servers refuse to take a backup that builds on another one
// (ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE in basebackup_incremental.c).
const codeNotInState = "55000"

// refused makes the server's refusal of what there is one of going on.
func (k *keeper) refused(err error) error {
	if k.resumed() && replproto.HasCode(err, codeNotInState) {
		return &ResumeError{Path: k.directory.o.Path, Err: err}
	}
	return err
}
