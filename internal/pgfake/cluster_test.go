package pgfake_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgbasin/pgbasin/conninfo"
	"github.com/pgbasin/pgbasin/internal/pgfake"
	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/manifest"
	"github.com/pgbasin/pgbasin/replproto"
	"github.com/pgbasin/pgbasin/wal"
)

// allVersions has one server of each major version.
var allVersions = []string{
	"9.1.24", "9.2.24", "9.3.25", "9.4.26", "9.5.25", "9.6.24", "10.23", "11.22", "12.22", "13.23", "14.20",
	"15.18 (Debian 15.18-0+deb12u1)", "16.10", "17.6", "18.4", "19devel",
}

func replicate(t *testing.T, text string) *replproto.Conn {
	t.Helper()
	given, err := conninfo.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	settings, err := conninfo.Resolve(given, nil)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := replproto.Connect(deadline(t), &replproto.Config{Settings: settings})
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// received is a whole backup as a client got it.
type received struct {
	start, stop lsn.LSN
	spaces      []replproto.Tablespace
	names       []string
	archives    map[string][]byte
}

func takeBackup(t *testing.T, conn *replproto.Conn, o replproto.BaseBackupOptions) (*received, error) {
	t.Helper()
	b, err := conn.BaseBackup(deadline(t), o)
	if err != nil {
		return nil, err
	}
	r := &received{start: b.Start, spaces: b.Tablespaces, archives: map[string][]byte{}}
	for {
		a, err := b.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return r, err
		}
		data, err := io.ReadAll(a)
		if err != nil {
			return r, err
		}
		name := a.Name
		if a.Manifest {
			name = "backup_manifest"
		}
		r.names = append(r.names, name)
		r.archives[name] = data
	}
	r.stop, _, err = b.Finish()
	return r, err
}

