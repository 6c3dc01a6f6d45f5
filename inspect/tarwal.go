package inspect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/pgbasin/pgbasin/backupset"
	"github.com/pgbasin/pgbasin/tarstream"
	"github.com/pgbasin/pgbasin/wal"
)

// tarWAL reads segments out of a tar, in one pass as long as they are asked for
// in the order in which they are there, as servers and pgbasin put them.
type tarWAL struct {
	set     *backupset.Set
	archive *backupset.Archive
	files   *backupset.WALFiles

	pass *tarPass // under way; nil = none
}

// tarPass is one pass through the archive, in a goroutine of its own.
type tarPass struct {
	cancel   context.CancelFunc
	segments chan tarSegment // those that come by
	err      error           // of the pass, when segments is closed
}

type tarSegment struct {
	tli     uint32
	segno   uint64
	content *io.PipeReader
}

// OpenSegment implements wal.Source.
func (t *tarWAL) OpenSegment(tli uint32, segno uint64) (io.ReadCloser, error) {
	name := wal.SegmentName(tli, segno, t.files.SegmentSize)
	if !t.files.Has(tli, segno) {
		return nil, fmt.Errorf("WAL segment %s is not in the backup: %w", name, fs.ErrNotExist)
	}
	for range 2 {
		fresh := t.pass == nil
		if fresh {
			t.start()
		}
		for s := range t.pass.segments {
			if s.tli == tli && s.segno == segno {
				return s.content, nil
			}
			s.content.CloseWithError(errPassed)
		}
		err := t.pass.err
		t.stop()
		if err != nil {
			return nil, err
		}
		if fresh {
			break
		}
		// It has passed already.
	}
	return nil, fmt.Errorf("WAL segment %s is not in the backup any more: %w", name, fs.ErrNotExist)
}

// errPassed is what a segment's writer gets when nobody wants the rest.
var errPassed = errors.New("segment is not wanted")

func (t *tarWAL) start() {
	ctx, cancel := context.WithCancel(context.Background())
	p := &tarPass{cancel: cancel, segments: make(chan tarSegment)}
	t.pass = p
	v := &segmentVisitor{ctx: ctx, out: p.segments, size: t.files.SegmentSize}
	names := []string{"pg_wal", "pg_xlog"}
	if t.archive.Kind == backupset.WAL {
		v.all, names = true, []string{"."}
	}
	go func() {
		defer close(p.segments)
		if err := t.set.ReadOnly(ctx, t.archive, names, v); ctx.Err() == nil {
			p.err = err
		}
	}()
}

func (t *tarWAL) stop() {
	if t.pass == nil {
		return
	}
	t.pass.cancel()
	for s := range t.pass.segments {
		s.content.CloseWithError(errPassed)
	}
	t.pass = nil
}

// Close ends the pass that is under way.
func (t *tarWAL) Close() error {
	t.stop()
	return nil
}

// segmentVisitor passes segments on through pipes.
type segmentVisitor struct {
	ctx  context.Context
	out  chan<- tarSegment
	size int64
	all  bool // members are those of the WAL directory
	w    *io.PipeWriter
}

func (v *segmentVisitor) Member(h *tarstream.Header) error {
	dir, name := path.Split(h.Name)
	inWAL := v.all && dir == "" || !v.all && (dir == "pg_wal/" || dir == "pg_xlog/")
	if h.Type != tarstream.Regular || h.Size != v.size || !inWAL || strings.Contains(name, ".") || !wal.IsSegmentName(name) {
		return v.ctx.Err()
	}
	tli, segno, err := wal.ParseSegmentName(name, v.size)
	if err != nil {
		return nil // it is not one that a segment of this size has
	}
	r, w := io.Pipe()
	select {
	case v.out <- tarSegment{tli, segno, r}:
		v.w = w
		return nil
	case <-v.ctx.Done():
		return v.ctx.Err()
	}
}

func (v *segmentVisitor) Content(p []byte) error {
	if v.w != nil {
		if _, err := v.w.Write(p); err != nil {
			v.w = nil // the reader has enough
		}
	}
	return v.ctx.Err()
}

func (v *segmentVisitor) EndMember() error {
	if v.w != nil {
		v.w.Close()
		v.w = nil
	}
	return nil
}
