package pgtest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// copyTree copies a directory that o owns after it, with its modes and links, to a path that does not exist. Blocks of
// zeroes are not written. Files that vanish on the way, as they do in a running server's directory, are left out, and so is
// what skip returns true for; it is given paths relative to the directory.
func copyTree(from, to string, o owner, skip func(rel string, d fs.DirEntry) bool) error {
	buf := make([]byte, 256<<10)
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return unlessGone(err)
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if skip != nil && rel != "." && skip(rel, d) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return unlessGone(err)
		}
		target := filepath.Join(to, rel)
		switch {
		case d.IsDir():
			return o.mkdir(target, info.Mode().Perm())
		case info.Mode()&fs.ModeSymlink != 0:
			link, err := os.Readlink(path)
			if err != nil {
				return unlessGone(err)
			}
			if err := os.Symlink(link, target); err != nil {
				return err
			}
			return o.giveOne(target)
		case info.Mode().IsRegular():
			return copyFile(path, target, info.Mode().Perm(), o, buf)
		}
		return nil // a socket
	})
}

func unlessGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func copyFile(from, to string, mode fs.FileMode, o owner, buf []byte) (err error) {
	src, err := os.Open(from)
	if err != nil {
		return unlessGone(err)
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dst.Close()) }()
	var size int64
	for {
		n, rerr := io.ReadFull(src, buf)
		if p := buf[:n]; n > 0 && !zeroes(p) {
			if _, err := dst.WriteAt(p, size); err != nil {
				return err
			}
		}
		size += int64(n)
		if errors.Is(rerr, io.EOF) || errors.Is(rerr, io.ErrUnexpectedEOF) {
			break
		}
		if rerr != nil {
			return fmt.Errorf("copy: %w", rerr)
		}
	}
	if err := dst.Truncate(size); err != nil {
		return err
	}
	if err := dst.Chmod(mode); err != nil {
		return err
	}
	return o.giveOne(to)
}

var zeroBlock [64 << 10]byte

func zeroes(p []byte) bool {
	for len(p) > 0 {
		n := min(len(p), len(zeroBlock))
		if !bytes.Equal(p[:n], zeroBlock[:n]) {
			return false
		}
		p = p[n:]
	}
	return true
}
