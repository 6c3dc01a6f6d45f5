package replproto_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/pgbasin/pgbasin/internal/peak"
	"github.com/pgbasin/pgbasin/internal/pgfake"
	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/replproto"
)

// enough is more memory than any answer takes, whatever a server sends.
const enough = 48 << 20

// A conversation is a command of the client, with all that follows it.
type conversation struct {
	name string
	run  func(context.Context, *replproto.Conn) error
}

var (
	identify = conversation{"IDENTIFY_SYSTEM", func(ctx context.Context, c *replproto.Conn) error {
		_, err := c.IdentifySystem(ctx)
		return err
	}}
	showSize = conversation{"SHOW wal_segment_size", func(ctx context.Context, c *replproto.Conn) error {
		_, err := c.SegmentSize(ctx)
		return err
	}}
	showMode = conversation{"SHOW data_directory_mode", func(ctx context.Context, c *replproto.Conn) error {
		_, err := c.DirMode(ctx)
		return err
	}}
	history = conversation{"TIMELINE_HISTORY", func(ctx context.Context, c *replproto.Conn) error {
		_, _, err := c.TimelineHistory(ctx, 2)
		return err
	}}
	readSlot = conversation{"READ_REPLICATION_SLOT", func(ctx context.Context, c *replproto.Conn) error {
		_, err := c.ReadSlot(ctx, "s")
		return err
	}}
	createSlot = conversation{"CREATE_REPLICATION_SLOT", func(ctx context.Context, c *replproto.Conn) error {
		return c.CreatePhysicalSlot(ctx, "new", replproto.SlotOptions{})
	}}
	dropSlot = conversation{"DROP_REPLICATION_SLOT", func(ctx context.Context, c *replproto.Conn) error {
		return c.DropSlot(ctx, "s", false)
	}}
	upload = conversation{"UPLOAD_MANIFEST", func(ctx context.Context, c *replproto.Conn) error {
		return c.UploadManifest(ctx, strings.NewReader("{}"))
	}}
	backup = conversation{"BASE_BACKUP", func(ctx context.Context, c *replproto.Conn) error {
		b, err := c.BaseBackup(ctx, replproto.BaseBackupOptions{Label: "x", Manifest: c.ServerVersion() >= 130000, Progress: true})
		if err != nil {
			return err
		}
		for {
			a, err := b.Next()
			if err == io.EOF {
				break
			}
			if err == nil {
				_, err = a.WriteTo(io.Discard)
			}
			if err != nil {
				return err
			}
		}
		_, _, err = b.Finish()
		return err
	}}
	// streaming asks for the end of the stream at its first message.
	streaming = conversation{"START_REPLICATION", func(ctx context.Context, c *replproto.Conn) error {
		r, err := c.StartReplication(ctx, replproto.ReplicationOptions{Start: 1 << 20, Timeline: 1})
		if err != nil {
			return err
		}
		for {
			if _, err = r.Receive(); err != nil {
				break
			}
			if err := r.Stop(); err != nil {
				return err
			}
		}
		if err != io.EOF {
			return err
		}
		_, err = r.End()
		return err
	}}
)

// lying is a server that does everything as it should but for one thing.
func lying(version string, tamper pgfake.Tamper) *pgfake.Cluster {
	return &pgfake.Cluster{
		Version: version, SystemID: 42, SegmentSize: 16 << 20, Start: 1 << 24, Stop: 1<<24 + 4096, Tamper: tamper,
		Slots: []pgfake.Slot{{Name: "s", RestartLSN: 1 << 20}}, Ancestors: []pgfake.Ancestor{{Timeline: 1, Switch: 2 << 20}},
	}
}

// batch is some 64 kB of one message.
func batch(m pgfake.Message) pgfake.Message {
	b := m.Bytes()
	return pgfake.RawBytes(bytes.Repeat(b, max(1, 64<<10/len(b))))
}

func forever(m pgfake.Message) pgfake.Message { return pgfake.Forever(batch(m)) }

