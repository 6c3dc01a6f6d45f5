package basebackup

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/pgbasin/pgbasin/incremental"
	"github.com/pgbasin/pgbasin/manifest"
)

// PreviousManifestError says what is wrong with the manifest that an incremental
// backup should build on. The server was not asked for anything then.
type PreviousManifestError struct{ Err error }

func (e *PreviousManifestError) Error() string {
	return fmt.Sprintf("could not use the manifest of the previous backup: %v", e.Err)
}

func (e *PreviousManifestError) Unwrap() error { return e.Err }

// previous is the manifest of the backup that this one builds on, checked and at
// its beginning.
type previous struct {
	source io.ReadCloser
	again  io.ReadSeeker // source, or a copy of what it gave
	spool  *spool        // again, if source can be read only once
}

// openPrevious reads the manifest once, to find what the server would not like
// before it is sent all of it.
func (b *backup) openPrevious(ctx context.Context) error {
	if b.o.PreviousManifest == nil {
		return nil
	}
	source, err := b.o.PreviousManifest()
	if err != nil {
		return &PreviousManifestError{err}
	}
	p := &previous{source: source}
	if err := p.check(b.result.SystemID, b.o.TempDir); err != nil {
		p.close()
		return err
	}
	block, segment, err := b.conn.RelationFiles(ctx)
	if err != nil {
		p.close()
		return err
	}
	b.increments = &increments{layout: incremental.Layout{BlockSize: block, SegmentBlocks: segment}}
	b.previous, b.result.Incremental = p, true
	return nil
}

// uploadPrevious sends the manifest to the server, which takes it or says why not.
func (b *backup) uploadPrevious(ctx context.Context) error {
	if b.previous == nil {
		return nil
	}
	defer b.previous.close()
	return uploadManifest(ctx, b.conn, func(w io.Writer) error { return withoutVisibilityMaps(w, b.previous.again) })
}

// withoutVisibilityMaps writes the manifest that it reads without the relations'
// visibility maps, so that the server sends these whole; see incremental.VisibilityMap.
// A map has 32 bytes for each megabyte.
func withoutVisibilityMaps(w io.Writer, r io.Reader) error {
	from := manifest.NewReader(r)
	// A manifest of 17 and later names the cluster before its files.
	more := from.Next()
	to := manifest.NewWriter(w, from.SystemIdentifier())
	for ; more; more = from.Next() {
		if f := from.File(); !incremental.VisibilityMap(f.Path) {
			if err := to.Add(f); err != nil {
				return err
			}
		}
	}
	if err := from.Err(); err != nil {
		return err
	}
	return to.Close(from.WALRanges())
}

func (p *previous) check(systemID uint64, tempDir string) error {
	var in io.Reader = p.source
	start := int64(0)
	if s, ok := p.source.(io.ReadSeeker); ok {
		// Pipes are files, too, and say only when asked that they cannot.
		if at, err := s.Seek(0, io.SeekCurrent); err == nil {
			p.again, start = s, at
		}
	}
	if p.again == nil {
		var err error
		if p.spool, err = newSpool(tempDir); err != nil {
			return err
		}
		p.again = p.spool.file
		in = io.TeeReader(p.source, p.spool)
	}
	if err := checkPrevious(in, systemID); err != nil {
		return &PreviousManifestError{err}
	}
	if _, err := p.again.Seek(start, io.SeekStart); err != nil {
		return &PreviousManifestError{err}
	}
	return nil
}

// checkPrevious refuses what a server refuses of any manifest, in its words
// (basebackup_incremental.c).
func checkPrevious(r io.Reader, systemID uint64) error {
	m := manifest.NewReader(r)
	for m.Next() {
	}
	switch err := m.Err(); {
	case err != nil:
		return err
	case m.Version() == 1:
		return errors.New("backup manifest version 1 does not support incremental backup")
	case m.SystemIdentifier() != systemID:
		return &OtherSystemError{Manifest: m.SystemIdentifier(), Server: systemID}
	case len(m.WALRanges()) == 0:
		return errors.New("manifest contains no required WAL ranges")
	}
	return nil
}

// OtherSystemError says that a manifest is of a backup of another cluster.
type OtherSystemError struct{ Manifest, Server uint64 }

func (e *OtherSystemError) Error() string {
	return fmt.Sprintf("system identifier in backup manifest is %d, but database system identifier is %d", e.Manifest, e.Server)
}

// close may be called for nil, and again.
func (p *previous) close() {
	if p == nil || p.source == nil {
		return
	}
	p.source.Close()
	if p.spool != nil {
		p.spool.discard()
	}
	p.source = nil
}
