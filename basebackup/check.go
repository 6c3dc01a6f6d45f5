package basebackup

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/manifest"
	"github.com/pgbasin/pgbasin/replproto"
)

// check refuses what contradicts itself, before anybody is asked for anything.
func (o *Options) check(d Destination) error {
	switch {
	case o.Connect == nil:
		return errors.New("no way to connect was given")
	case o.Target == "" && d == nil:
		return errors.New("must specify output directory or backup target")
	case o.Target != "" && d != nil:
		return errors.New("cannot specify both output directory and backup target")
	case o.Target != "" && o.WAL == WALStream:
		return errors.New("WAL cannot be streamed when a backup target is specified")
	case o.Target != "" && o.PrimaryConnInfo != nil:
		return errors.New("recovery configuration cannot be written when a backup target is used")
	case o.Slot != "" && o.WAL != WALStream:
		return errors.New("replication slots can only be used with WAL streaming")
	case o.Slot != "" && o.NoSlot:
		return errors.New("--no-slot cannot be used with slot name")
	case o.CreateSlot && o.Slot == "":
		return errors.New("a replication slot to be created needs a name")
	case o.MaxRate != 0 && (o.MaxRate < 32 || o.MaxRate > 1<<20):
		return fmt.Errorf("transfer rate \"%d\" is out of range", o.MaxRate)
	}
	if err := o.checkResume(d); err != nil {
		return err
	}
	if o.ManifestChecksums != "" {
		if _, err := manifest.ParseChecksumAlgorithm(o.ManifestChecksums); err != nil {
			return err
		}
	}
	if o.ServerCompression == "none" {
		o.ServerCompression = ""
	}
	compressed := o.ServerCompression != "" && o.Target == ""
	switch d := d.(type) {
	case *plain:
		if d.o.WALDir != "" && !filepath.IsAbs(d.o.WALDir) {
			return errors.New("WAL directory location must be an absolute path")
		}
		for _, m := range d.o.Tablespaces {
			if !filepath.IsAbs(m.New) {
				return fmt.Errorf("new directory is not an absolute path in tablespace mapping: %s", m.New)
			}
		}
		return nil
	case *tarDirectory:
		if compressed && d.o.Compression.Algorithm != codec.None {
			return errors.New("archives cannot be compressed both by the server and here")
		}
		if compressed && o.PrimaryConnInfo != nil {
			return &InjectError{What: "recovery configuration"}
		}
	case *tarOne:
		switch {
		case !compressed:
		case d.compression.Algorithm != codec.None:
			return errors.New("archives cannot be compressed both by the server and here")
		case o.PrimaryConnInfo != nil:
			return &InjectError{What: "recovery configuration"}
		case o.WAL == WALStream:
			return &InjectError{What: "write-ahead log"}
		case !o.NoManifest:
			return &InjectError{What: "manifest"}
		}
		if o.WAL == WALStream && o.NoSlot {
			// The WAL follows the archive, so the server must keep it.
			return errors.New("cannot stream write-ahead logs in tar mode to stdout without a replication slot")
		}
	}
	return nil
}

// InjectError says that something cannot be added to an archive because the
// server compressed it.
type InjectError struct{ What string }

func (e *InjectError) Error() string {
	return fmt.Sprintf("cannot inject %s into a compressed tar file", e.What)
}

// checkServer refuses what this server is too old for.
func (o *Options) checkServer(c *replproto.Conn, d Destination) error {
	v := c.ServerVersion()
	needs := func(asked bool, what string, since replproto.Version) error {
		if asked && v < since {
			return &replproto.UnsupportedError{What: what, Since: since.Major(), Server: c.ServerVersionString()}
		}
		return nil
	}
	_, one := d.(*tarOne)
	streaming := o.WAL == WALStream
	for _, err := range []error{
		needs(true, "a base backup", 90100),
		needs(o.PreviousManifest != nil, "an incremental backup", 170000),
		needs(streaming, "WAL streaming", 90300),
		needs(o.Slot != "", "a replication slot", 90400),
		needs(streaming && one && o.Slot == "", "WAL streaming in tar mode to stdout without a named replication slot", 100000),
		needs(o.MaxRate != 0, "a maximum transfer rate", 90400),
		needs(o.ManifestChecksums != "" || o.ManifestForceEncode, "a backup manifest", 130000),
		needs(o.Target != "", "a backup target", 150000),
		needs(o.ServerCompression != "", "server-side compression", 150000),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}
