package pgfake

import (
	"errors"
	"fmt"
	"io/fs"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/wal"
)

// Cluster is a synthetic server that answers replication commands as Version
// does, from IDENTIFY_SYSTEM to a whole BASE_BACKUP and a stream of log. Only
// Version must be set. The exported fields must not be changed after Serve; the
// methods may be called at any time from then on.
type Cluster struct {
	// Version is server_version: "9.1.24", "15.3 (Debian 15.3-1)", "19devel".
	Version string

	SystemID    uint64
	Timeline    uint32     // 1 more than the last of Ancestors, if 0
	Ancestors   []Ancestor // timelines that ended, oldest first
	SegmentSize int64      // bytes; 1 MB if 0, 16 MB before 11
	DataDirMode fs.FileMode
	Standby     bool              // the server is in recovery
	Settings    map[string]string // answers to SHOW, beside those that follow from other fields
	Report      map[string]string // ParameterStatus at startup, beside or in place of the usual ones
	Slots       []Slot            // that exist already
	Password    string            // asked for in clear text if not empty

	// Data is what there is to back up: SmallData without tablespaces if nil.
	Data *Data
	// Start and Stop are where backups begin and end: the third segment of 16 MB
	// if 0.
	Start, Stop lsn.LSN
	// Edit changes the backup that was made for a request, before it is sent.
	Edit func(BackupRequest, *BaseBackup)

	// RefuseManifest, if it returns a message, answers UPLOAD_MANIFEST with it, which
	// must be an Error, as soon as so much of the manifest has come; whole is set when
	// that is all of it. Manifests are taken whatever they hold otherwise.
	RefuseManifest func(got []byte, whole bool) *Message

	// Flush is the end of the log: that of the segment with Stop in it if 0,
	// because a primary switches segments at the end of a backup.
	Flush lsn.LSN
	// Log is the log's bytes on a timeline from start to end; WAL.Bytes if nil.
	Log func(timeline uint32, start, end lsn.LSN) []byte
	// OldestLog is where the log begins; what is before was removed.
	OldestLog lsn.LSN
	// LogChunk is the bytes of log in one message; 128 KiB if 0, as in the server
	// (MAX_SEND_SIZE).
	LogChunk int
	// KeepaliveEvery sends keepalives to a client that has all of the log, with
	// KeepaliveAsks asking for a reply.
	KeepaliveEvery time.Duration
	KeepaliveAsks  bool

	// Refuse, if it returns a message, answers the startup packet of the n-th
	// connection with it and closes.
	Refuse func(n int) *Message
	// Tamper changes what is sent.
	Tamper Tamper
	// Faults are those of the n-th connection.
	Faults func(n int) []Fault
	// SplitWrites sends everything in pieces of so many bytes if not 0.
	SplitWrites int

	version int

	mu        sync.Mutex
	slots     map[string]*Slot
	changed   chan struct{} // closed and replaced when the log's end, the timeline or stopping changes
	freed     chan struct{} // closed and replaced when a slot is not in use any more
	stopping  bool
	requests  []BackupRequest
	statuses  []Status
	manifests [][]byte
}

// Ancestor is a timeline that ended at Switch.
type Ancestor struct {
	Timeline uint32
	Switch   lsn.LSN
}

// Slot is a physical replication slot.
type Slot struct {
	Name       string
	RestartLSN lsn.LSN // 0 = reserves nothing yet
	Temporary  bool

	owner *Conn // of a temporary one
	user  *Conn // that streams from it
}

// Serve starts the cluster. It answers commands as a real server would, so that
// a refusal is an ERROR for the client and nothing to fail a test for; a
// message that has no place in the protocol does fail the test.
func Serve(t testing.TB, c *Cluster) *Server {
	t.Helper()
	if err := c.prepare(); err != nil {
		t.Fatalf("pgfake: %v", err)
	}
	return StartEach(t, Do("cluster "+c.Version, c.serve))
}

