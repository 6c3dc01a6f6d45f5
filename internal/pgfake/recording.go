package pgfake

import (
	"bytes"
	"embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/pgbasin/pgbasin/lsn"
)

//go:embed testdata/pg95/*.rec.zst
var recordings embed.FS

// maxRecord bounds a record and a message of a recording, in bytes. The largest
// record is one read of 64 KiB, the largest message one XLogData of 128 KiB.
const maxRecord = 1 << 20

// record is what one side sent at one time.
type record struct {
	fromClient bool
	data       []byte // valid until the next one is read
}

// recordReader reads recordings: for each record a byte 'C' (client to server)
// or 'S', a big-endian uint32 length, and that many bytes.
type recordReader struct {
	r   io.Reader
	buf []byte
}

func (r *recordReader) next() (record, error) {
	var head [5]byte
	if _, err := io.ReadFull(r.r, head[:]); err != nil {
		return record{}, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if head[0] != 'C' && head[0] != 'S' || n > maxRecord {
		return record{}, fmt.Errorf("record with direction %q and length %d", head[0], n)
	}
	if int(n) > cap(r.buf) {
		r.buf = make([]byte, n)
	}
	r.buf = r.buf[:n]
	if _, err := io.ReadFull(r.r, r.buf); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return record{}, err
	}
	return record{head[0] == 'C', r.buf}, nil
}

// exchange is one query of a recording and the place of its answer.
type exchange struct {
	query string
	first int // index of the record after the query's
	end   int // index of the next query's record, or of the end
}

func (e exchange) command() string {
	name, _, _ := strings.Cut(e.query, " ")
	return name
}

// recording is a recorded connection. Its answers are read from the compressed
// file each time, so that memory does not grow with it.
type recording struct {
	name       string
	compressed []byte
	greeting   []byte // from AuthenticationOk to the first ReadyForQuery
	exchanges  []exchange
}

func openRecording(name string) (*recording, error) {
	b, err := recordings.ReadFile("testdata/pg95/" + name + ".rec.zst")
	if err != nil {
		return nil, fmt.Errorf("recording: %w", err)
	}
	r := &recording{name: name, compressed: b}
	if err := r.index(); err != nil {
		return nil, fmt.Errorf("recording %s: %w", name, err)
	}
	return r, nil
}

func (r *recording) open() (*recordReader, func(), error) {
	z, err := zstd.NewReader(bytes.NewReader(r.compressed), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, nil, err
	}
	return &recordReader{r: z}, z.Close, nil
}

// index finds the greeting and the queries. Clients sent one message a record.
func (r *recording) index() error {
	records, closeIt, err := r.open()
	if err != nil {
		return err
	}
	defer closeIt()
	for i := 0; ; i++ {
		rec, err := records.next()
		if err == io.EOF {
			r.close(i)
			break
		}
		if err != nil {
			return err
		}
		switch {
		case rec.fromClient && len(rec.data) > 5 && rec.data[0] == 'Q':
			r.close(i)
			r.exchanges = append(r.exchanges, exchange{query: string(rec.data[5 : len(rec.data)-1]), first: i + 1})
		case rec.fromClient && len(rec.data) > 0 && rec.data[0] == 'X':
			r.close(i)
		case !rec.fromClient && len(r.exchanges) == 0 && len(rec.data) > 1: // not the 'N' that refuses TLS
			r.greeting = append(r.greeting, rec.data...)
		}
	}
	if len(r.exchanges) == 0 || len(r.greeting) == 0 {
		return errors.New("no query in it")
	}
	return nil
}

func (r *recording) close(end int) {
	if n := len(r.exchanges); n > 0 && r.exchanges[n-1].end == 0 {
		r.exchanges[n-1].end = end
	}
}

// segments calls f with each piece that the server sent in an exchange, as it
// was read from the network. The piece is valid during the call.
func (r *recording) segments(e exchange, f func(p []byte) error) error {
	records, closeIt, err := r.open()
	if err != nil {
		return err
	}
	defer closeIt()
	for i := 0; i < e.end; i++ {
		rec, err := records.next()
		if err != nil {
			return err
		}
		if i < e.first || rec.fromClient {
			continue
		}
		if err := f(rec.data); err != nil {
			return err
		}
	}
	return nil
}

// messages calls f with each whole message that the server sent in an exchange,
// its type and length included. It is valid during the call.
func (r *recording) messages(e exchange, f func(m []byte) error) error {
	var buf []byte
	err := r.segments(e, func(p []byte) error {
		buf = append(buf, p...)
		rest := buf
		for len(rest) >= 5 {
			n := int(binary.BigEndian.Uint32(rest[1:])) + 1
			if n < 5 || n > maxRecord {
				return fmt.Errorf("message %q of length %d", rest[0], n)
			}
			if len(rest) < n {
				break
			}
			if err := f(rest[:n:n]); err != nil {
				return err
			}
			rest = rest[n:]
		}
		buf = append(buf[:0], rest...)
		return nil
	})
	if err == nil && len(buf) > 0 {
		return fmt.Errorf("%d bytes of a cut message at its end", len(buf))
	}
	return err
}

// RecordedArchives are the tar archives of a recorded BASE_BACKUP, in order,
// without TarTrailer.
func RecordedArchives(t testing.TB, name string) [][]byte {
	t.Helper()
	var out [][]byte
	recordedMessages(t, name, "BASE_BACKUP", func(m []byte) error {
		switch m[0] {
		case 'H':
			out = append(out, nil)
		case 'd':
			out[len(out)-1] = append(out[len(out)-1], m[5:]...)
		}
		return nil
	})
	return out
}

// RecordedWAL is the log of a recorded START_REPLICATION and its first position.
func RecordedWAL(t testing.TB, name string) (start lsn.LSN, log []byte) {
	t.Helper()
	recordedMessages(t, name, "START_REPLICATION", func(m []byte) error {
		if at, data, ok := xlogData(m); ok {
			if log == nil {
				start = at
			}
			log = append(log, data...)
		}
		return nil
	})
	return start, log
}

func recordedMessages(t testing.TB, name, command string, f func(m []byte) error) {
	t.Helper()
	r, err := openRecording(name)
	if err != nil {
		t.Fatalf("pgfake: %v", err)
	}
	for _, e := range r.exchanges {
		if e.command() == command {
			if err := r.messages(e, f); err != nil {
				t.Fatalf("pgfake: recording %s: %v", name, err)
			}
			return
		}
	}
	t.Fatalf("pgfake: recording %s has no %s", name, command)
}

// xlogData takes a message apart: type and length, then 'w', start, end, time.
func xlogData(m []byte) (start lsn.LSN, data []byte, ok bool) {
	const header = 5 + 25
	if len(m) < header || m[0] != 'd' || m[5] != 'w' {
		return 0, nil, false
	}
	return beLSN(m[6:]), m[header:], true
}
