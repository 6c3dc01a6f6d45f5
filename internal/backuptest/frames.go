package backuptest

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/pgbasin/pgbasin/codec"
)

// What codec promises of zstd's frames, in bytes of content.
const (
	frameMost  = 2 << 20
	frameLeast = 512 << 10
)

// CheckFrames tells whether the frames of a tar, compressed as zstd by a Writer without flushes, end where members begin. The archive's members
// must have plain headers of one block.
func CheckFrames(z []byte) error {
	r, err := codec.NewReader(bytes.NewReader(z), codec.Zstd)
	if err != nil {
		return err
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	var members []int64
	src := bytes.NewReader(data)
	for t := tar.NewReader(src); ; {
		if _, err := t.Next(); err == io.EOF {
			break
		} else if err != nil {
			return err
		}
		members = append(members, int64(len(data)-src.Len()-512))
	}
	starts, err := frameStarts(z)
	if err != nil {
		return err
	}
	var want []int64
	at, ended := int64(0), 0
	for _, m := range append(members, int64(len(data))) {
		for ; m-at >= frameMost; at += frameMost {
			want = append(want, at+frameMost)
		}
		if m-at >= frameLeast {
			want, at, ended = append(want, m), m, ended+1
		}
	}
	if ended < 3 {
		return fmt.Errorf("%d frames end where one of %d members begins, which tells little", ended, len(members))
	}
	for i, w := range want {
		if w >= members[len(members)-1] {
			break // the end of the archive may be a frame of its own
		}
		if i+1 >= len(starts) || starts[i+1] != w {
			return fmt.Errorf("frame %d does not begin at %d: frames begin at %d", i+1, w, starts)
		}
	}
	return nil
}

// frameStarts is where frames begin in the content, by the seek table.
func frameStarts(z []byte) ([]int64, error) {
	le := binary.LittleEndian
	if len(z) < 17 || le.Uint32(z[len(z)-4:]) != 0x8f92eab1 {
		return nil, fmt.Errorf("there is no seek table")
	}
	n := int(le.Uint32(z[len(z)-9:]))
	entries := z[len(z)-9-8*n:]
	var starts []int64
	at := int64(0)
	for i := range n {
		starts = append(starts, at)
		at += int64(le.Uint32(entries[8*i+4:]))
	}
	return starts, nil
}
