package basebackup_test

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/basebackup"
	"github.com/pgbasin/pgbasin/codec"
	"github.com/pgbasin/pgbasin/internal/pgfake"
	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/replproto"
	"github.com/pgbasin/pgbasin/wal"
)

var allVersions = []string{
	"9.1.24", "9.2.24", "9.3.25", "9.4.26", "9.5.3", "9.6.24", "10.23", "11.22", "12.22", "13.23", "14.23", "15.18 (Debian 15.18-0)", "16.14", "17.10", "18.4", "19devel", "21.1",
}

func TestBackupsOfEveryVersionInEveryFormHoldWhatTheServerHas(t *testing.T) {
	forms := []form{plainForm, tarForm(codec.None), tarForm(codec.Gzip), tarForm(codec.Zstd), tarForm(codec.LZ4), oneForm}
	methods := map[string]basebackup.WALMethod{"none": basebackup.WALNone, "fetch": basebackup.WALFetch, "stream": basebackup.WALStream}
	for _, version := range allVersions {
		forms := forms
		if major(version) < 11 {
			// Their segments have 16 MB, which the codecs need not meet six
			// times over.
			forms = []form{plainForm, tarForm(codec.None), oneForm}
		}
		for _, f := range forms {
			for method, m := range methods {
				if m == basebackup.WALStream && (strings.HasPrefix(version, "9.1") || strings.HasPrefix(version, "9.2")) {
					continue // has no timelines in its streams; TestRefusals has it
				}
				if f.name == oneForm.name && m == basebackup.WALStream && major(version) < 10 {
					continue // has no temporary slots; TestRefusals has it
				}
				t.Run(fmt.Sprintf("%s/%s/%s", version, f.name, method), func(t *testing.T) {
					t.Parallel()
					testVersion(t, version, f, m)
				})
			}
		}
	}
}

func testVersion(t *testing.T, version string, f form, m basebackup.WALMethod) {
	dir := t.TempDir()
	location := filepath.Join(dir, "space")
	if f.name == oneForm.name {
		location = ""
	}
	known := version
	if major(version) > 19 {
		known = "19.0"
	}
	c := &pgfake.Cluster{Version: version, SystemID: 42, Data: pgfake.SmallData(known, location)}
	s := pgfake.Serve(t, c)
	path := filepath.Join(dir, "backup")
	var out bytes.Buffer
	result, err := basebackup.Run(context.Background(), basebackup.Options{
		Connect: connector(t, s), WAL: m, FastCheckpoint: true,
		PrimaryConnInfo: func(replproto.Version) string { return "host='a b'" },
	}, f.make(path, &out))
	if err != nil {
		t.Fatal(err)
	}

	files := f.read(t, path, &out)
	if f.name == plainForm.name && location != "" {
		for name, content := range readTree(t, location) {
			files["pg_tblspc/16384/"+name] = content
		}
		if files["pg_tblspc/16384"] != "-> "+location {
			t.Errorf("pg_tblspc/16384 is %q", files["pg_tblspc/16384"])
		}
	}
	for _, want := range c.Data.Files {
		name := strings.TrimSuffix(want.Path, "/")
		content, ok := files[name]
		if name == "postgresql.auto.conf" && major(version) >= 12 {
			want.Data = append(want.Data, "primary_conninfo = 'host=''a b'''\n"...)
		}
		if name != want.Path {
			continue // a directory
		}
		if !ok || content != string(want.Data) {
			t.Errorf("%s: there %v, %d bytes, want %d", name, ok, len(content), len(want.Data))
		}
	}
	for _, space := range c.Data.Tablespaces {
		for _, want := range space.Files {
			name := fmt.Sprintf("pg_tblspc/%d/%s", space.OID, want.Path)
			if content, ok := files[name]; !ok || content != string(want.Data) {
				t.Errorf("%s: there %v, %d bytes, want %d", name, ok, len(content), len(want.Data))
			}
		}
	}
	for _, name := range []string{"backup_label", "global/pg_control"} {
		if files[name] == "" {
			t.Errorf("%s is missing; there are %s", name, names(files))
		}
	}
	// The server sends one, if only an empty one, with every tar from 9.5 on.
	_, hasMap := files["tablespace_map"]
	if want := f.name != plainForm.name && (major(version) >= 10 || version >= "9.5"); hasMap != want {
		t.Errorf("tablespace_map there: %v, want %v", hasMap, want)
	}
	if major(version) >= 12 {
		if content, ok := files["standby.signal"]; !ok || content != "" {
			t.Errorf("standby.signal: there %v, %q", ok, content)
		}
	} else if got := files["recovery.conf"]; got != "standby_mode = 'on'\nprimary_conninfo = 'host=''a b'''\n" {
		t.Errorf("recovery.conf is %q", got)
	}
	_, hasManifest := files["backup_manifest"]
	if want := major(version) >= 13; hasManifest != want || result.Manifest != want || result.Verified != want {
		t.Errorf("manifest there: %v, result %+v", hasManifest, result)
	}
	segments, segmentSize := 0, int64(1<<20)
	if major(version) < 11 {
		segmentSize = 16 << 20
	}
	for name, content := range files {
		if strings.HasSuffix(name, ".tmp") {
			t.Errorf("%s was left", name)
		}
		if base := filepath.Base(name); len(base) == 24 && (strings.HasPrefix(name, "pg_wal/") || strings.HasPrefix(name, "pg_xlog/")) {
			segments++
			// The segment with the stop point is not whole when it is streamed.
			last := base == wal.SegmentName(result.Timeline, wal.SegmentNumber(result.Stop, segmentSize), segmentSize)
			if _, ok := files[filepath.Dir(name)+"/archive_status/"+base+".done"]; !ok && !(last && m == basebackup.WALStream) {
				t.Errorf("%s has no archive status", name)
			}
			if m == basebackup.WALStream {
				want := c.LogBytes(result.Timeline, result.Start&^lsn.LSN(segmentSize-1), result.Stop)
				if !strings.HasPrefix(content, string(want[:min(len(want), len(content))])) {
					t.Errorf("%s is not what the server has", name)
				}
			}
		}
	}
	if (segments > 0) != (m != basebackup.WALNone) {
		t.Errorf("%d segments of WAL", segments)
	}
	if result.SystemID != 42 || result.Start == 0 || result.Stop < result.Start || result.Bytes == 0 || len(result.Tablespaces) != len(c.Data.Tablespaces)+1 {
		t.Errorf("result: %+v", result)
	}
}