func TestAServerThatTalksWithoutGettingOnIsGivenUpWithoutFillingMemory(t *testing.T) {
	const given = "server sent more than 67108864 bytes without getting on with its answer to "
	notice := pgfake.Notice("WARNING", "01000", strings.Repeat("blah ", 100))
	parameter := pgfake.ParameterStatus("search_path", strings.Repeat("x", 300))
	begins := map[string]pgfake.Part{
		backup.name: pgfake.PartStart, streaming.name: pgfake.PartCopyBegin, upload.name: pgfake.PartCopyBegin,
		createSlot.name: pgfake.PartResult, dropSlot.name: pgfake.PartComplete,
	}
	at := func(c conversation, part pgfake.Part) pgfake.At {
		return pgfake.At{Command: strings.Fields(c.name)[0], Part: part, N: 0}
	}
	type lie struct {
		name    string
		version string
		run     conversation
		tamper  pgfake.Tamper
	}
	var lies []lie
	for _, c := range []conversation{identify, showSize, history, readSlot, createSlot, dropSlot, upload, backup, streaming} {
		part := begins[c.name]
		if part == "" {
			part = pgfake.PartResult
		}
		lies = append(lies,
			lie{"notices before the answer to " + c.name, "18.4", c, pgfake.Before(at(c, part), forever(notice))},
			lie{"changed settings after the answer to " + c.name, "18.4", c, pgfake.Before(at(c, pgfake.PartReady), forever(parameter))},
		)
	}
	for _, v := range []string{"9.6.24", "14.23", "18.4"} {
		lies = append(lies,
			lie{"notices inside a COPY of " + v, v, backup, pgfake.Before(at(backup, pgfake.PartData), forever(notice))},
			lie{"empty pieces of an archive of " + v, v, backup, pgfake.Before(at(backup, pgfake.PartData), forever(emptyPiece(v)))},
		)
	}
	lies = append(lies,
		lie{"progress alone", "18.4", backup, pgfake.Before(at(backup, pgfake.PartData), forever(pgfake.CopyData([]byte("p\x00\x00\x00\x00\x00\x00\x00\x01"))))},
		lie{"row descriptions", "18.4", identify, pgfake.Before(at(identify, pgfake.PartResult), forever(pgfake.RowDescription("systemid")))},
		lie{"completions", "18.4", identify, pgfake.Before(at(identify, pgfake.PartReady), forever(pgfake.CommandComplete("SELECT")))},
		lie{"rows after an error", "18.4", identify, pgfake.Before(at(identify, pgfake.PartResult), pgfake.Error("ERROR", "XX000", "then I talk"), forever(pgfake.Row("x")))},
		lie{"WAL after it was asked to stop", "18.4", streaming, pgfake.Before(at(streaming, pgfake.PartWAL), forever(pgfake.XLogData(1<<20, 1<<20, make([]byte, 8192))))},
		lie{"keepalives after it was asked to stop", "18.4", streaming, pgfake.Before(at(streaming, pgfake.PartWAL), forever(pgfake.Keepalive(1<<63, true)))},
	)
	for _, l := range lies {
		t.Run(l.name, func(t *testing.T) {
			c := dial(t, pgfake.Serve(t, lying(l.version, l.tamper)))
			shown := 0
			c.SetNotice(func(*replproto.Notice) { shown++ })
			var err error
			memory := peak.Heap(func() { err = l.run.run(context.Background(), c) })
			want := given + strings.Fields(l.run.name)[0]
			if l.name == "rows after an error" {
				want = "ERROR:  then I talk"
			}
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error: %v\nwant one with %q", err, want)
			}
			if memory > enough {
				t.Errorf("it took %d MiB", memory>>20)
			}
			if strings.HasPrefix(l.name, "notices") && shown == 0 {
				t.Error("none of the notices was passed on")
			}
			if _, err := c.IdentifySystem(context.Background()); err == nil {
				t.Error("the connection is used on")
			}
		})
	}
}

// emptyPiece is a CopyData without a byte of an archive, in the layout of a version.
func emptyPiece(version string) pgfake.Message {
	if version == "18.4" {
		return pgfake.CopyData([]byte{'d'})
	}
	return pgfake.CopyData(nil)
}

func TestTheContextEndsACommandWhoseServerOnlyTalks(t *testing.T) {
	c := dial(t, pgfake.Serve(t, lying("18.4", pgfake.Before(pgfake.At{Command: "IDENTIFY_SYSTEM"}, pgfake.Forever(pgfake.Notice("WARNING", "01000", "and on"))))))
	ctx, cancel := context.WithCancelCause(context.Background())
	reason := errors.New("enough of this")
	c.SetNotice(func(*replproto.Notice) { cancel(reason) })
	if _, err := c.IdentifySystem(ctx); !errors.Is(err, reason) {
		t.Errorf("error: %v", err)
	}
}

