package pgfake

import (
	"fmt"
	"strings"

	"github.com/pgbasin/pgbasin/lsn"
)

// command is a parsed replication command.
type command struct {
	name     string // "BASE_BACKUP"
	slot     string
	setting  string // of SHOW
	lsn      lsn.LSN
	timeline uint32 // 0 when not given
	backup   BackupRequest

	temporary, reserveWAL, wait, logical bool
}

// BackupRequest is what a client asked for with BASE_BACKUP, in either syntax.
type BackupRequest struct {
	Label, Manifest, ManifestChecksums     string
	Target, TargetDetail                   string
	Compression, CompressionDetail         string
	MaxRate                                int // kB/s, 0 = not asked for
	Progress, Fast, WAL, NoWait            bool
	TablespaceMap, NoVerify, IsIncremental bool
}

// commandSince is the first version that knows a command (repl_gram.y). What
// a version does not know is a syntax error, or SQL from 10 on.
var commandSince = map[string]int{
	"IDENTIFY_SYSTEM":         90000,
	"START_REPLICATION":       90000,
	"BASE_BACKUP":             90100,
	"TIMELINE_HISTORY":        90300,
	"CREATE_REPLICATION_SLOT": 90400,
	"DROP_REPLICATION_SLOT":   90400,
	"SHOW":                    100000,
	"READ_REPLICATION_SLOT":   150000,
	"UPLOAD_MANIFEST":         170000,
}

// refusal is an ERROR in answer to a command; the session goes on.
type refusal struct {
	sqlstate, message string
	fields            []Field
}

func (r *refusal) Error() string { return r.message }

func refuse(sqlstate, format string, args ...any) error {
	return &refusal{sqlstate: sqlstate, message: fmt.Sprintf(format, args...)}
}

func syntaxError() error { return refuse("42601", "syntax error") }

type parser struct {
	version int
	tokens  []token
}

func (p *parser) peek() token { return p.tokens[0] }

func (p *parser) next() token {
	t := p.tokens[0]
	if t.kind != tokenEnd && t.kind != tokenBad {
		p.tokens = p.tokens[1:]
	}
	return t
}

func (p *parser) word(s string) bool {
	if t := p.peek(); t.kind == tokenWord && t.text == s {
		p.next()
		return true
	}
	return false
}

func (p *parser) punctuation(s string) bool {
	if t := p.peek(); t.kind == tokenPunctuation && t.text == s {
		p.next()
		return true
	}
	return false
}

// parse reads a command as the given version would. Errors are refusals.
func parse(version int, text string) (*command, error) {
	p := &parser{version: version, tokens: scan(text)}
	first := p.next()
	since, known := commandSince[first.text]
	if first.kind != tokenWord || !known || version < since {
		if version >= 100000 && first.kind != tokenBad {
			// From 10 on anything else is SQL, which a walsender without a
			// database has no use for (exec_replication_command of walsender.c).
			return nil, refuse("0A000", "cannot execute SQL commands in WAL sender for physical replication")
		}
		return nil, syntaxError()
	}
	cmd := &command{name: first.text}
	var err error
	switch cmd.name {
	case "BASE_BACKUP":
		err = p.baseBackup(cmd)
	case "START_REPLICATION":
		err = p.startReplication(cmd)
	case "TIMELINE_HISTORY":
		err = p.timeline(cmd)
	case "CREATE_REPLICATION_SLOT":
		err = p.createSlot(cmd)
	case "DROP_REPLICATION_SLOT":
		if cmd.slot, err = p.identifier(); err == nil && version >= 100000 {
			cmd.wait = p.word("WAIT")
		}
	case "READ_REPLICATION_SLOT":
		cmd.slot, err = p.identifier()
	case "SHOW":
		cmd.setting, err = p.identifier()
		for err == nil && p.punctuation(".") {
			var part string
			part, err = p.identifier()
			cmd.setting += "." + part
		}
	}
	if err != nil {
		return nil, err
	}
	p.punctuation(";")
	if p.peek().kind != tokenEnd {
		return nil, syntaxError()
	}
	return cmd, nil
}

// identifier reads a name; an unquoted one is folded to lower case.
func (p *parser) identifier() (string, error) {
	switch t := p.next(); t.kind {
	case tokenQuoted:
		return t.text, nil
	case tokenWord:
		return strings.ToLower(t.text), nil
	}
	return "", syntaxError()
}

func (p *parser) startReplication(cmd *command) error {
	var err error
	if p.version >= 90400 && p.word("SLOT") {
		if cmd.slot, err = p.identifier(); err != nil {
			return err
		}
	}
	if p.version >= 90400 {
		cmd.logical = p.word("LOGICAL")
		if !cmd.logical {
			p.word("PHYSICAL")
		}
	}
	t := p.next()
	if t.kind != tokenLSN {
		return syntaxError()
	}
	cmd.lsn = t.lsn
	if p.version >= 90300 && p.word("TIMELINE") {
		return p.timeline(cmd)
	}
	return nil
}

func (p *parser) timeline(cmd *command) error {
	t := p.next()
	if t.kind != tokenNumber {
		return syntaxError()
	}
	if t.n == 0 {
		return refuse("42601", "invalid timeline %d", t.n)
	}
	cmd.timeline = t.n
	return nil
}

func (p *parser) createSlot(cmd *command) error {
	var err error
	if cmd.slot, err = p.identifier(); err != nil {
		return err
	}
	if p.version >= 100000 {
		cmd.temporary = p.word("TEMPORARY")
	}
	if !p.word("PHYSICAL") {
		return syntaxError()
	}
	if p.version >= 90600 && p.word("RESERVE_WAL") {
		cmd.reserveWAL = true
		return nil
	}
	if p.version >= 150000 && p.punctuation("(") {
		options, err := p.genericOptions()
		if err != nil {
			return err
		}
		for _, o := range options {
			if o.name != "reserve_wal" {
				return refuse("XX000", "unrecognized option: %s", o.name)
			}
			if cmd.reserveWAL, err = o.boolean(); err != nil {
				return err
			}
		}
	}
	return nil
}
