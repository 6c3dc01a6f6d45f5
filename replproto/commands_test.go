package replproto_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pgbasin/pgbasin/internal/pgfake"
	"github.com/pgbasin/pgbasin/replproto"
)

func TestCommandsOfAWholeServer(t *testing.T) {
	ctx := context.Background()
	s := pgfake.Serve(t, &pgfake.Cluster{
		Version: "16.2", SystemID: 7654321098765432109, SegmentSize: 4 << 20, DataDirMode: 0o750,
		Ancestors: []pgfake.Ancestor{{Timeline: 1, Switch: 0x1000000}},
	})
	c := dial(t, s)
	sys, err := c.IdentifySystem(ctx)
	if err != nil || sys.ID != 7654321098765432109 || sys.Timeline != 2 || sys.Position == 0 {
		t.Errorf("IdentifySystem: %+v, %v", sys, err)
	}
	if n, err := c.SegmentSize(ctx); n != 4<<20 || err != nil {
		t.Errorf("SegmentSize: %d, %v", n, err)
	}
	if mode, err := c.DirMode(ctx); mode != 0o750 || err != nil {
		t.Errorf("DirMode: %o, %v", mode, err)
	}
	if name, content, err := c.TimelineHistory(ctx, 2); name != "00000002.history" || !strings.HasPrefix(string(content), "1\t0/1000000\t") || err != nil {
		t.Errorf("TimelineHistory: %q %q %v", name, content, err)
	}
	if err := c.CreatePhysicalSlot(ctx, "one", replproto.SlotOptions{Reserve: true}); err != nil {
		t.Error(err)
	}
	if err := c.CreatePhysicalSlot(ctx, "one", replproto.SlotOptions{}); !replproto.HasCode(err, replproto.CodeDuplicateObject) {
		t.Errorf("creating a slot twice: %v", err)
	}
	if slot, err := c.ReadSlot(ctx, "one"); slot.Type != "physical" || slot.RestartLSN == 0 || err != nil {
		t.Errorf("ReadSlot: %+v, %v", slot, err)
	}
	if slot, err := c.ReadSlot(ctx, "none"); slot.Type != "" || err != nil {
		t.Errorf("ReadSlot of a slot that is not there: %+v, %v", slot, err)
	}
	if err := c.DropSlot(ctx, "one", true); err != nil {
		t.Error(err)
	}
	if err := c.DropSlot(ctx, "one", false); !replproto.HasCode(err, replproto.CodeUndefinedObject) {
		t.Errorf("dropping a slot that is not there: %v", err)
	}
	if _, err := c.Show(ctx, "no_such_setting"); !replproto.HasCode(err, replproto.CodeUndefinedObject) {
		t.Errorf("SHOW of an unknown setting: %v", err)
	}
}

func TestSizesOfRelationFilesAreChecked(t *testing.T) {
	for _, c := range []struct {
		block, segment string
		want           string // "" = right
	}{
		{"8192", "1GB", ""},
		{"32768", "512GB", ""},
		{"8kB", "48kB", ""},
		{"0", "1GB", `invalid block size: "0"`},
		{"8191", "1GB", `invalid block size: "8191"`},
		{"65536", "1GB", `invalid block size: "65536"`},
		{"-8192", "1GB", `invalid block size: "-8192"`},
		{"8192", "", `invalid segment size: ""`},
		{"8192", "4kB", `invalid segment size: "4kB"`},
		{"8192", "12kB", `invalid segment size: "12kB"`},
		{"8192", "2147483647TB", `invalid segment size: "2147483647TB"`},
		{"8192", "256GB", `invalid segment size: "256GB"`},
	} {
		s := pgfake.Serve(t, &pgfake.Cluster{Version: "18.4", Settings: map[string]string{"block_size": c.block, "segment_size": c.segment}})
		block, segment, err := dial(t, s).RelationFiles(context.Background())
		switch {
		case c.want == "" && (err != nil || block < 1024 || segment < 1):
			t.Errorf("%s, %s: %d, %d, %v", c.block, c.segment, block, segment, err)
		case c.want != "" && (err == nil || !strings.HasSuffix(err.Error(), c.want)):
			t.Errorf("%s, %s: %v, want %s", c.block, c.segment, err, c.want)
		}
	}
}

func TestOldServersAreNotAskedWhatTheyDoNotKnow(t *testing.T) {
	ctx := context.Background()
	s := pgfake.Serve(t, &pgfake.Cluster{Version: "9.3.1"})
	c := dial(t, s)
	if n, err := c.SegmentSize(ctx); n != 16<<20 || err != nil {
		t.Errorf("SegmentSize: %d, %v", n, err)
	}
	if mode, err := c.DirMode(ctx); mode != 0o700 || err != nil {
		t.Errorf("DirMode: %o, %v", mode, err)
	}
	for what, call := range map[string]func() error{
		"SHOW":                  func() error { _, err := c.Show(ctx, "port"); return err },
		"slots":                 func() error { return c.CreatePhysicalSlot(ctx, "s", replproto.SlotOptions{}) },
		"drop":                  func() error { return c.DropSlot(ctx, "s", true) },
		"READ_REPLICATION_SLOT": func() error { _, err := c.ReadSlot(ctx, "s"); return err },
	} {
		var unsupported *replproto.UnsupportedError
		if err := call(); !errors.As(err, &unsupported) {
			t.Errorf("%s on 9.3: %v", what, err)
		}
	}
	for _, q := range s.Queries() {
		t.Errorf("the server was asked %q", q.Text)
	}
}

