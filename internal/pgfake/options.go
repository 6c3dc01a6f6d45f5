package pgfake

import "strings"

// option is one name and argument of a list in parentheses (15 and later), or
// the same thing read from the older syntax.
type option struct {
	name     string
	given    string // as the client wrote it, in lower case
	argument token  // tokenEnd when there is none
}

// legacyOption says what a keyword of the old BASE_BACKUP syntax means.
type legacyOption struct {
	since    int
	name     string // in the new syntax
	argument tokenKind
	value    string // of the option, when the keyword takes no argument
}

// legacyOptions is the old syntax (repl_gram.y up to 14).
var legacyOptions = map[string]legacyOption{
	"LABEL":              {since: 90100, name: "label", argument: tokenString},
	"PROGRESS":           {since: 90100, name: "progress", value: "true"},
	"FAST":               {since: 90100, name: "checkpoint", value: "fast"},
	"WAL":                {since: 90100, name: "wal", value: "true"},
	"NOWAIT":             {since: 90100, name: "wait", value: "false"},
	"MAX_RATE":           {since: 90400, name: "max_rate", argument: tokenNumber},
	"TABLESPACE_MAP":     {since: 90500, name: "tablespace_map", value: "true"},
	"NOVERIFY_CHECKSUMS": {since: 110000, name: "verify_checksums", value: "false"},
	"MANIFEST":           {since: 130000, name: "manifest", argument: tokenString},
	"MANIFEST_CHECKSUMS": {since: 130000, name: "manifest_checksums", argument: tokenString},
}

func (p *parser) baseBackup(cmd *command) error {
	var options []option
	if p.version >= 150000 {
		if !p.punctuation("(") {
			return nil
		}
		var err error
		if options, err = p.genericOptions(); err != nil {
			return err
		}
	} else {
		for p.peek().kind == tokenWord {
			keyword := p.next().text
			l, ok := legacyOptions[keyword]
			if !ok || p.version < l.since {
				return syntaxError()
			}
			argument := token{kind: tokenString, text: l.value}
			if l.argument != tokenEnd {
				if argument = p.next(); argument.kind != l.argument {
					return syntaxError()
				}
			}
			options = append(options, option{l.name, strings.ToLower(keyword), argument})
		}
	}
	return cmd.backup.take(p.version, options)
}

// genericOptions reads a list whose opening parenthesis was read.
func (p *parser) genericOptions() ([]option, error) {
	var out []option
	for {
		t := p.next()
		if t.kind != tokenWord && t.kind != tokenQuoted {
			return nil, syntaxError()
		}
		o := option{name: t.text}
		if t.kind == tokenWord {
			o.name = strings.ToLower(t.text)
		}
		o.given = o.name
		switch p.peek().kind {
		case tokenWord, tokenQuoted, tokenString, tokenNumber:
			o.argument = p.next()
		}
		out = append(out, o)
		switch {
		case p.punctuation(","):
		case p.punctuation(")"):
			return out, nil
		default:
			return nil, syntaxError()
		}
	}
}

// boolean is defGetBoolean of the server.
func (o option) boolean() (bool, error) {
	switch strings.ToLower(o.argument.text) {
	case "true", "on", "1":
		return true, nil
	case "false", "off", "0":
		return false, nil
	}
	if o.argument.kind == tokenEnd {
		return true, nil
	}
	return false, refuse("42601", "%s requires a Boolean value", o.name)
}

func (o option) text() (string, error) {
	if o.argument.kind == tokenEnd {
		return "", refuse("42601", "%s requires a parameter", o.name)
	}
	return o.argument.text, nil
}

// optionSince has the options of the new syntax that came after it.
var optionSince = map[string]int{"incremental": 170000}

// take is parse_basebackup_options of basebackup.c.
func (r *BackupRequest) take(version int, options []option) error {
	seen := map[string]bool{}
	r.Label, r.Manifest = "base backup", "no"
	for _, o := range options {
		if version < optionSince[o.name] {
			return refuse("42601", "unrecognized base backup option: %q", o.name)
		}
		if err := r.takeOne(o); err != nil {
			return err
		}
		if seen[o.name] {
			return refuse("42601", "duplicate option %q", o.given)
		}
		seen[o.name] = true
	}
	switch {
	case r.Manifest == "no" && seen["manifest_checksums"]:
		return refuse("42601", "manifest checksums require a backup manifest")
	case seen["target_detail"] && !seen["target"]:
		return refuse("42601", "target detail cannot be used without target")
	case seen["target_detail"] && r.Target != "server":
		return refuse("42601", "target %q does not accept a target detail", r.Target)
	case r.Target == "server" && !seen["target_detail"]:
		return refuse("42601", "target %q requires a target detail", r.Target)
	case seen["compression_detail"] && !seen["compression"]:
		return refuse("42601", "compression detail cannot be specified unless compression is enabled")
	}
	return nil
}

func (r *BackupRequest) takeOne(o option) error {
	var err error
	var on bool
	var text string
	switch o.name {
	case "progress":
		r.Progress, err = o.boolean()
	case "wal":
		r.WAL, err = o.boolean()
	case "tablespace_map":
		r.TablespaceMap, err = o.boolean()
	case "incremental":
		r.IsIncremental, err = o.boolean()
	case "wait":
		on, err = o.boolean()
		r.NoWait = !on
	case "verify_checksums":
		on, err = o.boolean()
		r.NoVerify = !on
	case "label":
		r.Label, err = o.text()
	case "target_detail":
		r.TargetDetail, err = o.text()
	case "compression_detail":
		r.CompressionDetail, err = o.text()
	case "target":
		if r.Target, err = o.text(); err == nil && r.Target != "client" && r.Target != "server" && r.Target != "blackhole" {
			return refuse("0A000", "unrecognized target: %q", r.Target)
		}
	case "checkpoint":
		text, err = o.text()
		switch strings.ToLower(text) {
		case "fast":
			r.Fast = true
		case "spread":
		default:
			if err == nil {
				return refuse("42601", "unrecognized checkpoint type: %q", text)
			}
		}
	case "manifest":
		text, err = o.text()
		switch strings.ToLower(text) {
		case "yes", "true", "on", "1":
			r.Manifest = "yes"
		case "no", "false", "off", "0":
			r.Manifest = "no"
		case "force-encode":
			r.Manifest = "force-encode"
		default:
			if err == nil {
				return refuse("42601", "unrecognized manifest option: %q", text)
			}
		}
	case "manifest_checksums":
		text, err = o.text()
		r.ManifestChecksums = strings.ToUpper(text)
		if _, ok := checksums[r.ManifestChecksums]; err == nil && !ok {
			return refuse("42601", "unrecognized checksum algorithm: %q", text)
		}
	case "compression":
		text, err = o.text()
		r.Compression = strings.ToLower(text)
		if _, ok := compressors[r.Compression]; err == nil && !ok {
			return refuse("42601", "unrecognized compression algorithm: %q", text)
		}
	case "max_rate":
		if o.argument.kind != tokenNumber {
			return refuse("42601", "max_rate requires a numeric value")
		}
		r.MaxRate = int(o.argument.n)
		if r.MaxRate < 32 || r.MaxRate > 1048576 {
			return refuse("22003", "%d is outside the valid range for parameter \"MAX_RATE\" (32 .. 1048576)", r.MaxRate)
		}
	default:
		return refuse("42601", "unrecognized base backup option: %q", o.name)
	}
	return err
}
