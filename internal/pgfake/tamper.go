package pgfake

// Part says what a message is in the answer to a command.
type Part string

// The parts of answers, in the order in which they come. IDENTIFY_SYSTEM, SHOW
// and the slot commands have PartResult, PartComplete and PartReady only.
const (
	PartResult      Part = "result"      // row description, rows and their CommandComplete, if it has one of its own
	PartStart       Part = "start"       // BASE_BACKUP: the start point's result set
	PartTablespaces Part = "tablespaces" // BASE_BACKUP: the list of tablespaces
	PartCopyBegin   Part = "copy begin"  // CopyOutResponse or CopyBothResponse
	PartArchive     Part = "archive"     // the 'n' message that names the next archive (15+)
	PartData        Part = "data"        // bytes of an archive
	PartTrailer     Part = "trailer"     // the two zero blocks (15+)
	PartProgress    Part = "progress"    // 'p' (15+)
	PartManifest    Part = "manifest"    // the 'm' message (15+) and the manifest's bytes
	PartWAL         Part = "wal"         // XLogData
	PartKeepalive   Part = "keepalive"   // keepalives
	PartCopyEnd     Part = "copy end"    // CopyDone
	PartStop        Part = "stop"        // BASE_BACKUP: the stop point's result set
	PartTimeline    Part = "timeline"    // START_REPLICATION: the next timeline's result set
	PartComplete    Part = "complete"    // the command's last CommandComplete, or its ERROR
	PartReady       Part = "ready"       // ReadyForQuery
)

// Sent is a message that a Cluster is about to send.
type Sent struct {
	Conn    int
	Command string // "BASE_BACKUP"
	Part    Part
	Archive string // of PartArchive, PartData, PartTrailer, and of CopyBegin and CopyEnd up to 14
	N       int    // counts messages of this part (and archive) in this command, from 0
	Message Message
}

// Tamper says what is sent in place of a message: itself, nothing, others, or
// a fault. It may be called for several connections at the same time.
type Tamper func(Sent) []Message

// At is a place in an answer. Empty fields fit everything; N fits exactly, or
// everything when it is Any.
type At struct {
	Command string
	Part    Part
	Archive string
	N       int
}

// Any is an At.N that fits every message.
const Any = -1

func (a At) fits(s Sent) bool {
	return (a.Command == "" || a.Command == s.Command) && (a.Part == "" || a.Part == s.Part) &&
		(a.Archive == "" || a.Archive == s.Archive) && (a.N == Any || a.N == s.N)
}

// Before puts messages before the one at the place.
func Before(at At, messages ...Message) Tamper {
	return func(s Sent) []Message {
		if !at.fits(s) {
			return []Message{s.Message}
		}
		return append(append([]Message(nil), messages...), s.Message)
	}
}

// After puts messages after the one at the place.
func After(at At, messages ...Message) Tamper {
	return func(s Sent) []Message {
		if !at.fits(s) {
			return []Message{s.Message}
		}
		return append([]Message{s.Message}, messages...)
	}
}

// Replace sends messages instead of the one at the place; with none it is left
// out.
func Replace(at At, messages ...Message) Tamper {
	return Change(at, func(Message) []Message { return messages })
}

// Change replaces the message at the place with what change makes of it.
func Change(at At, change func(Message) []Message) Tamper {
	return func(s Sent) []Message {
		if !at.fits(s) {
			return []Message{s.Message}
		}
		return change(s.Message)
	}
}

// Tampers applies several in turn, each to what those before it left of the
// message.
func Tampers(all ...Tamper) Tamper {
	return func(s Sent) []Message {
		out := []Message{s.Message}
		for _, t := range all {
			var next []Message
			for _, m := range out {
				one := s
				one.Message = m
				next = append(next, t(one)...)
			}
			out = next
		}
		return out
	}
}

// answer sends the messages of one command, through the Tamper.
type answer struct {
	c       *Conn
	tamper  Tamper
	command string
	counts  map[counted]int
}

type counted struct {
	part    Part
	archive string
}

func (a *answer) send(part Part, archive string, messages ...Message) error {
	for _, m := range messages {
		if a.tamper == nil {
			if err := a.c.Send(m); err != nil {
				return err
			}
			continue
		}
		k := counted{part, archive}
		s := Sent{Conn: a.c.Number, Command: a.command, Part: part, Archive: archive, N: a.counts[k], Message: m}
		a.counts[k]++
		if err := a.c.Send(a.tamper(s)...); err != nil {
			return err
		}
	}
	return nil
}
