package restore

import (
	"context"

	"github.com/pgbasin/pgbasin/backupset"
	"github.com/pgbasin/pgbasin/internal/durable"
	"github.com/pgbasin/pgbasin/tarstream"
)

// readOther restores the archive of a tablespace or of WAL.
func (r *run) readOther(ctx context.Context, a *backupset.Archive) error {
	dir := r.p.directory(a)
	out, err := tarstream.NewExtractor(tarstream.ExtractOptions{
		Dir: dir, Open: r.dirs.Open, DirMode: r.dirMode, FileMode: r.fileMode,
		Exists: func(name string) bool {
			return a.Kind == backupset.WAL && (name == "archive_status" || name == "summaries")
		},
		Writeback: r.o.Sync == durable.Syncfs, Sync: r.syncsFiles(), Concurrent: r.jobs() > 1,
	})
	if err != nil {
		return err
	}
	v := r.meter.visitor(dir, tarstream.Drop(out, func(h *tarstream.Header) bool { return stale(h.Name, false) }))
	if a.Kind == backupset.Tablespace {
		v = tarstream.Tee(r.recording(tablespaceName(a.OID)+"/"), v)
	} else {
		v = tarstream.Tee(r.counting(), v)
	}
	if err := r.p.read(ctx, a, v); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}
