package replproto

import (
	"errors"
	"testing"
)

func TestBaseBackupCommandFollowsTheServersVersion(t *testing.T) {
	all := BaseBackupOptions{
		Label: "it's a: label", Progress: true, FastCheckpoint: true, WAL: true, NoWait: true, MaxRate: 1024,
		TablespaceMap: true, NoVerifyChecksums: true, Manifest: true, ManifestForceEncode: true, ManifestChecksums: "SHA256",
	}
	old := all
	old.Manifest, old.ManifestForceEncode, old.ManifestChecksums = false, false, ""
	oldest := old
	oldest.MaxRate = 0
	server := all
	server.Target, server.TargetDetail = "server", "/backups/o'clock"
	server.Compression, server.CompressionDetail = "zstd", "level=3,workers=2"
	for _, c := range []struct {
		version Version
		o       BaseBackupOptions
		want    string
	}{
		{90100, oldest, "BASE_BACKUP LABEL 'it''s a: label' PROGRESS WAL FAST NOWAIT"},
		{90400, old, "BASE_BACKUP LABEL 'it''s a: label' PROGRESS WAL FAST NOWAIT MAX_RATE 1024"},
		{90500, old, "BASE_BACKUP LABEL 'it''s a: label' PROGRESS WAL FAST NOWAIT MAX_RATE 1024 TABLESPACE_MAP"},
		{110000, old, "BASE_BACKUP LABEL 'it''s a: label' PROGRESS WAL FAST NOWAIT MAX_RATE 1024 TABLESPACE_MAP NOVERIFY_CHECKSUMS"},
		{140012, all, "BASE_BACKUP LABEL 'it''s a: label' PROGRESS WAL FAST NOWAIT MAX_RATE 1024 TABLESPACE_MAP NOVERIFY_CHECKSUMS MANIFEST 'force-encode' MANIFEST_CHECKSUMS 'SHA256'"},
		{150000, all, "BASE_BACKUP (LABEL 'it''s a: label', PROGRESS, WAL, CHECKPOINT 'fast', WAIT 0, MAX_RATE 1024, TABLESPACE_MAP, VERIFY_CHECKSUMS 0, MANIFEST 'force-encode', MANIFEST_CHECKSUMS 'SHA256', TARGET 'client')"},
		{190000, server, "BASE_BACKUP (LABEL 'it''s a: label', PROGRESS, WAL, CHECKPOINT 'fast', WAIT 0, MAX_RATE 1024, TABLESPACE_MAP, VERIFY_CHECKSUMS 0, MANIFEST 'force-encode', MANIFEST_CHECKSUMS 'SHA256', TARGET 'server', TARGET_DETAIL '/backups/o''clock', COMPRESSION 'zstd', COMPRESSION_DETAIL 'level=3,workers=2')"},
		{170000, BaseBackupOptions{Incremental: true}, "BASE_BACKUP (INCREMENTAL, LABEL '', TARGET 'client')"},
	} {
		got, err := c.o.command(c.version, "x")
		if err != nil || got != c.want {
			t.Errorf("server %d:\n got %s, %v\nwant %s", c.version, got, err, c.want)
		}
	}
}

func TestWhatTheServerIsTooOldForIsRefusedByName(t *testing.T) {
	for _, c := range []struct {
		version Version
		o       BaseBackupOptions
		want    string
	}{
		{90024, BaseBackupOptions{}, "BASE_BACKUP needs server version 9.1 or later, this server is 1.2.3"},
		{90300, BaseBackupOptions{MaxRate: 32}, "a maximum transfer rate needs server version 9.4 or later, this server is 1.2.3"},
		{120000, BaseBackupOptions{Manifest: true}, "a backup manifest needs server version 13 or later, this server is 1.2.3"},
		{140000, BaseBackupOptions{Target: "blackhole"}, "a backup target needs server version 15 or later, this server is 1.2.3"},
		{140000, BaseBackupOptions{Compression: "gzip"}, "server-side compression needs server version 15 or later, this server is 1.2.3"},
		{160000, BaseBackupOptions{Incremental: true}, "an incremental backup needs server version 17 or later, this server is 1.2.3"},
	} {
		_, err := c.o.command(c.version, "1.2.3")
		var unsupported *UnsupportedError
		if !errors.As(err, &unsupported) || err.Error() != c.want {
			t.Errorf("server %d: %v; want %s", c.version, err, c.want)
		}
	}
}
