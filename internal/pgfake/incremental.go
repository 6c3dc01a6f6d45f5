package pgfake

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"path"
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgbasin/pgbasin/lsn"
)

// incrementalBlock is the size of the blocks of relation files, in bytes.
const incrementalBlock = 8192

// uploadManifest takes a manifest in any number of pieces.
func (c *Cluster) uploadManifest(a *answer) error {
	if err := a.send(PartCopyBegin, "", CopyIn()); err != nil {
		return err
	}
	var got bytes.Buffer
	for {
		m, err := a.c.Receive()
		if err != nil {
			return err
		}
		switch m := m.(type) {
		case *pgproto3.CopyData:
			got.Write(m.Data)
			if err := c.refusedManifest(got.Bytes(), false); err != nil {
				return err
			}
		case *pgproto3.CopyDone:
			if err := c.refusedManifest(got.Bytes(), true); err != nil {
				return err
			}
			c.mu.Lock()
			c.manifests = append(c.manifests, got.Bytes())
			c.mu.Unlock()
			return c.complete(a)
		case *pgproto3.CopyFail:
			return refuse("57014", "COPY from stdin failed: %s", m.Message)
		default:
			return fmt.Errorf("want the manifest, %w", unexpected(m))
		}
	}
}

func (c *Cluster) refusedManifest(got []byte, whole bool) error {
	if c.RefuseManifest == nil {
		return nil
	}
	m := c.RefuseManifest(got, whole)
	if m == nil {
		return nil
	}
	e := m.Proto().(*pgproto3.ErrorResponse)
	r := &refusal{sqlstate: e.Code, message: e.Message}
	if e.Detail != "" {
		r.fields = append(r.fields, Detail(e.Detail))
	}
	return r
}

// previous is the first WAL range of the backup whose manifest came last.
func (c *Cluster) previous() (*WALRange, error) {
	all := c.Manifests()
	if len(all) == 0 {
		return nil, refuse("55000", "must UPLOAD_MANIFEST before performing an incremental BASE_BACKUP")
	}
	var m struct {
		Ranges []struct {
			Timeline uint32
			Start    string `json:"Start-LSN"`
		} `json:"WAL-Ranges"`
	}
	if err := json.Unmarshal(all[len(all)-1], &m); err != nil {
		return nil, refuse("XX000", "could not parse backup manifest: %s", err)
	}
	if len(m.Ranges) == 0 {
		return nil, refuse("55000", "manifest contains no required WAL ranges")
	}
	start, err := lsn.Parse(m.Ranges[0].Start)
	if err != nil {
		return nil, refuse("XX000", "could not parse backup manifest: %s", err)
	}
	return &WALRange{Timeline: m.Ranges[0].Timeline, Start: start}, nil
}

// changed is files as an incremental backup has them: of relation files every
// other block, beginning with the second. With from nil it is a full backup.
func changed(from *WALRange, files []File) []File {
	out := append([]File(nil), files...)
	if from == nil {
		return out
	}
	for i, f := range out {
		dir, name := path.Split(f.Path)
		inData := strings.HasPrefix(dir, "base/") || dir == "global/" || strings.HasPrefix(dir, "PG_")
		if !inData || len(f.Data) == 0 || strings.Trim(name, "0123456789") != "" {
			continue
		}
		var blocks []uint32
		for b := 1; b*incrementalBlock < len(f.Data); b += 2 {
			blocks = append(blocks, uint32(b))
		}
		out[i].Path, out[i].Data = dir+"INCREMENTAL."+name, IncrementalFile(f.Data, blocks...)
	}
	return out
}

// IncrementalFile is what an incremental backup has of a relation file: these
// blocks of it.
func IncrementalFile(data []byte, blocks ...uint32) []byte {
	word := binary.LittleEndian.AppendUint32
	out := word(nil, 0xd3ae1f0d)
	out = word(out, uint32(len(blocks)))
	out = word(out, uint32(len(data)/incrementalBlock))
	for _, b := range blocks {
		out = word(out, b)
	}
	if padding := len(out) % incrementalBlock; len(blocks) > 0 && padding > 0 {
		out = append(out, make([]byte, incrementalBlock-padding)...)
	}
	for _, b := range blocks {
		out = append(out, data[int(b)*incrementalBlock:][:incrementalBlock]...)
	}
	return out
}
