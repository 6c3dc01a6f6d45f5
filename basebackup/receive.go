package basebackup

import (
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/manifest"
	"github.com/pgbasin/pgbasin/replproto"
	"github.com/pgbasin/pgbasin/tarstream"
)

// receiver takes the archives and the manifest from the main connection to the
// destination.
type receiver struct {
	b     *replproto.BaseBackup
	d     Destination
	check *checker
	// increments is nil unless the backup is incremental.
	increments *increments
	verify     bool // compare with the manifest
	meter      *meter
	result     *Result
	warn       func(string)
	verified   bool // what came of it
	// compression is what the server was asked for, "" for none.
	compression string
	needs       *needs
}

// run receives until the server has sent everything.
func (r *receiver) run() error {
	for {
		a, err := r.b.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if r.meter.manifest = a.Manifest; a.Manifest {
			err = r.manifest(a)
		} else {
			err = r.archive(a)
		}
		if err != nil {
			return err
		}
	}
}

// end compares what arrived with where the backup ended.
func (r *receiver) end(stop lsn.LSN, timeline uint32) error {
	if err := r.needs.wal(stop, timeline); err != nil || !r.verified {
		return err
	}
	return r.check.checkRanges(manifest.WALRange{Timeline: r.b.Timeline, Start: r.b.Start}, manifest.WALRange{Timeline: timeline, End: stop})
}

func (r *receiver) archive(a *replproto.Archive) error {
	if err := r.checkName(a); err != nil {
		return err
	}
	before := r.meter.received
	if r.d == nil {
		// The server stores the backup by itself; only its reports arrive.
		if err := r.copy(io.Discard, a); err != nil {
			return err
		}
		r.done(a, "", before)
		return nil
	}
	out, err := r.d.archive(a)
	if err != nil {
		return err
	}
	defer out.release()
	if err := r.pass(a, out); err != nil {
		return err
	}
	if err := out.finish(); err != nil {
		return err
	}
	r.done(a, out.path, before)
	return nil
}

// checkName sees that an archive comes as it was asked for. The layers behind
// rely on what its name says.
func (r *receiver) checkName(a *replproto.Archive) error {
	want := replproto.ArchiveName(a.Tablespace.OID)
	if r.compression != "" {
		algorithm, err := codec.ParseAlgorithm(r.compression)
		if err != nil {
			return nil // one that only the server knows
		}
		want += algorithm.Suffix()
	}
	if a.Name != want {
		return fmt.Errorf("server sent archive %q instead of %q", a.Name, want)
	}
	return nil
}

func (r *receiver) done(a *replproto.Archive, path string, before int64) {
	r.result.Tablespaces = append(r.result.Tablespaces, TablespaceResult{
		OID: a.Tablespace.OID, Location: a.Tablespace.Location, Path: path, Bytes: r.meter.received - before,
	})
	r.meter.tablespaceDone()
}

// pass moves one archive through the stages that the destination and the
// verification ask for. All of them see the same pieces, as the network
// brought them.
func (r *receiver) pass(a *replproto.Archive, out stream) error {
	algorithm := codec.ByName(a.Name)
	known := algorithm != codec.None || a.Name == replproto.ArchiveName(a.Tablespace.OID)
	if !known && out.visitor != nil {
		return fmt.Errorf("cannot parse archive %q: only tar archives can be parsed", a.Name)
	}
	prefix := ""
	if a.Tablespace.OID != 0 {
		prefix = tarstream.TablespaceDir + "/" + strconv.FormatUint(uint64(a.Tablespace.OID), 10) + "/"
	}
	checked := r.check.Archive(prefix)
	if r.increments != nil {
		checked = tarstream.Tee(checked, r.increments.visitor(prefix))
	}
	if a.Tablespace.OID == 0 {
		checked = tarstream.Tee(checked, r.needs)
	}

	var err error
	switch {
	case !known:
		r.verify = false
		r.warn(fmt.Sprintf("archive %q is compressed in an unknown way and cannot be verified on arrival", a.Name))
		return r.copy(out.raw, a)
	case algorithm == codec.None:
		err = r.parse(a, tee(checked, out.visitor), out.raw)
	case out.visitor != nil:
		err = archiveError(a, decompress(tarstream.NewParser(tee(checked, out.visitor)), r.meter.reader(a), algorithm))
	case !r.verify:
		return r.copy(out.raw, a)
	default:
		err = r.parseCompressed(a, algorithm, checked, out.raw)
	}
	if err == nil && a.Tablespace.OID == 0 {
		if err = r.needs.archive(); err != nil {
			err = fmt.Errorf("archive %s: %w", a.Name, err)
		}
	}
	return err
}

