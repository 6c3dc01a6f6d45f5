package pgfake

import (
	"bytes"
	"compress/gzip"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// compressor is a server-side COMPRESSION and the suffix it gives archives.
type compressor struct {
	suffix string
	open   func(io.Writer) (io.WriteCloser, error)
}

var compressors = map[string]compressor{
	"none": {},
	"gzip": {".gz", func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil }},
	"lz4":  {".lz4", func(w io.Writer) (io.WriteCloser, error) { return lz4.NewWriter(w), nil }},
	"zstd": {".zst", func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1)) }},
}

func (c compressor) compress(b []byte) ([]byte, error) {
	if c.open == nil {
		return b, nil
	}
	var out bytes.Buffer
	w, err := c.open(&out)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(b); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
