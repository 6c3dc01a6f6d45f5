package pgfake

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io/fs"
	"time"
)

// File is a file of a data directory or tablespace, by its path below it. A
// path that ends in a slash is an empty directory. Directories above a file
// need not be listed.
type File struct {
	Path string
	Data []byte
	Mode fs.FileMode // permissions; 0 is 0600, or 0700 for a directory
	Link string      // a symbolic link to there, if not empty
}

// ModTime is the modification time of every synthetic file.
var ModTime = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

// TarTrailer is the two zero blocks that end a tar archive.
var TarTrailer = make([]byte, 1024)

// Tar is an archive of files in the given order as BASE_BACKUP sends it, ustar,
// without TarTrailer. Names are written as they are, a symbolic link's with the
// slash at its end that the server's tar headers have (tarCreateHeader).
func Tar(files ...File) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		h := &tar.Header{
			Name: f.Path, Typeflag: tar.TypeReg, Mode: int64(f.mode()), Size: int64(len(f.Data)), Linkname: f.Link,
			Uid: 1000, Gid: 1000, Uname: "postgres", Gname: "postgres", ModTime: ModTime, Format: tar.FormatUSTAR,
		}
		switch {
		case f.Link != "":
			h.Typeflag, h.Mode = tar.TypeSymlink, 0o777
			if h.Name[len(h.Name)-1] != '/' {
				h.Name += "/"
			}
		case f.isDir():
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			panic(fmt.Sprintf("pgfake: tar header of %q: %v", f.Path, err))
		}
		w.Write(f.Data)
	}
	if err := w.Flush(); err != nil {
		panic(fmt.Sprintf("pgfake: tar: %v", err))
	}
	return b.Bytes()
}

func (f File) isDir() bool { return f.Path != "" && f.Path[len(f.Path)-1] == '/' && f.Link == "" }

func (f File) mode() fs.FileMode {
	switch {
	case f.Mode != 0:
		return f.Mode.Perm()
	case f.isDir():
		return 0o700
	}
	return 0o600
}