func (c *Cluster) prepare() error {
	c.version = versionNumber(c.Version)
	if c.version < 90100 {
		return fmt.Errorf("version %q of a Cluster is not 9.1 or later", c.Version)
	}
	if c.SystemID == 0 {
		c.SystemID = 7210987654321098765
	}
	if c.Timeline == 0 {
		c.Timeline = 1
		if n := len(c.Ancestors); n > 0 {
			c.Timeline = c.Ancestors[n-1].Timeline + 1
		}
	}
	if c.SegmentSize == 0 {
		c.SegmentSize = 1 << 20
		if c.version < 110000 {
			c.SegmentSize = wal.DefaultSegmentSize
		}
	}
	if !wal.ValidSegmentSize(c.SegmentSize) {
		return fmt.Errorf("segment size %d", c.SegmentSize)
	}
	if c.DataDirMode == 0 {
		c.DataDirMode = 0o700
	}
	if c.Data == nil {
		c.Data = SmallData(c.Version, "")
	}
	if c.Start == 0 {
		c.Start = 2*wal.DefaultSegmentSize + 0x28
	}
	if c.Stop == 0 {
		c.Stop = c.Start + 0xD8
	}
	if c.Flush == 0 {
		c.Flush = wal.SegmentStart(wal.SegmentNumber(c.Stop-1, c.SegmentSize)+1, c.SegmentSize)
	}
	if c.LogChunk == 0 {
		c.LogChunk = 128 << 10
	}
	c.slots = map[string]*Slot{}
	for _, s := range c.Slots {
		c.slots[s.Name] = &s
	}
	c.changed, c.freed = make(chan struct{}), make(chan struct{})
	return nil
}

// serve runs one connection.
func (c *Cluster) serve(conn *Conn) error {
	conn.idle.Store(true)
	conn.out.split = c.SplitWrites
	if c.Faults != nil {
		conn.out.faults = append([]Fault(nil), c.Faults(conn.Number)...)
		sort.SliceStable(conn.out.faults, func(i, j int) bool { return conn.out.faults[i].After < conn.out.faults[j].After })
	}
	defer c.forget(conn)
	err := c.session(conn)
	if errors.Is(err, errGone) {
		return ended(err)
	}
	return err
}

func (c *Cluster) session(conn *Conn) error {
	if err := conn.receiveStartup(); err != nil {
		return err
	}
	if c.Refuse != nil {
		if m := c.Refuse(conn.Number); m != nil {
			return conn.Send(*m, Close(FIN))
		}
	}
	if err := c.authenticate(conn); err != nil {
		return err
	}
	if err := conn.accept(c.Version, c.reported()); err != nil {
		return err
	}
	if err := conn.Flush(); err != nil {
		return err
	}
	conn.readAhead()
	for {
		m, err := c.nextMessage(conn)
		if err != nil {
			return err
		}
		switch m := m.(type) {
		case *pgproto3.Query:
			if err := c.command(conn, m.String); err != nil {
				return err
			}
		case *pgproto3.CopyData, *pgproto3.CopyDone, *pgproto3.CopyFail:
			// The client has not heard yet that the COPY is over (PostgresMain).
		default:
			return fmt.Errorf("want a query, %w", unexpected(m))
		}
	}
}

// nextMessage waits for the client, or for Shutdown.
func (c *Cluster) nextMessage(conn *Conn) (pgproto3.FrontendMessage, error) {
	if err := conn.Flush(); err != nil {
		return nil, err
	}
	for {
		c.mu.Lock()
		changed, stopping := c.changed, c.stopping
		c.mu.Unlock()
		if stopping {
			return nil, conn.Send(Error("FATAL", "57P01", "terminating connection due to administrator command"), Close(FIN))
		}
		select {
		case r := <-conn.pump:
			return r.message, r.err
		case <-changed:
		}
	}
}