func TestWhatAServerSaysBeforeItIsReadyIsBounded(t *testing.T) {
	var parameters strings.Builder
	for i := range 100_000 {
		parameters.WriteString(parameter(fmt.Sprintf("setting_%d", i), "on"))
	}
	for name, c := range map[string]struct{ before, again, want string }{
		"settings":            {auth(0, ""), parameters.String(), "server sent more than 1048576 bytes before it was ready for a command"},
		"one setting again":   {auth(0, ""), strings.Repeat(parameter("TimeZone", strings.Repeat("x", 1000)), 100), "server sent more than 1048576 bytes before it was ready for a command"},
		"notices":             {auth(0, ""), strings.Repeat(message('N', "SWARNING\x00C01000\x00Mno\x00\x00"), 1000), "server sent more than 1048576 bytes before it was ready for a command"},
		"it is authenticated": {auth(0, ""), strings.Repeat(auth(0, ""), 1000), "server sent more than 1048576 bytes before it was ready for a command"},
		"keys":                {auth(0, ""), strings.Repeat(message('K', "\x00\x00\x00\x07\x00\x00\x00\x09"), 1000), "server sent more than 1048576 bytes before it was ready for a command"},
		"two gigabytes of it": {auth(0, ""), "S\x7f\xff\xff\xffa\x00", "received an oversized message from the server"},
	} {
		t.Run(name, func(t *testing.T) {
			port := serve(t, func(nc net.Conn) {
				if _, err := readStartup(nc); err != nil {
					return
				}
				io.WriteString(nc, c.before)
				for err := error(nil); err == nil; {
					_, err = io.WriteString(nc, c.again)
				}
			})
			var err error
			memory := peak.Heap(func() {
				var conn *replproto.Conn
				if conn, err = replproto.Connect(context.Background(), config(t, "host=127.0.0.1 user=u sslmode=disable port="+port)); err == nil {
					conn.Close()
				}
			})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error: %v\nwant one with %q", err, c.want)
			}
			if memory > enough {
				t.Errorf("it took %d MiB", memory>>20)
			}
		})
	}
}

func TestResultsThatDoNotFitAreErrorsThatNameTheCommand(t *testing.T) {
	rows := func(n int, values ...any) []pgfake.Message {
		out := []pgfake.Message{pgfake.RowDescription("a")}
		for range n {
			out = append(out, pgfake.Row(values...))
		}
		return append(out, pgfake.CommandComplete("SELECT"))
	}
	endless := func(values ...any) []pgfake.Message {
		return []pgfake.Message{pgfake.RowDescription("a"), forever(pgfake.Row(values...))}
	}
	for _, c := range []struct {
		conversation
		want string // of every error
		good []any
	}{
		{identify, "IDENTIFY_SYSTEM|identify system", []any{"1", "1", "0/1", nil}},
		{showSize, "wal_segment_size|WAL segment size", []any{"16MB"}},
		{showMode, "data_directory_mode|group access", []any{"0700"}},
		{history, "TIMELINE_HISTORY", []any{"00000002.history", "1\t0/1\tx"}},
		{readSlot, `"s"|READ_REPLICATION_SLOT`, []any{"physical", "0/1", "1"}},
		{backup, "BASE_BACKUP|backup header", []any{"0/1000000", "1"}},
	} {
		for name, answer := range map[string][]pgfake.Message{
			"no result":                {pgfake.CommandComplete("SELECT")},
			"no rows":                  rows(0),
			"a row without fields":     rows(1),
			"two rows":                 rows(2, c.good...),
			"NULL":                     rows(1, nil, nil, nil),
			"rows without end":         endless(c.good...),
			"NULLs without end":        endless(nil),
			"empty rows without end":   endless(),
			"nonsense":                 rows(1, "\x00\xff", "-1", "zz/zz"),
			"numbers that are too big": rows(1, "99999999999999999999999", "99999999999999999999", "FFFFFFFFFF/1"),
			"a row before its result":  append([]pgfake.Message{pgfake.CopyOut()}, rows(1, c.good...)...),
			"more than its length":     {pgfake.RowDescription("a"), pgfake.WithLength(pgfake.Row(c.good...), 5), pgfake.CommandComplete("SELECT")},
			"a length beyond the end":  {pgfake.RowDescription("a"), pgfake.WithLength(pgfake.Row(c.good...), 1<<30), pgfake.CommandComplete("SELECT")},
		} {
			t.Run(c.name+"/"+name, func(t *testing.T) {
				first := true
				s := pgfake.Serve(t, lying("18.4", func(s pgfake.Sent) []pgfake.Message {
					switch {
					case s.Command != strings.Fields(c.name)[0] || s.Part == pgfake.PartReady || s.Part == pgfake.PartComplete:
						return []pgfake.Message{s.Message}
					case first:
						first = false
						return answer
					}
					return nil
				}))
				conn := dial(t, s)
				var err error
				memory := peak.Heap(func() { err = c.run(context.Background(), conn) })
				if harmless := name == "nonsense" && c.name == history.name || name == "NULL" && c.name == readSlot.name ||
					c.name == history.name && name == "numbers that are too big"; harmless {
					return // what these say is for the caller to judge
				}
				if err == nil {
					t.Fatal("no error")
				}
				named := false
				for _, w := range strings.Split(c.want, "|") {
					named = named || strings.Contains(err.Error(), w)
				}
				if !named && !strings.Contains(err.Error(), "message of type") {
					t.Errorf("the error names none of %s: %v", c.want, err)
				}
				if memory > enough {
					t.Errorf("it took %d MiB: %v", memory>>20, err)
				}
			})
		}
	}
}