func TestNoticesAndParametersMayComeAnywhere(t *testing.T) {
	s := pgfake.Start(t, pgfake.Script(
		pgfake.Startup("15.3"),
		pgfake.Expect("IDENTIFY_SYSTEM"),
		pgfake.Notice("WARNING", "01000", "first", pgfake.Hint("look here")),
		pgfake.RowDescription("systemid", "timeline", "xlogpos", "dbname"),
		pgfake.ParameterStatus("server_version", "15.4"),
		pgfake.Row("1", "1", "0/1", nil),
		pgfake.Notice("LOG", "00000", "second"),
		pgfake.CommandComplete("IDENTIFY_SYSTEM"),
		pgfake.Notice("NOTICE", "00000", "third"),
		pgfake.ReadyForQuery(),
	))
	c := dial(t, s)
	var got []string
	c.SetNotice(func(n *replproto.Notice) { got = append(got, n.String()) })
	if _, err := c.IdentifySystem(context.Background()); err != nil {
		t.Fatal(err)
	}
	want := "WARNING:  first\nHINT:  look here|LOG:  second|NOTICE:  third"
	if joined := strings.Join(got, "|"); joined != want {
		t.Errorf("notices: %q, want %q", joined, want)
	}
	if c.ServerVersionString() != "15.4" {
		t.Errorf("the changed parameter is %q", c.ServerVersionString())
	}
}

func TestTheConnectionServesOnAfterAnErrorButNotAfterAFatalOne(t *testing.T) {
	s := pgfake.Start(t, pgfake.Script(
		pgfake.Startup("15.3"),
		pgfake.Expect("SHOW a"), pgfake.Error("ERROR", "42704", "unrecognized parameter", pgfake.Detail("none")), pgfake.ReadyForQuery(),
		pgfake.Expect("SHOW b"), pgfake.RowDescription("b"), pgfake.Row("value"), pgfake.CommandComplete("SHOW"), pgfake.ReadyForQuery(),
		pgfake.Expect("SHOW c"), pgfake.Error("FATAL", "57P01", "terminating connection due to administrator command"), pgfake.Close(pgfake.FIN),
	))
	c := dial(t, s)
	ctx := context.Background()
	_, err := c.Show(ctx, "a")
	var se *replproto.ServerError
	if !errors.As(err, &se) || se.Code != "42704" || !strings.Contains(err.Error(), "ERROR:  unrecognized parameter\nDETAIL:  none") {
		t.Errorf("SHOW a: %v", err)
	}
	if v, err := c.Show(ctx, "b"); v != "value" || err != nil {
		t.Errorf("SHOW b: %q, %v", v, err)
	}
	if _, err := c.Show(ctx, "c"); !replproto.HasCode(err, "57P01") {
		t.Errorf("SHOW c: %v", err)
	}
	if _, err := c.Show(ctx, "d"); !replproto.HasCode(err, "57P01") {
		t.Errorf("a command after the connection's end names another cause: %v", err)
	}
}

func TestHostileAnswersAreErrors(t *testing.T) {
	for name, answer := range map[string][]pgfake.Step{
		"length below 4":      {pgfake.RawBytes([]byte{'T', 0, 0, 0, 3})},
		"negative length":     {pgfake.RawBytes([]byte{'T', 0xff, 0xff, 0xff, 0xff})},
		"2 GiB row":           {pgfake.RowDescription("a"), pgfake.RawBytes([]byte{'D', 0x7f, 0xff, 0xff, 0xff, 0, 1})},
		"2 GiB notice":        {pgfake.RawBytes([]byte{'N', 0x7f, 0xff, 0xff, 0xff, 'S'})},
		"field beyond row":    {pgfake.RowDescription("a"), pgfake.RawBytes([]byte{'D', 0, 0, 0, 10, 0, 1, 0, 0, 0, 9})},
		"too many fields":     {pgfake.RowDescription("a"), pgfake.RawBytes([]byte{'D', 0, 0, 0, 6, 0xff, 0xff})},
		"COPY":                {pgfake.CopyOut()},
		"an unknown message":  {pgfake.RawBytes([]byte{'?', 0, 0, 0, 4})},
		"the connection ends": {pgfake.RowDescription("a"), pgfake.Close(pgfake.FIN)},
		"it is reset":         {pgfake.RowDescription("a"), pgfake.Close(pgfake.RST)},
		"no rows":             {pgfake.CommandComplete("SHOW"), pgfake.ReadyForQuery()},
	} {
		t.Run(name, func(t *testing.T) {
			steps := append([]pgfake.Step{pgfake.Startup("15.3"), pgfake.Expect("SHOW x")}, answer...)
			c := dial(t, pgfake.Start(t, pgfake.UntilGone(steps...)))
			v, err := c.Show(context.Background(), "x")
			if err == nil {
				t.Fatalf("SHOW returned %q", v)
			}
			t.Log(err)
			if strings.HasPrefix(name, "the conn") || strings.HasPrefix(name, "it is") {
				if !errors.Is(err, replproto.ErrConnectionLost) {
					t.Errorf("the error does not say that the connection was lost")
				}
			}
		})
	}
}

func TestAContextEndsACommandThatTheServerDoesNotAnswer(t *testing.T) {
	g := pgfake.NewGate()
	c := dial(t, pgfake.Start(t, pgfake.UntilGone(pgfake.Startup("15.3"), pgfake.Expect("SHOW x"), pgfake.Stall(g))))
	ctx, cancel := context.WithCancelCause(context.Background())
	reason := errors.New("enough of this")
	go func() {
		<-g.Reached()
		cancel(reason)
	}()
	started := time.Now()
	if _, err := c.Show(ctx, "x"); !errors.Is(err, reason) {
		t.Errorf("Show: %v", err)
	}
	if d := time.Since(started); d > 30*time.Second {
		t.Errorf("it took %v", d)
	}
}
