package pgfake_test

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/internal/pgfake"
	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/replproto"
)

func TestRecordedBackupsCanBeTaken(t *testing.T) {
	for _, c := range []struct {
		name        string
		o           replproto.BaseBackupOptions
		start, stop lsn.LSN
		sizes       [2]int
		members     int
	}{
		{"tar_fetch.1", replproto.BaseBackupOptions{Label: "another", WAL: true, TablespaceMap: true}, 0x4000028, 0x40000C0, [2]int{18944, 40993792}, 978},
		{"plain_stream.1", replproto.BaseBackupOptions{NoWait: true}, 0x5000028, 0x50000C0, [2]int{18944, 24215040}, 976},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := replicate(t, pgfake.Replay(t, c.name).ConnString())
			if v := conn.ServerVersionString(); v != "9.5.3" {
				t.Errorf("version %s", v)
			}
			for range 3 { // asked as often as we like
				sys, err := conn.IdentifySystem(deadline(t))
				if err != nil || sys.ID != 7710876247589456981 || sys.Timeline != 1 {
					t.Fatalf("IdentifySystem = %+v, %v", sys, err)
				}
			}
			b, err := takeBackup(t, conn, c.o)
			if err != nil {
				t.Fatal(err)
			}
			if b.start != c.start || b.stop != c.stop || len(b.names) != 2 {
				t.Errorf("from %v to %v, archives %q", b.start, b.stop, b.names)
			}
			archives := pgfake.RecordedArchives(t, c.name)
			for i, n := range b.names {
				// The client may have put the end of the archive where it belongs.
				got, end := bytes.CutPrefix(b.archives[n], archives[i])
				if len(archives[i]) != c.sizes[i] || !end || !bytes.HasPrefix(pgfake.TarTrailer, got) {
					t.Errorf("%s: %d bytes, recorded were %d", n, len(b.archives[n]), len(archives[i]))
				}
			}
			names, contents := members(t, archives[1])
			if len(names) != c.members || names[0] != "backup_label" || !strings.HasPrefix(string(contents["PG_VERSION"]), "9.5") {
				t.Errorf("%d members, first %s", len(names), names[0])
			}
			if c.o.WAL {
				return
			}
			// A second backup gets the same again.
			if again, err := takeBackup(t, conn, c.o); err != nil || again.stop != b.stop {
				t.Errorf("second backup: %v", err)
			}
		})
	}
}

func TestRecordedLogCanBeStreamed(t *testing.T) {
	for _, c := range []struct {
		name        string
		recorded    lsn.LSN
		start, stop lsn.LSN // what is asked for, and where the client says CopyDone
		end         lsn.LSN
	}{
		{"plain_stream.2", 0x5000000, 0x5000000, 0x6000000, 0x6000000},
		{"plain_stream.2", 0x5000000, 0x5000000, 0x5000098, 0x6000000},
		{"plain_stream.2", 0x5000000, 0x5800123, 0x6000000, 0x6000000},
		{"receivexlog.1", 0x6000000, 0x6000000, 0x9000050, 0x9000050},
		{"receivexlog.1", 0x6000000, 0x8FFFFFF, 0x9000050, 0x9000050},
	} {
		start, log := pgfake.RecordedWAL(t, c.name)
		if start != c.recorded || start+lsn.LSN(len(log)) != c.end {
			t.Errorf("%s: %d bytes of log from %v", c.name, len(log), start)
		}
		if magic := binary.LittleEndian.Uint16(log); magic != 0xD087 {
			t.Errorf("%s: page magic %X", c.name, magic)
		}
		conn := replicate(t, pgfake.Replay(t, c.name).ConnString())
		r, err := conn.StartReplication(deadline(t), replproto.ReplicationOptions{Start: c.start, Timeline: 1})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.SendStatus(replproto.Status{Write: c.start}); err != nil {
			t.Fatal(err)
		}
		got, _ := follow(t, r, func(pos lsn.LSN, _ int) bool { return pos >= c.stop })
		if next, err := r.End(); err != nil || next != nil {
			t.Errorf("%s: End() = %v, %v", c.name, next, err)
		}
		if want := log[c.start-start:]; len(got) < int(c.stop-c.start) || !bytes.HasPrefix(want, got) {
			t.Errorf("%s from %v to %v: %d bytes differ from the recorded ones", c.name, c.start, c.stop, len(got))
		}
		if _, err := conn.IdentifySystem(deadline(t)); err != nil {
			t.Errorf("%s: after the stream: %v", c.name, err)
		}
	}
}

func TestRecordingsAreFoundByQuery(t *testing.T) {
	s := pgfake.Replay(t, "plain_stream.1", "plain_stream.2")
	// The stream is asked for on the first connection here.
	stream, backup := replicate(t, s.ConnString()), replicate(t, s.ConnString())
	r, err := stream.StartReplication(deadline(t), replproto.ReplicationOptions{Start: 0x5000000, Timeline: 1})
	if err != nil {
		t.Fatal(err)
	}
	b, err := backup.BaseBackup(deadline(t), replproto.BaseBackupOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if a, err := b.Next(); err != nil || a.Tablespace.OID != 16387 {
		t.Errorf("first archive %+v, %v", a, err)
	}
	if m, err := r.Receive(); err != nil {
		t.Errorf("stream: %v, %v", m, err)
	}
}

func TestReplayFailsTheTestForWhatWasNotRecorded(t *testing.T) {
	for _, q := range []string{"SHOW wal_segment_size", "TIMELINE_HISTORY 1", "START_REPLICATION 0/5000000", "BASE_BACKUP MANIFEST 'yes'"} {
		r := &recorder{TB: t}
		s := pgfake.Replay(r, "tar_fetch.1")
		_, err := query(t, connect(t, s.ConnString()), q)
		if got := r.finish(); err == nil || !strings.Contains(got, "no answer to \""+q+"\"") {
			t.Errorf("%s: %v, and the test was told %q", q, err, got)
		}
	}
}

func port(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }
