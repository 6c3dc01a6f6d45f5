package basebackup

import (
	"context"
	"errors"
	"fmt"

	"github.com/pgbasin/pgbasin/incremental"
	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/manifest"
	"github.com/pgbasin/pgbasin/replproto"
	"github.com/pgbasin/pgbasin/wal"
)

// survey asks whether the server's backups can be gone on with, and whether what there
// is fits the server.
func (k *keeper) survey(ctx context.Context, b *backup) error {
	if k == nil {
		return nil
	}
	k.active = false
	if reason, err := k.unsuited(ctx, b.conn); err != nil {
		return err
	} else if reason != "" {
		if k.o.Resume || k.taken {
			return k.refuse("%s", reason)
		}
		return nil
	}
	block, segment, err := b.conn.RelationFiles(ctx)
	if err != nil {
		return err
	}
	k.active = true
	k.layout = incremental.Layout{BlockSize: block, SegmentBlocks: segment}
	k.server = attempt{
		systemID: b.result.SystemID, major: int(b.s.version) / 10000, blockSize: block, algorithm: k.sumsWith(),
	}
	if k.stock == nil {
		return nil
	}
	return k.fits(ctx, b)
}

// unsuited says why the server's backups cannot be gone on with; "" if they can.
func (k *keeper) unsuited(ctx context.Context, c *replproto.Conn) (reason string, err error) {
	if c.ServerVersion() < 170000 {
		return fmt.Sprintf("that needs server version 17 or later, this server is %s", c.ServerVersionString()), nil
	}
	on, err := c.Show(ctx, "summarize_wal")
	var refused *replproto.ServerError
	if errors.As(err, &refused) && refused.Code == replproto.CodeUndefinedObject {
		on, err = "off", nil
	}
	if err != nil {
		return "", err
	}
	if on != "on" {
		return "summarize_wal is off on the server, which therefore does not know what was changed meanwhile", nil
	}
	return "", nil
}

func (k *keeper) sumsWith() manifest.ChecksumAlgorithm {
	a, err := manifest.ParseChecksumAlgorithm(k.o.ManifestChecksums)
	if err != nil {
		return manifest.DefaultChecksumAlgorithm // "", as everything else was refused
	}
	return a
}

// fits refuses a server, or options, that the files in stock are not of.
func (k *keeper) fits(ctx context.Context, b *backup) error {
	system, err := b.conn.IdentifySystem(ctx)
	if err != nil {
		return err
	}
	now, before := &k.server, k.stock.last()
	switch {
	case now.systemID != before.systemID:
		return k.refuse("it is of another cluster, with system identifier %d and not %d", before.systemID, now.systemID)
	case now.major != before.major:
		return k.refuse("it is of a server of version %d and not %d", before.major, now.major)
	case now.blockSize != before.blockSize:
		return k.refuse("it is of a server with blocks of %d bytes and not %d", before.blockSize, now.blockSize)
	case now.algorithm != before.algorithm:
		return k.refuse("its files have %v checksums and not %v (--manifest-checksums)", before.algorithm, now.algorithm)
	}
	return k.fitsHistory(ctx, b.conn, system)
}

// fitsHistory sees that the server has all the changes which the files in stock have.
// Its position and its timeline alone do not tell: it may be a standby that is behind the
// server which the files came from, or was, when it was promoted. Then the changes that
// it does not know would be neither undone nor made again.
func (k *keeper) fitsHistory(ctx context.Context, c *replproto.Conn, system replproto.System) error {
	var history []wal.Ancestor
	for timeline, newest := range k.stock.newest() {
		if timeline == system.Timeline {
			if newest > system.Position {
				return k.refuse("its files have changes up to %v, but this server is only at %v", newest, system.Position)
			}
			continue
		}
		if history == nil && system.Timeline > 1 {
			_, content, err := c.TimelineHistory(ctx, system.Timeline)
			if err != nil {
				return err
			}
			if history, err = wal.ParseHistory(content); err != nil {
				return err
			}
		}
		end, ok := endOf(history, timeline)
		if !ok {
			return k.refuse("it is on timeline %d, which is not in the history of this server's timeline %d", timeline, system.Timeline)
		}
		if newest > end {
			return k.refuse("its files have changes up to %v, but this server left timeline %d at %v", newest, timeline, end)
		}
	}
	return nil
}

func endOf(history []wal.Ancestor, timeline uint32) (end lsn.LSN, ok bool) {
	for _, a := range history {
		if a.Timeline == timeline {
			return a.End, true
		}
	}
	return 0, false
}

// checkStop sees that the backup's recovery goes on until all changes are made that the
// files in stock have a part of. A server that the files are from always says so:
// changes are logged before they are written.
func (k *keeper) checkStop() error {
	for _, newest := range k.stock.newest() {
		if newest > k.s.stop {
			return k.refuse("its files have changes up to %v, but the server ended the backup at %v", newest, k.s.stop)
		}
	}
	return nil
}
