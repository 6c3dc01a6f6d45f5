package wal

import (
	"context"
)

// Verify reads every record from o.Start to o.End, which must not be 0, and
// checks it, as pg_verifybackup does with pg_waldump for each range of WAL in a
// manifest. What is wrong is a *RecordError, also when the WAL ends before o.End.
//
// A record that goes past o.End is only accepted at the boundary of a page, where
// a timeline ends that has been left in the middle of a record.
func Verify(ctx context.Context, src Source, o ReaderOptions) error {
	r := NewReader(src, o)
	defer r.Close()
	n := 0
	for ; r.Next(); n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	switch {
	case r.End() == EndInsideRecord && uint64(o.End)%uint64(r.block) != 0:
		r.failAt(r.pos, "record goes past the end", nil)
		return r.broken
	case r.End() == EndReached || r.End() == EndInsideRecord:
		if n == 0 && o.Start < o.End {
			r.failAt(o.Start, "could not find a valid record", nil)
			return r.broken
		}
		return nil
	}
	return r.broken
}
