package verify

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/pgbasin/pgbasin/manifest"
	"github.com/pgbasin/pgbasin/pgdata"
)

// errNoMore is what reading a directory ends with.
var errNoMore = io.EOF

// batch is how many names of a directory are held at once.
const batch = 512

// walk compares the names and sizes of what is in the directory with the
// manifest. Like pg_verifybackup it follows symbolic links, as tablespaces and
// pg_wal are.
func (v *verifier) walk(ctx context.Context) error {
	info, err := os.Stat(v.dir)
	if err != nil {
		return err
	}
	return v.walkDirectory(ctx, "", &ancestor{info: info})
}

// ancestor is a directory that is being walked through, to find links that lead
// back.
type ancestor struct {
	info   fs.FileInfo
	parent *ancestor
}

func (a *ancestor) has(info fs.FileInfo) bool {
	for ; a != nil; a = a.parent {
		if os.SameFile(a.info, info) {
			return true
		}
	}
	return false
}

// walkDirectory walks through the directory at rel, "" being the backup itself.
func (v *verifier) walkDirectory(ctx context.Context, rel string, here *ancestor) error {
	full := v.dir
	if rel != "" {
		full += "/" + rel
	}
	unreadable := func(action string, err error) error {
		v.leaveOut(rel)
		return v.problem(&Problem{Kind: Unreadable, Path: rel, Err: systemError(err), action: action, name: full})
	}
	dir, err := os.Open(full)
	if err != nil {
		return unreadable("could not open directory", err)
	}
	defer dir.Close()
	for {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		names, err := dir.Readdirnames(batch)
		for _, name := range names {
			path := name
			if rel != "" {
				path = rel + "/" + name
			}
			if v.ignore.has(path) {
				continue
			}
			if err := v.walkEntry(ctx, path, full+"/"+name, here); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, errNoMore):
			return nil
		case err != nil:
			return unreadable("could not read directory", err)
		}
	}
}

// leaveOut keeps what is below a path that could not be looked at from being
// reported as missing.
func (v *verifier) leaveOut(rel string) {
	if rel != "" {
		v.ignore.add(rel)
		v.ignoredMore = true
	}
}

// walkEntry looks at a file or directory.
func (v *verifier) walkEntry(ctx context.Context, rel, full string, parent *ancestor) error {
	info, err := os.Stat(full)
	if err != nil {
		v.leaveOut(rel)
		return v.problem(&Problem{Kind: Unreadable, Path: rel, Err: systemError(err), action: "could not stat file or directory"})
	}
	switch {
	case info.IsDir():
		if parent.has(info) {
			v.leaveOut(rel)
			return v.problem(&Problem{Kind: Unreadable, Path: rel, Err: syscall.ELOOP, action: "could not open directory", name: full})
		}
		return v.walkDirectory(ctx, rel, &ancestor{info, parent})
	case !info.Mode().IsRegular():
		return v.problem(&Problem{Kind: NotRegular, Path: rel})
	}
	if v.report.NoManifest {
		return v.found(rel, full, info)
	}
	f, flags := v.index.find(rel)
	if f == nil {
		return v.problem(&Problem{Kind: Extra, Path: rel})
	}
	if *flags&matched == 0 {
		*flags |= matched
		v.matchedFiles++
	}
	if f.size != info.Size() {
		*flags |= bad
		if err := v.problem(&Problem{Kind: SizeDiffers, Path: rel, Size: info.Size(), ManifestSize: f.size}); err != nil {
			return err
		}
	} else if flags.algorithm() != manifest.None || v.o.PageChecksums {
		v.progress.Total += f.size
	}
	if rel == pgdata.ControlFile {
		return v.checkControlFile(full)
	}
	return nil
}

// found takes a file where there is no manifest to compare it with.
func (v *verifier) found(rel, full string, info fs.FileInfo) error {
	if v.list != nil {
		return v.list(&file{path: rel, said: indexed{size: info.Size()}, parts: 1})
	}
	v.report.Files++
	if _, ok := parseRelationFile(rel); ok {
		v.progress.Total += info.Size()
	}
	if rel == pgdata.ControlFile {
		// That it is damaged is told when something is wanted from it.
		_ = v.readControlFile(full)
	}
	return nil
}
