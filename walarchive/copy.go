package walarchive

import (
	"context"
	"io"
	"os"
)

// copySize is how much is copied or compared at a time, in bytes.
const copySize = 256 << 10

// copyAll copies to the end of r or of ctx.
func copyAll(ctx context.Context, w io.Writer, r io.Reader) (n int64, err error) {
	buf := make([]byte, copySize)
	for {
		if ctx.Err() != nil {
			return n, context.Cause(ctx)
		}
		m, err := r.Read(buf)
		if m > 0 {
			written, err := w.Write(buf[:m])
			n += int64(written)
			if err != nil {
				return n, err
			}
		}
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// copyFile copies a file from its beginning to an empty one. The kernel does it
// without bringing the bytes here, and file systems that can share them do.
func copyFile(ctx context.Context, to, from *os.File) (n int64, err error) {
	const step = 4 << 20
	if _, err := from.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	for {
		if ctx.Err() != nil {
			return n, context.Cause(ctx)
		}
		_, err := io.CopyN(to, from, step)
		// The file knows better: where the kernel's copying fails in the middle
		// and goes on in another way, what it had copied is not counted.
		at, seekErr := to.Seek(0, io.SeekCurrent)
		if seekErr != nil {
			return n, seekErr
		}
		progress := at > n
		n = at
		if err == io.EOF && !progress {
			return n, nil
		}
		if err != nil && err != io.EOF {
			return n, err
		}
	}
}
