package backup

import (
	"path/filepath"
	"strings"

	"github.com/pgbasin/pgbasin/basebackup"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/usage"
	"github.com/pgbasin/pgbasin/codec"
)

// check refuses options that contradict each other, in pg_basebackup's order
// and words, and settles what follows from others. One refusal of pg_basebackup
// is missing: WAL can be streamed into a tar on standard output here.
func (o *options) check() error {
	if o.target.Text == "client" {
		o.target = usage.Optional{}
	}
	if o.target.Given && o.format != 0 {
		return usage.RefuseWithHelp("cannot specify both format and backup target")
	}
	if o.format == 0 {
		o.format = 'p'
	}
	if !o.directory.Given && !o.target.Given {
		return usage.RefuseWithHelp("must specify output directory or backup target")
	}
	if o.directory.Given && o.target.Given {
		return usage.RefuseWithHelp("cannot specify both output directory and backup target")
	}
	if err := o.checkCompression(); err != nil {
		return err
	}
	if o.target.Given && o.wal == basebackup.WALStream {
		return usage.RefuseWithHelp("WAL cannot be streamed when a backup target is specified")
	}
	if err := o.checkSlot(); err != nil {
		return err
	}
	if err := o.checkWALDir(); err != nil {
		return err
	}
	for _, pair := range []struct {
		a, b  bool
		names [2]string
	}{
		{o.progress, o.noEstimate, [2]string{"--progress", "--no-estimate-size"}},
		{o.noManifest, o.manifestChecksums.Given, [2]string{"--no-manifest", "--manifest-checksums"}},
		{o.noManifest, o.manifestEncode, [2]string{"--no-manifest", "--manifest-force-encode"}},
	} {
		if pair.a && pair.b {
			return usage.RefuseWithHelp("%s and %s are incompatible options", pair.names[0], pair.names[1])
		}
	}
	if o.target.Given && strings.HasPrefix(o.target.Text+":", ":") {
		// As the server would say, which cannot be asked for no target.
		return usage.Refuse("unrecognized target: \"\"")
	}
	if o.directory.Given && o.directory.Text == "" {
		// pg_basebackup finds out from the system, after it has connected.
		return usage.Refuse("could not create directory \"\": No such file or directory")
	}
	if o.recovery && o.target.Given {
		return usage.Refuse("recovery configuration cannot be written when a backup target is used")
	}
	return o.checkResume()
}

// checkCompression settles where the compression is done: here, unless the
// backup does not come here. What the server is to do it judges by itself.
func (o *options) checkCompression() (err error) {
	c := &o.compression
	if c.where == codec.Unspecified {
		c.where = codec.Client
		if o.target.Given {
			c.where = codec.Server
		}
	}
	if c.where == codec.Server {
		if c.hasDetail && c.detail == "" {
			return usage.Refuse("invalid compression specification: found empty string where a compression option was expected")
		}
		return nil
	}
	a, err := codec.ParseAlgorithm(c.method)
	if err != nil {
		return usage.Refuse("%s", err)
	}
	c.client = codec.Spec{Algorithm: a}
	if c.hasDetail {
		if c.client, err = codec.ParseDetail(a, c.detail); err != nil {
			return usage.Refuse("%s", err)
		}
	}
	if o.target.Given {
		return usage.RefuseWithHelp("client-side compression is not possible when a backup target is specified")
	}
	if o.format == 'p' && a != codec.None {
		return usage.RefuseWithHelp("only tar mode backups can be compressed")
	}
	return nil
}

func (o *options) checkSlot() error {
	switch {
	case o.slot.Given && o.wal != basebackup.WALStream:
		return usage.RefuseWithHelp("replication slots can only be used with WAL streaming")
	case o.slot.Given && o.noSlot:
		return usage.RefuseWithHelp("--no-slot cannot be used with slot name")
	case o.create && !o.slot.Given:
		return usage.RefuseWithHelp("%s needs a slot to be specified using --slot", "--create-slot")
	case o.slot.Given && o.slot.Text == "":
		// The server would be asked for a slot without a name.
		return usage.Refuse("replication slot name \"\" is too short")
	}
	return nil
}

func (o *options) checkWALDir() error {
	if !o.waldir.Given {
		return nil
	}
	if o.target.Given {
		return usage.RefuseWithHelp("WAL directory location cannot be specified along with a backup target")
	}
	if o.format != 'p' {
		return usage.RefuseWithHelp("WAL directory location can only be specified in plain mode")
	}
	if !usage.AbsolutePath(o.waldir.Text) {
		return usage.RefuseWithHelp("WAL directory location must be an absolute path")
	}
	o.waldir.Text = filepath.Clean(o.waldir.Text)
	return nil
}

// toStdout tells whether standard output gets the backup.
func (o *options) toStdout() bool {
	return o.format == 't' && o.directory.Text == "-" && o.directory.Given
}
