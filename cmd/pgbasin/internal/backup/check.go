package backup

import (
	"path/filepath"
	"strings"

	"github.com/pgbasin/pgbasin/basebackup"
	"github.com/pgbasin/pgbasin/codec"
)

// check refuses options that contradict each other, in pg_basebackup's order
// and words, and settles what follows from others. One refusal of pg_basebackup
// is missing: WAL can be streamed into a tar on standard output here.
func (o *options) check() error {
	if o.target.text == "client" {
		o.target = optional{}
	}
	if o.target.set && o.format != 0 {
		return refuseWithHelp("cannot specify both format and backup target")
	}
	if o.format == 0 {
		o.format = 'p'
	}
	if !o.directory.set && !o.target.set {
		return refuseWithHelp("must specify output directory or backup target")
	}
	if o.directory.set && o.target.set {
		return refuseWithHelp("cannot specify both output directory and backup target")
	}
	if err := o.checkCompression(); err != nil {
		return err
	}
	if o.target.set && o.wal == basebackup.WALStream {
		return refuseWithHelp("WAL cannot be streamed when a backup target is specified")
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
		{o.noManifest, o.manifestChecksums.set, [2]string{"--no-manifest", "--manifest-checksums"}},
		{o.noManifest, o.manifestEncode, [2]string{"--no-manifest", "--manifest-force-encode"}},
	} {
		if pair.a && pair.b {
			return refuseWithHelp("%s and %s are incompatible options", pair.names[0], pair.names[1])
		}
	}
	if o.target.set && strings.HasPrefix(o.target.text+":", ":") {
		// As the server would say, which cannot be asked for no target.
		return refuse("unrecognized target: \"\"")
	}
	if o.directory.set && o.directory.text == "" {
		// pg_basebackup finds out from the system, after it has connected.
		return refuse("could not create directory \"\": No such file or directory")
	}
	if o.recovery && o.target.set {
		return refuse("recovery configuration cannot be written when a backup target is used")
	}
	return nil
}

// checkCompression settles where the compression is done: here, unless the
// backup does not come here. What the server is to do it judges by itself.
func (o *options) checkCompression() (err error) {
	c := &o.compression
	if c.where == codec.Unspecified {
		c.where = codec.Client
		if o.target.set {
			c.where = codec.Server
		}
	}
	if c.where == codec.Server {
		if c.hasDetail && c.detail == "" {
			return refuse("invalid compression specification: found empty string where a compression option was expected")
		}
		return nil
	}
	a, err := codec.ParseAlgorithm(c.method)
	if err != nil {
		return refuse("%s", err)
	}
	c.client = codec.Spec{Algorithm: a}
	if c.hasDetail {
		if c.client, err = codec.ParseDetail(a, c.detail); err != nil {
			return refuse("%s", err)
		}
	}
	if o.target.set {
		return refuseWithHelp("client-side compression is not possible when a backup target is specified")
	}
	if o.format == 'p' && a != codec.None {
		return refuseWithHelp("only tar mode backups can be compressed")
	}
	return nil
}

func (o *options) checkSlot() error {
	switch {
	case o.slot.set && o.wal != basebackup.WALStream:
		return refuseWithHelp("replication slots can only be used with WAL streaming")
	case o.slot.set && o.noSlot:
		return refuseWithHelp("--no-slot cannot be used with slot name")
	case o.create && !o.slot.set:
		return refuseWithHelp("%s needs a slot to be specified using --slot", "--create-slot")
	case o.slot.set && o.slot.text == "":
		// The server would be asked for a slot without a name.
		return refuse("replication slot name \"\" is too short")
	}
	return nil
}

func (o *options) checkWALDir() error {
	if !o.waldir.set {
		return nil
	}
	if o.target.set {
		return refuseWithHelp("WAL directory location cannot be specified along with a backup target")
	}
	if o.format != 'p' {
		return refuseWithHelp("WAL directory location can only be specified in plain mode")
	}
	if !absolute(o.waldir.text) {
		return refuseWithHelp("WAL directory location must be an absolute path")
	}
	o.waldir.text = filepath.Clean(o.waldir.text)
	return nil
}

// toStdout tells whether standard output gets the backup.
func (o *options) toStdout() bool {
	return o.format == 't' && o.directory.text == "-" && o.directory.set
}