func (c *Cluster) authenticate(conn *Conn) error {
	if c.Password == "" {
		return nil
	}
	if err := conn.Send(proto("AuthenticationCleartextPassword", &pgproto3.AuthenticationCleartextPassword{})); err != nil {
		return err
	}
	m, err := conn.Receive()
	if err != nil {
		return err
	}
	p, ok := m.(*pgproto3.PasswordMessage)
	if !ok {
		return fmt.Errorf("want a password, %w", unexpected(m))
	}
	if p.Password != c.Password {
		return conn.Send(Error("FATAL", "28P01",
			fmt.Sprintf("password authentication failed for user %q", conn.Startup["user"])), Close(FIN))
	}
	return nil
}

func (c *Cluster) reported() []string {
	var out []string
	if c.Standby && c.version >= 140000 {
		out = append(out, "in_hot_standby", "on")
	}
	for name, value := range c.Report {
		out = append(out, name, value)
	}
	return out
}

// command answers one query. An error ends the connection.
func (c *Cluster) command(conn *Conn, text string) error {
	cmd, err := parse(c.version, text)
	a := &answer{c: conn, tamper: c.Tamper, counts: map[counted]int{}}
	if err == nil {
		a.command = cmd.name
		err = c.run(a, cmd)
	} else {
		a.command, _, _ = strings.Cut(text, " ")
	}
	var r *refusal
	if errors.As(err, &r) {
		err = a.send(PartComplete, "", Error("ERROR", r.sqlstate, r.message, r.fields...))
	}
	if err != nil {
		return err
	}
	return a.send(PartReady, "", ReadyForQuery())
}

// run answers a command up to its last CommandComplete.
func (c *Cluster) run(a *answer, cmd *command) error {
	switch cmd.name {
	case "IDENTIFY_SYSTEM":
		return c.identifySystem(a)
	case "SHOW":
		return c.show(a, cmd)
	case "TIMELINE_HISTORY":
		return c.timelineHistory(a, cmd)
	case "CREATE_REPLICATION_SLOT":
		return c.createSlot(a, cmd)
	case "DROP_REPLICATION_SLOT":
		return c.dropSlot(a, cmd)
	case "READ_REPLICATION_SLOT":
		return c.readSlot(a, cmd)
	case "BASE_BACKUP":
		return c.baseBackup(a, cmd)
	case "START_REPLICATION":
		return c.startReplication(a, cmd)
	case "UPLOAD_MANIFEST":
		return c.uploadManifest(a)
	}
	return syntaxError()
}

// complete sends the tag that ends a command: its name from 13 on, SELECT for
// every command before (EndReplicationCommand of walsender.c).
func (c *Cluster) complete(a *answer) error {
	tag := a.command
	if c.version < 130000 {
		tag = "SELECT"
	}
	return a.send(PartComplete, "", CommandComplete(tag))
}

func text(name string) Column { return Column{name, oidText, -1} }
func int8Column(name string) Column {
	return Column{name, oidInt8, 8}
}

func (c *Cluster) identifySystem(a *answer) error {
	c.mu.Lock()
	timeline, flush := c.Timeline, c.Flush
	c.mu.Unlock()
	tli := Column{"timeline", oidInt4, 4}
	if c.version >= 160000 {
		tli = int8Column("timeline")
	}
	columns := []Column{text("systemid"), tli, text("xlogpos")}
	row := []any{c.SystemID, timeline, flush}
	if c.version >= 90400 {
		columns = append(columns, text("dbname"))
		row = append(row, nil)
	}
	if err := a.send(PartResult, "", Columns(columns...), Row(row...)); err != nil {
		return err
	}
	return c.complete(a)
}

