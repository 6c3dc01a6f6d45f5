package pgfake_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/pgbasin/pgbasin/internal/pgfake"
	"github.com/pgbasin/pgbasin/replproto"
)

// tampered takes a backup from a cluster with one thing changed.
func tampered(t *testing.T, version string, tamper pgfake.Tamper) (*received, error) {
	t.Helper()
	c := &pgfake.Cluster{Version: version, SegmentSize: 1 << 20, Tamper: tamper}
	conn := replicate(t, pgfake.Serve(t, c).ConnString())
	return takeBackup(t, conn, replproto.BaseBackupOptions{Manifest: conn.ServerVersion() >= 130000})
}

func TestTamperChangesOneThing(t *testing.T) {
	data := func(n int) pgfake.At { return pgfake.At{Part: pgfake.PartData, Archive: "base.tar", N: n} }
	for _, version := range []string{"14.2", "15.3"} {
		clean, err := tampered(t, version, nil)
		if err != nil {
			t.Fatal(err)
		}
		same := func(b *received) bool { return bytes.Equal(b.archives["base.tar"], clean.archives["base.tar"]) }
		for _, c := range []struct {
			name   string
			tamper pgfake.Tamper
			check  func(b *received, err error) bool
		}{
			{"a notice and a parameter inside a COPY", pgfake.After(data(1), pgfake.Notice("WARNING", "01000", "careful"), pgfake.ParameterStatus("application_name", "x")),
				func(b *received, err error) bool { return err == nil && same(b) }},
			{"a message left out", pgfake.Replace(data(0)),
				func(b *received, err error) bool { return err == nil && !same(b) }},
			{"a message twice", pgfake.Change(data(0), func(m pgfake.Message) []pgfake.Message { return []pgfake.Message{m, m} }),
				func(b *received, err error) bool {
					return err == nil && len(b.archives["base.tar"]) > len(clean.archives["base.tar"])
				}},
			{"an error in the middle", pgfake.Before(data(1), pgfake.Error("ERROR", "58030", "could not read file")),
				func(b *received, err error) bool { return replproto.HasCode(err, "58030") }},
			{"the end in the middle", pgfake.Before(data(1), pgfake.Close(pgfake.FIN)),
				func(b *received, err error) bool { return err != nil }},
			{"two changes", pgfake.Tampers(pgfake.Replace(data(0)), pgfake.Replace(pgfake.At{Part: pgfake.PartManifest, N: pgfake.Any})),
				func(b *received, err error) bool { return len(b.archives["backup_manifest"]) == 0 && !same(b) }},
		} {
			b, err := tampered(t, version, c.tamper)
			if !c.check(b, err) {
				t.Errorf("%s: %s: got %v", version, c.name, err)
			}
		}
	}
}

func TestEditChangesTheBackupItself(t *testing.T) {
	c := &pgfake.Cluster{Version: "15.3", Edit: func(r pgfake.BackupRequest, b *pgfake.BaseBackup) {
		b.Archives[0].SizeKB = 1 << 40
	}}
	conn := replicate(t, pgfake.Serve(t, c).ConnString())
	b, err := conn.BaseBackup(deadline(t), replproto.BaseBackupOptions{Progress: true})
	if err != nil {
		t.Fatal(err)
	}
	if b.Tablespaces[0].Size != 1<<50 {
		t.Errorf("size = %d", b.Tablespaces[0].Size)
	}
}

func TestWarningsEndABackupInAnError(t *testing.T) {
	c := &pgfake.Cluster{Version: "15.3", Edit: func(r pgfake.BackupRequest, b *pgfake.BaseBackup) {
		b.Warnings = []string{"checksum verification failed"}
	}}
	conn := replicate(t, pgfake.Serve(t, c).ConnString())
	var notices []string
	conn.SetNotice(func(n *replproto.Notice) { notices = append(notices, n.Message) })
	_, err := takeBackup(t, conn, replproto.BaseBackupOptions{})
	if !replproto.HasCode(err, "XX001") || len(notices) != 1 {
		t.Errorf("backup: %v, notices %q", err, notices)
	}
}

func TestFaultsOfAClusterHappenAtTheirByte(t *testing.T) {
	run := func(t *testing.T, faults []pgfake.Fault, ctx context.Context) (sent int64, err error) {
		c := &pgfake.Cluster{Version: "14.2", SplitWrites: 4000, Faults: func(n int) []pgfake.Fault { return faults }}
		s := pgfake.Serve(t, c)
		conn := replicate(t, s.ConnString())
		b, err := conn.BaseBackup(ctx, replproto.BaseBackupOptions{})
		for err == nil {
			var a *replproto.Archive
			if a, err = b.Next(); err == nil {
				_, err = a.WriteTo(io.Discard)
			}
		}
		if err == io.EOF {
			_, _, err = b.Finish()
		}
		return s.Sent(), err
	}
	whole, err := run(t, nil, deadline(t))
	if err != nil {
		t.Fatal(err)
	}
	const readyForQuery = 6
	for _, at := range []int64{whole / 2, whole - readyForQuery} {
		for _, kind := range []pgfake.CloseKind{pgfake.FIN, pgfake.RST} {
			sent, err := run(t, []pgfake.Fault{{After: at, Kind: kind}}, deadline(t))
			if sent != at || err == nil {
				t.Errorf("%v after %d: %d bytes sent, %v", kind, at, sent, err)
			}
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if sent, err := run(t, []pgfake.Fault{{After: whole / 2, Kind: pgfake.Hang}}, ctx); sent != whole/2 || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("hanging after %d: %d bytes sent, %v", whole/2, sent, err)
	}
	g := pgfake.NewGate()
	go func() {
		<-g.Reached()
		g.Release()
	}()
	if sent, err := run(t, []pgfake.Fault{{After: whole / 2, Gate: g}}, deadline(t)); sent != whole || err != nil {
		t.Errorf("after a stall: %d bytes sent, %v", sent, err)
	}
}

func TestRefusalsAtStartup(t *testing.T) {
	full := pgfake.Error("FATAL", "53300", "number of requested standby connections exceeds max_wal_senders (currently 10)")
	s := pgfake.Serve(t, &pgfake.Cluster{Version: "15.3", Refuse: func(n int) *pgfake.Message {
		if n == 0 {
			return &full
		}
		return nil
	}})
	if _, err := tryConnect(t, s.ConnString()); state(err) == "" || !strings.Contains(err.Error(), "53300") {
		t.Errorf("first connection: %v", err)
	}
	connect(t, s.ConnString())
	s = pgfake.Serve(t, &pgfake.Cluster{Version: "15.3", Password: "right"})
	if _, err := tryConnect(t, s.ConnString("password=wrong")); err == nil || !strings.Contains(err.Error(), "28P01") {
		t.Errorf("wrong password: %v", err)
	}
	connect(t, s.ConnString("password=right"))
}