// parse takes an archive apart as it comes; raw, if not nil, gets the same
// bytes.
func (r *receiver) parse(a *replproto.Archive, v tarstream.Visitor, raw io.Writer) error {
	p := tarstream.NewParser(v)
	var w io.Writer = p
	if raw != nil {
		// The copy first: the parser may stop at an error, and then the
		// bytes that show it are on disk (--no-clean).
		w = tarstream.NewSplitter(raw, p)
	}
	if err := r.copy(w, a); err != nil {
		return archiveError(a, err)
	}
	return archiveError(a, p.Close())
}

// parseCompressed stores an archive as the server compressed it, while another
// goroutine decompresses a copy and looks into it.
func (r *receiver) parseCompressed(a *replproto.Archive, algorithm codec.Algorithm, v tarstream.Visitor, raw io.Writer) error {
	pr, pw := io.Pipe()
	parsed := make(chan error, 1)
	go func() {
		err := decompress(tarstream.NewParser(v), pr, algorithm)
		if err == nil {
			// Whatever follows the compressed data still goes to the file.
			_, err = io.Copy(io.Discard, pr)
		}
		pr.CloseWithError(err)
		parsed <- err
	}()
	err := r.copy(io.MultiWriter(raw, pw), a)
	pw.CloseWithError(err)
	if parseErr := <-parsed; err == nil {
		err = parseErr
	}
	return archiveError(a, err)
}

// decompress moves a compressed archive into a parser, up to its end.
func decompress(p *tarstream.Parser, src io.Reader, algorithm codec.Algorithm) error {
	z, err := codec.NewReader(src, algorithm)
	if err != nil {
		return err
	}
	if _, err := io.Copy(p, z); err != nil {
		return errors.Join(err, z.Close())
	}
	return errors.Join(p.Close(), z.Close())
}

func (r *receiver) copy(w io.Writer, a *replproto.Archive) error {
	_, err := a.WriteTo(r.meter.writer(w))
	return err
}

func (r *receiver) manifest(a *replproto.Archive) error {
	if r.d == nil {
		return r.copy(io.Discard, a)
	}
	out, err := r.d.manifest()
	if err != nil {
		return err
	}
	defer out.Close()
	if files := r.check.Files(); files > 0 {
		out = &bounded{out, manifestBase + files*manifestEach}
	}
	if !r.verify {
		if err := r.copy(out, a); err != nil {
			return err
		}
		return out.Close()
	}
	// Reading the manifest is a tee: its bytes are stored as they come.
	in := io.TeeReader(r.meter.reader(a), out)
	if err := r.check.verify(in); err != nil {
		// What else there is of it is stored too, for whoever looks into it.
		if _, err := io.Copy(io.Discard, in); err != nil {
			return err
		}
		return err
	}
	r.verified = true
	return out.Close()
}

// What a manifest can need, in bytes: its WAL ranges, and for a file a path of 255
// bytes with an escape for each, and some 200 for the rest.
const (
	manifestBase = 8 << 20
	manifestEach = 2 << 10
)

// bounded takes no more bytes of a manifest than the files that came can need. A
// server that goes on would otherwise be listened to until the disk is full.
type bounded struct {
	io.WriteCloser
	left int64
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.left -= int64(len(p)); b.left < 0 {
		return 0, errors.New("the backup manifest is larger than the files that it can list need")
	}
	return b.WriteCloser.Write(p)
}

func tee(first, second tarstream.Visitor) tarstream.Visitor {
	if second == nil {
		return first
	}
	return tarstream.Tee(first, second)
}

// archiveError names the archive in errors of the tar itself; others name
// their own objects.
func archiveError(a *replproto.Archive, err error) error {
	var format *tarstream.FormatError
	if errors.As(err, &format) {
		return fmt.Errorf("archive %s: %w", a.Name, err)
	}
	return err
}