func (c *Cluster) show(a *answer, cmd *command) error {
	value, ok := c.Settings[cmd.setting]
	if !ok {
		switch cmd.setting {
		case "wal_segment_size":
			value = itoa(c.SegmentSize>>20) + "MB"
			if c.SegmentSize == 1<<30 {
				value = "1GB"
			}
		case "data_directory_mode":
			if c.version < 110000 {
				return unknownSetting(cmd.setting)
			}
			value = fmt.Sprintf("%04o", c.DataDirMode.Perm())
		case "server_version":
			value = c.Version
		case "block_size":
			value = itoa(incrementalBlock)
		case "segment_size":
			value = "1GB"
		default:
			return unknownSetting(cmd.setting)
		}
	}
	if err := a.send(PartResult, "", Columns(text(cmd.setting)), Row(value)); err != nil {
		return err
	}
	return c.complete(a)
}

func unknownSetting(name string) error {
	return refuse("42704", "unrecognized configuration parameter %q", name)
}

func (c *Cluster) timelineHistory(a *answer, cmd *command) error {
	name := wal.HistoryName(cmd.timeline)
	c.mu.Lock()
	h := c.history(cmd.timeline)
	c.mu.Unlock()
	content := Column{"content", 17, -1}
	if c.version >= 140000 {
		content = text("content")
	}
	if err := a.send(PartResult, "", Columns(text("filename"), content)); err != nil {
		return err
	}
	if h == nil {
		return refuse("58P01", "could not open file \"%s/%s\": No such file or directory", walDir(c.version), name)
	}
	if err := a.send(PartResult, "", Row(name, h)); err != nil {
		return err
	}
	return c.complete(a)
}

// history is the history file of a timeline, nil if it has none.
func (c *Cluster) history(timeline uint32) []byte {
	if timeline > c.Timeline {
		return nil
	}
	var b []byte
	for _, p := range c.Ancestors {
		if p.Timeline < timeline {
			b = fmt.Appendf(b, "%d\t%v\tno recovery target specified\n", p.Timeline, p.Switch)
		}
	}
	return b
}

// log is the log of a timeline, which begins with a copy of its ancestors'.
func (c *Cluster) log(timeline uint32, start, end lsn.LSN) []byte {
	if c.Log != nil {
		return c.Log(timeline, start, end)
	}
	var b []byte
	for start < end {
		w := WAL{Version: c.Version, SystemID: c.SystemID, Timeline: timeline, SegmentSize: c.SegmentSize}
		piece := end
		for _, p := range c.Ancestors {
			// The page in which the switch lies was begun by the ancestor.
			if last := (p.Switch + walPage - 1) / walPage * walPage; p.Timeline < timeline && start < last {
				w.Timeline = p.Timeline
				piece = min(end, last)
				break
			}
		}
		if b == nil {
			b = w.Bytes(start, piece)
		} else {
			b = append(b, w.Bytes(start, piece)...)
		}
		start = piece
	}
	return b
}

// LogBytes is the log of a timeline as clients get it.
func (c *Cluster) LogBytes(timeline uint32, start, end lsn.LSN) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.log(timeline, start, end)
}

func (c *Cluster) change(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
	close(c.changed)
	c.changed = make(chan struct{})
}

// Advance makes log up to the position available to clients.
func (c *Cluster) Advance(to lsn.LSN) { c.change(func() { c.Flush = max(c.Flush, to) }) }

// Promote ends the timeline at the end of its log and begins the next one.
func (c *Cluster) Promote() {
	c.change(func() {
		c.Ancestors = append(c.Ancestors[:len(c.Ancestors):len(c.Ancestors)], Ancestor{c.Timeline, c.Flush})
		c.Timeline++
	})
}

// Shutdown is a fast shutdown: streams end once the client says that it has all
// of the log, other connections at once.
func (c *Cluster) Shutdown() { c.change(func() { c.stopping = true }) }

// Requests lists the backups that were asked for and not refused.
func (c *Cluster) Requests() []BackupRequest {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]BackupRequest(nil), c.requests...)
}

// Statuses lists the standby status updates that came, of all connections.
func (c *Cluster) Statuses() []Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Status(nil), c.statuses...)
}

// Manifests lists what was sent with UPLOAD_MANIFEST.
func (c *Cluster) Manifests() [][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([][]byte(nil), c.manifests...)
}
