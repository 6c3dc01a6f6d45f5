//go:build linux || darwin

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"github.com/pgbasin/pgbasin/codec"
)

const (
	sampleSize  = 32 * mb
	samplePiece = mb / 4
)

// sample returns about sampleSize bytes of the files below dir: pieces that are
// equally far from one another. Smaller files have no part in it.
func sample(dir string) ([]byte, error) {
	_, size, err := total(dir)
	if err != nil {
		return nil, err
	}
	var data []byte
	step := max(1, size/sampleSize)
	pieces := int64(0)
	err = eachFile(dir, func(path string, n int64) error {
		if n < samplePiece {
			return nil
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		for at := int64(0); at+samplePiece <= n; at += samplePiece {
			if pieces%step == 0 {
				data = append(data, make([]byte, samplePiece)...)
				if _, err := f.ReadAt(data[len(data)-samplePiece:], at); err != nil {
					return err
				}
			}
			pieces++
		}
		return nil
	})
	if err == nil && len(data) == 0 {
		err = fmt.Errorf("%s has no file of %d bytes", dir, samplePiece)
	}
	return data, err
}

// codecLimits measures what each codec makes of a sample of the files below dir,
// on one core.
func codecLimits(dir string) ([]limit, error) {
	data, err := sample(dir)
	if err != nil {
		return nil, err
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // zstd is read by all processors otherwise
	var limits []limit
	for _, a := range []codec.Algorithm{codec.Gzip, codec.Zstd, codec.LZ4} {
		var packed bytes.Buffer
		packed.Grow(len(data) + mb)
		started := time.Now()
		if err := compress(&packed, data, a); err != nil {
			return nil, fmt.Errorf("%s: %w", a, err)
		}
		compressing := time.Since(started)
		started = time.Now()
		n, err := decompress(packed.Bytes(), a)
		decompressing := time.Since(started)
		if err == nil && n != int64(len(data)) {
			err = fmt.Errorf("%d of %d bytes came back", n, len(data))
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", a, err)
		}
		size := mebibytes(int64(len(data)))
		limits = append(limits,
			limit{
				of: a.String() + " at its default level, one core", unit: "MiB/s", value: size / compressing.Seconds(),
				remark: fmt.Sprintf("%.0f MiB of the database become %.1f %%", size, 100*float64(packed.Len())/float64(len(data))),
			},
			limit{of: "reading " + a.String() + ", one core", unit: "MiB/s", value: size / decompressing.Seconds()},
		)
	}
	return limits, nil
}

func compress(w io.Writer, data []byte, a codec.Algorithm) error {
	z, err := codec.NewWriter(w, codec.Spec{Algorithm: a, Workers: 1, WorkersSet: true})
	if err != nil {
		return err
	}
	_, err = z.Write(data)
	return errors.Join(err, z.Close())
}

func decompress(data []byte, a codec.Algorithm) (int64, error) {
	z, err := codec.NewReader(bytes.NewReader(data), a)
	if err != nil {
		return 0, err
	}
	n, err := z.WriteTo(io.Discard)
	return n, errors.Join(err, z.Close())
}