// members reads a tar with or without its trailer.
func members(t *testing.T, archive []byte) (names []string, contents map[string][]byte) {
	t.Helper()
	contents = map[string][]byte{}
	r := tar.NewReader(io.MultiReader(bytes.NewReader(archive), bytes.NewReader(pgfake.TarTrailer)))
	for {
		h, err := r.Next()
		if err == io.EOF {
			return names, contents
		}
		if err != nil {
			t.Fatalf("tar: %v", err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatalf("tar: %s: %v", h.Name, err)
		}
		names = append(names, h.Name)
		contents[h.Name] = data
	}
}

func TestClustersOfEveryVersionGiveWholeBackups(t *testing.T) {
	for _, version := range allVersions {
		t.Run(version, func(t *testing.T) {
			c := &pgfake.Cluster{Version: version, Data: pgfake.SmallData(version, "/spaces/one")}
			if v := number(version); v < 1000 && v != 906 {
				c.SegmentSize = 1 << 20 // not what these have, but quick
			}
			conn := replicate(t, pgfake.Serve(t, c).ConnString())
			v := conn.ServerVersion()
			sys, err := conn.IdentifySystem(deadline(t))
			if err != nil || sys.ID != c.SystemID || sys.Timeline != 1 || sys.Position != c.Flush {
				t.Fatalf("IdentifySystem = %+v, %v", sys, err)
			}
			o := replproto.BaseBackupOptions{Label: "it's", Progress: true, WAL: true, FastCheckpoint: true, Manifest: v >= 130000, TablespaceMap: v >= 90500}
			b, err := takeBackup(t, conn, o)
			if err != nil {
				t.Fatal(err)
			}
			if b.start != 0x2000028 || b.stop != 0x2000100 {
				t.Errorf("backup from %v to %v", b.start, b.stop)
			}
			want := []string{"16384.tar", "base.tar"}
			if v >= 130000 {
				want = append(want, "backup_manifest")
			}
			if got := strings.Join(b.names, " "); got != strings.Join(want, " ") {
				t.Errorf("archives %s, want %s", got, want)
			}
			if s := b.spaces; len(s) != 2 || s[0].OID != 16384 || s[0].Location != "/spaces/one" || s[1].OID != 0 || s[1].Size <= 0 {
				t.Errorf("tablespaces = %+v", s)
			}
			names, contents := members(t, b.archives["base.tar"])
			if names[0] != "backup_label" || !strings.Contains(string(contents["backup_label"]), "\nLABEL: it's\n") {
				t.Errorf("first member %s: %q", names[0], contents["backup_label"])
			}
			if v >= 90500 && string(contents["tablespace_map"]) != "16384 /spaces/one\n" {
				t.Errorf("tablespace_map = %q", contents["tablespace_map"])
			}
			dir := "pg_wal/"
			if v < 100000 {
				dir = "pg_xlog/"
			}
			segment := dir + wal.SegmentName(1, wal.SegmentNumber(b.start, c.SegmentSize), c.SegmentSize)
			control, log := index(names, "global/pg_control"), index(names, segment)
			if control < 0 || log != control+1 || len(contents[segment]) != int(c.SegmentSize) {
				t.Errorf("control file at %d, segment %s at %d with %d bytes, of %d members", control, segment, log, len(contents[segment]), len(names))
			}
			if v >= 130000 {
				checkManifest(t, b)
			}
		})
	}
}

func index(names []string, name string) int {
	for i, n := range names {
		if n == name {
			return i
		}
	}
	return -1
}

// checkManifest compares a backup with its manifest, with the code that users
// rely on.
func checkManifest(t *testing.T, b *received) {
	t.Helper()
	l := manifest.NewLedger(t.TempDir(), manifest.CRC32C)
	defer l.Close()
	for _, name := range b.names {
		if name == "backup_manifest" {
			continue
		}
		names, contents := members(t, b.archives[name])
		for _, n := range names {
			if strings.HasSuffix(n, "/") || wal.IsSegmentName(path.Base(n)) {
				continue
			}
			sum := manifest.CRC32C.New()
			sum.Write(contents[n])
			if name != "base.tar" {
				n = "pg_tblspc/" + strings.TrimSuffix(name, ".tar") + "/" + n
			}
			if err := l.Add(n, int64(len(contents[strings.TrimPrefix(n, "pg_tblspc/16384/")])), sum.Sum(nil)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := l.Verify(manifest.NewReader(bytes.NewReader(b.archives["backup_manifest"]))); err != nil {
		t.Errorf("manifest: %v", err)
	}
}

func TestBackupsShowWhatWasAskedFor(t *testing.T) {
	for _, c := range []struct {
		version string
		o       replproto.BaseBackupOptions
		check   func(t *testing.T, b *received)
	}{
		{"14.1", replproto.BaseBackupOptions{}, func(t *testing.T, b *received) {
			names, contents := members(t, b.archives["base.tar"])
			if index(names, "tablespace_map") >= 0 || index(names, "pg_tblspc/16384/") < 0 {
				t.Errorf("without TABLESPACE_MAP the link is not in the archive: %q", names)
			}
			if len(b.names) != 2 || b.spaces[0].Size != -1 {
				t.Errorf("archives %q, size %d", b.names, b.spaces[0].Size)
			}
			if index(names, "./pg_wal/archive_status/") < 0 || index(names, "./pg_wal/summaries/") >= 0 {
				t.Errorf("members %q", names)
			}
			_ = contents
		}},
		{"17.1", replproto.BaseBackupOptions{TablespaceMap: true, Manifest: true, ManifestForceEncode: true, ManifestChecksums: "sha256"}, func(t *testing.T, b *received) {
			names, _ := members(t, b.archives["base.tar"])
			if index(names, "pg_tblspc/16384/") >= 0 || index(names, "./pg_wal/summaries/") < 0 {
				t.Errorf("members %q", names)
			}
			m := string(b.archives["backup_manifest"])
			if !strings.Contains(m, "\"Encoded-Path\": \"6261636b75705f6c6162656c\"") || !strings.Contains(m, "\"SHA256\"") || !strings.Contains(m, "\"System-Identifier\": 7210987654321098765,") {
				t.Errorf("manifest: %.400s", m)
			}
		}},
		{"15.1", replproto.BaseBackupOptions{Compression: "gzip"}, func(t *testing.T, b *received) {
			if b.names[1] != "base.tar.gz" || !bytes.HasPrefix(b.archives["base.tar.gz"], []byte("\x1f\x8b")) {
				t.Errorf("archives %q", b.names)
			}
		}},
		{"16.1", replproto.BaseBackupOptions{Target: "blackhole"}, func(t *testing.T, b *received) {
			for n, a := range b.archives {
				if len(a) > 0 {
					t.Errorf("%d bytes of %s came from a blackhole", len(a), n)
				}
			}
		}},
	} {
		cluster := &pgfake.Cluster{Version: c.version, Data: pgfake.SmallData(c.version, "/spaces/one")}
		conn := replicate(t, pgfake.Serve(t, cluster).ConnString())
		b, err := takeBackup(t, conn, c.o)
		if err != nil {
			t.Errorf("%s: %v", c.version, err)
			continue
		}
		c.check(t, b)
		if n := len(cluster.Requests()); n != 1 {
			t.Errorf("%d requests", n)
		}
	}
}

// state is the SQLSTATE of a refusal, "" without one.
func state(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

func TestCommandsAreRefusedAsTheVersionWould(t *testing.T) {
	for _, c := range []struct{ since, until, query, state string }{
		// What came when, and the SQLSTATE before.
		{"9.1", "9.3", "TIMELINE_HISTORY 1", "42601"},
		{"9.3", "", "TIMELINE_HISTORY 1", "58P01"},
		{"9.1", "9.4", "CREATE_REPLICATION_SLOT a PHYSICAL", "42601"},
		{"9.4", "9.6", "CREATE_REPLICATION_SLOT a PHYSICAL RESERVE_WAL", "42601"},
		{"9.4", "10", "CREATE_REPLICATION_SLOT a TEMPORARY PHYSICAL", "42601"},
		{"9.4", "15", "CREATE_REPLICATION_SLOT a PHYSICAL (RESERVE_WAL)", "42601"},
		{"9.4", "", "CREATE_REPLICATION_SLOT a PHYSICAL", ""},
		{"10", "", "CREATE_REPLICATION_SLOT \"a\" TEMPORARY PHYSICAL RESERVE_WAL", ""},
		{"15", "", "CREATE_REPLICATION_SLOT a PHYSICAL (RESERVE_WAL)", ""},
		{"15", "", "CREATE_REPLICATION_SLOT a PHYSICAL (NONSENSE)", "XX000"},
		{"9.4", "", "CREATE_REPLICATION_SLOT \"A-b\" PHYSICAL", "42602"},
		{"9.4", "", "DROP_REPLICATION_SLOT a", "42704"},
		{"9.4", "10", "DROP_REPLICATION_SLOT a WAIT", "42601"},
		{"10", "", "DROP_REPLICATION_SLOT a WAIT", "42704"},
		{"9.1", "10", "READ_REPLICATION_SLOT a", "42601"},
		{"10", "15", "READ_REPLICATION_SLOT a", "0A000"},
		{"15", "", "READ_REPLICATION_SLOT a", ""},
		{"9.1", "10", "SHOW wal_segment_size", "42601"},
		{"10", "", "SHOW wal_segment_size", ""},
		{"10", "11", "SHOW data_directory_mode", "42704"},
		{"11", "", "SHOW data_directory_mode", ""},
		{"10", "", "SHOW no.such", "42704"},
		{"9.1", "10", "SELECT 1", "42601"},
		{"10", "", "SELECT 1", "0A000"},
		{"9.1", "", "IDENTIFY_SYSTEM;", ""},
		{"9.1", "", "IDENTIFY_SYSTEM 1", "42601"},
		{"9.3", "", "START_REPLICATION 0/2000000 TIMELINE 0", "42601"},
		{"9.3", "", "START_REPLICATION 0/2000000 TIMELINE 9", "XX000"},
		{"9.4", "", "START_REPLICATION SLOT a 0/2000000", "42704"},
		{"17", "", "BASE_BACKUP (INCREMENTAL)", "55000"},
		{"15", "17", "BASE_BACKUP (INCREMENTAL)", "42601"},
		// The old syntax.
		{"9.1", "15", "BASE_BACKUP LABEL 'x' NOWAIT FAST WAL PROGRESS", ""},
		{"9.1", "15", "BASE_BACKUP FAST LABEL 'x'", ""},
		{"9.1", "15", "BASE_BACKUP FAST FAST", "42601"},
		{"9.1", "15", "BASE_BACKUP (LABEL 'x')", "42601"},
		{"9.1", "9.4", "BASE_BACKUP MAX_RATE 32", "42601"},
		{"9.4", "15", "BASE_BACKUP MAX_RATE 32", ""},
		{"9.1", "9.5", "BASE_BACKUP TABLESPACE_MAP", "42601"},
		{"9.5", "15", "BASE_BACKUP TABLESPACE_MAP", ""},
		{"9.1", "11", "BASE_BACKUP NOVERIFY_CHECKSUMS", "42601"},
		{"11", "15", "BASE_BACKUP NOVERIFY_CHECKSUMS", ""},
		{"9.1", "13", "BASE_BACKUP MANIFEST 'yes'", "42601"},
		{"13", "15", "BASE_BACKUP MANIFEST 'yes' MANIFEST_CHECKSUMS 'sha512'", ""},
		{"13", "15", "BASE_BACKUP MANIFEST_CHECKSUMS 'sha512'", "42601"},
		{"13", "15", "BASE_BACKUP MANIFEST 'maybe'", "42601"},
		// The new one.
		{"15", "", "BASE_BACKUP LABEL 'x'", "42601"},
		{"15", "", "BASE_BACKUP", ""},
		{"15", "", "BASE_BACKUP (label 'x', CHECKPOINT fast, WAL, WAIT 0, max_rate 1048576, TABLESPACE_MAP true)", ""},
		{"15", "", "BASE_BACKUP (NONSENSE)", "42601"},
		{"15", "", "BASE_BACKUP (WAL, WAL)", "42601"},
		{"15", "", "BASE_BACKUP (WAL 'perhaps')", "42601"},
		{"15", "", "BASE_BACKUP (LABEL)", "42601"},
		{"15", "", "BASE_BACKUP (LABEL 'x'", "42601"},
		{"15", "", "BASE_BACKUP (CHECKPOINT 'slow')", "42601"},
		{"15", "", "BASE_BACKUP (MAX_RATE 31)", "22003"},
		{"15", "", "BASE_BACKUP (TARGET 'moon')", "0A000"},
		{"15", "", "BASE_BACKUP (TARGET 'server')", "42601"},
		{"15", "", "BASE_BACKUP (TARGET 'blackhole', TARGET_DETAIL 'x')", "42601"},
		{"15", "", "BASE_BACKUP (TARGET_DETAIL 'x')", "42601"},
		{"15", "", "BASE_BACKUP (COMPRESSION 'rar')", "42601"},
		{"15", "", "BASE_BACKUP (COMPRESSION_DETAIL '1')", "42601"},
	} {
		for _, version := range allVersions {
			if number(version) < number(c.since) || c.until != "" && number(version) >= number(c.until) {
				continue
			}
			// Two queries, to see that the session goes on after the first.
			conn := connect(t, pgfake.Serve(t, &pgfake.Cluster{Version: version, SegmentSize: 1 << 20}).ConnString())
			if _, err := query(t, conn, c.query); state(err) != c.state {
				t.Errorf("%s on %s: %v, want SQLSTATE %q", c.query, version, err, c.state)
			}
			if got, err := query(t, conn, "IDENTIFY_SYSTEM"); err != nil || len(got) != 1 {
				t.Errorf("%s on %s: IDENTIFY_SYSTEM after it: %q, %v", c.query, version, got, err)
			}
			conn.Close(deadline(t))
		}
	}
}

// number makes "9.5" and "15.18 (Debian)" comparable.
func number(version string) int {
	var a, b int
	fmt.Sscanf(version, "%d.%d", &a, &b)
	if a >= 10 {
		return a * 100
	}
	return a*100 + b
}