func TestErrorsAndNoticesWithoutFieldsSaySo(t *testing.T) {
	bare := func(typ byte) pgfake.Message { return pgfake.RawBytes([]byte{typ, 0, 0, 0, 5, 0}) }
	for name, c := range map[string]struct {
		body []byte
		want string
	}{
		"nothing":             {[]byte{'E', 0, 0, 0, 4}, "ERROR:  (without a message)"},
		"no fields":           {[]byte{'E', 0, 0, 0, 5, 0}, "ERROR:  (without a message)"},
		"a field without end": {[]byte{'E', 0, 0, 0, 7, 'M', 'x', 'y'}, "ERROR:  (without a message)"},
		"a code alone":        {[]byte("E\x00\x00\x00\x0cCXX000\x00\x00"), "ERROR:  (without a message)"},
	} {
		t.Run(name, func(t *testing.T) {
			at := pgfake.At{Command: "IDENTIFY_SYSTEM", Part: pgfake.PartResult, N: 0}
			conn := dial(t, pgfake.Serve(t, lying("18.4", pgfake.Replace(at, bare('N'), pgfake.RawBytes(c.body), pgfake.ReadyForQuery()))))
			var said []string
			conn.SetNotice(func(n *replproto.Notice) { said = append(said, n.String()) })
			_, err := conn.IdentifySystem(context.Background())
			var server *replproto.ServerError
			if !errors.As(err, &server) || server.Error() != c.want {
				t.Errorf("error: %v", err)
			}
			if len(said) != 1 || said[0] != "NOTICE:  (without a message)" {
				t.Errorf("notices: %q", said)
			}
		})
	}
}

func TestTheStreamsEndMustBeARowThatMeansSomething(t *testing.T) {
	for name, row := range map[string]pgfake.Message{
		"no fields":        pgfake.Row(),
		"one field":        pgfake.Row("2"),
		"NULL":             pgfake.Row(nil, nil),
		"timeline 0":       pgfake.Row("0", "0/200000"),
		"no position":      pgfake.Row("2", "somewhere"),
		"a huge timeline":  pgfake.Row("4294967296", "0/200000"),
		"a negative one":   pgfake.Row("-1", "0/200000"),
		"a far away place": pgfake.Row("2", "100000000/0"),
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, pgfake.Serve(t, lying("18.4", pgfake.Replace(pgfake.At{Part: pgfake.PartTimeline, N: 1}, row))))
			r, err := c.StartReplication(context.Background(), replproto.ReplicationOptions{Start: 1 << 20, Timeline: 1})
			if err != nil {
				t.Fatal(err)
			}
			stream(t, r, func(lsn.LSN, replproto.Message) {})
			next, err := r.End()
			if err == nil || !strings.Contains(err.Error(), "timeline") {
				t.Errorf("%+v, %v", next, err)
			}
		})
	}
}

func TestAProofThatCostsTheClientMinutesIsRefused(t *testing.T) {
	port := serve(t, func(nc net.Conn) {
		if _, err := readStartup(nc); err != nil {
			return
		}
		io.WriteString(nc, auth(10, "SCRAM-SHA-256\x00\x00"))
		// The answer begins with what the client made up.
		first := make([]byte, 4096)
		n, err := nc.Read(first)
		if err != nil {
			return
		}
		_, nonce, _ := strings.Cut(string(first[:n]), ",r=")
		io.WriteString(nc, auth(11, "r="+nonce+"x,s=c2FsdA==,i=2147483647"))
		io.Copy(io.Discard, nc)
	})
	conn, err := replproto.Connect(context.Background(), config(t, "host=127.0.0.1 user=u password=x sslmode=disable port="+port))
	if err == nil {
		conn.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "SCRAM iteration count from server too high: 2147483647") {
		t.Errorf("error: %v", err)
	}
}
