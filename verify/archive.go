package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/tarstream"
)

// archive is one of the tar files of a backup in tar format.
type archive struct {
	name      string // of the file
	oid       uint32 // of the tablespace; 0 if it is another archive
	algorithm codec.Algorithm
	size      int64 // bytes, as stored
}

// prefix stands in front of the names of the archive's members.
func (a *archive) prefix() string {
	if a.oid == 0 {
		return ""
	}
	return tarstream.TablespaceDir + "/" + strconv.FormatUint(uint64(a.oid), 10) + "/"
}

// parseArchiveName understands the names that pg_basebackup gives to archives.
// isWAL is true for that of pg_wal.
func parseArchiveName(name string) (a archive, isWAL, ok bool) {
	a.name = name
	suffix := ""
	switch digits := len(name) - len(strings.TrimLeft(name, "0123456789")); {
	case strings.HasPrefix(name, "base"):
		suffix = name[len("base"):]
	case strings.HasPrefix(name, "pg_wal"):
		suffix, isWAL = name[len("pg_wal"):], true
	case digits > 0:
		oid, err := strconv.ParseUint(name[:digits], 10, 32)
		if err != nil || oid == 0 {
			return a, false, false
		}
		a.oid, suffix = uint32(oid), name[digits:]
	}
	switch suffix {
	case ".tar":
	case ".tgz", ".tar.gz":
		a.algorithm = codec.Gzip
	case ".tar.lz4":
		a.algorithm = codec.LZ4
	case ".tar.zst":
		a.algorithm = codec.Zstd
	default:
		return a, false, false
	}
	return a, isWAL, true
}

// listArchives looks through the backup's directory.
func (v *verifier) listArchives() ([]archive, error) {
	dir, err := os.Open(v.dir)
	if err != nil {
		return nil, fmt.Errorf("could not open directory \"%s\": %w", v.dir, systemError(err))
	}
	defer dir.Close()
	var archives []archive
	for {
		names, err := dir.Readdirnames(batch)
		for _, name := range names {
			if v.ignore.has(name) {
				continue
			}
			a, isWAL, problem := v.lookAtArchive(name)
			switch {
			case problem != nil:
				if err := v.problem(problem); err != nil {
					return nil, err
				}
			case isWAL:
				v.walArchive = &a
			default:
				archives = append(archives, a)
				v.progress.Total += a.size
			}
		}
		if err == io.EOF {
			slices.SortFunc(archives, func(a, b archive) int { return strings.Compare(a.name, b.name) })
			return archives, nil
		}
		if err != nil {
			return nil, fmt.Errorf("could not read directory \"%s\": %w", v.dir, systemError(err))
		}
	}
}

// lookAtArchive tells which archive a file is, or what is wrong with it.
func (v *verifier) lookAtArchive(name string) (a archive, isWAL bool, problem *Problem) {
	info, err := os.Stat(v.dir + "/" + name)
	switch {
	case err != nil:
		return a, false, &Problem{Kind: Unreadable, Path: name, Err: systemError(err), action: "could not stat file or directory"}
	case !info.Mode().IsRegular():
		return a, false, &Problem{Kind: NotRegular, Path: name, Archive: name}
	}
	a, isWAL, ok := parseArchiveName(name)
	if !ok {
		return a, false, &Problem{Kind: Unexpected, Path: name}
	}
	a.size = info.Size()
	return a, isWAL, nil
}

// open returns what the archive holds, decompressed.
func (v *verifier) open(a *archive, read func(int64)) (io.ReadCloser, error) {
	f, err := os.Open(v.dir + "/" + a.name)
	if err != nil {
		return nil, &Problem{Kind: Unreadable, Path: a.name, Err: systemError(err), action: "could not open file"}
	}
	z, err := codec.NewReader(&counted{f, read}, a.algorithm)
	if err != nil {
		f.Close()
		return nil, err
	}
	return &opened{z, f}, nil
}

type opened struct {
	*codec.Reader
	file *os.File
}

func (o *opened) Close() error { return errors.Join(o.Reader.Close(), o.file.Close()) }

// counted tells how much is read.
type counted struct {
	r    io.Reader
	read func(int64)
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.read(int64(n))
	return n, err
}

// readMembers reads all of an archive. read is told of each piece of the file.
func (v *verifier) readMembers(ctx context.Context, a *archive, visit tarstream.Visitor, read func(int64)) error {
	src, err := v.open(a, read)
	if err != nil {
		return err
	}
	defer src.Close()
	// pg_verifybackup takes archives without an end; what they lack the manifest
	// tells.
	p := tarstream.NewLenientParser(visit, tarstream.LenientOptions{Unterminated: !v.report.NoManifest})
	if _, err := io.Copy(&cancelable{ctx, p}, src); err != nil {
		return err
	}
	return p.Close()
}

// cancelable is a writer that ends with a context.
type cancelable struct {
	ctx context.Context
	w   io.Writer
}

func (c *cancelable) Write(p []byte) (int, error) {
	if err := context.Cause(c.ctx); err != nil {
		return 0, err
	}
	return c.w.Write(p)
}
