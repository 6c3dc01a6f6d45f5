package backup

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/pgbasin/pgbasin/basebackup"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/interrupt"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/program"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/words"
	"github.com/pgbasin/pgbasin/incremental"
	"github.com/pgbasin/pgbasin/manifest"
	"github.com/pgbasin/pgbasin/replproto"
)

// failure is an error as the user is told it.
type failure struct {
	text     string
	sqlState string
	details  []string
	hints    []string
	help     bool   // point to --help
	speaker  string // in front of text, instead of "pg_basebackup: error"
}

func (f *failure) print(p *program.Program) {
	switch {
	case f.text == "":
	case f.speaker != "":
		p.Console.Line(f.speaker + ": " + f.text)
	default:
		p.Error(f.text)
	}
	for _, d := range f.details {
		p.Detail(d)
	}
	for _, h := range f.hints {
		p.Hint(h)
	}
	if f.help {
		p.HintHelp()
	}
}

// describe is the one place that turns errors of a backup into what the user is
// told. The exit status is 1 for all of them, as pg_basebackup's is.
func describe(ctx context.Context, err error, o *options, dropIn bool) failure {
	f := failure{text: words.Of(err)}
	var server *replproto.ServerError
	if errors.As(err, &server) {
		f.sqlState = server.Code
	}
	interrupted := interrupt.In(ctx, err)
	switch {
	case interrupted != nil:
		// What the end of everything made of the rest is of no interest.
		f.text, f.sqlState = interrupted.Error(), ""
		o.resumeFailure(&f, err)
	case f.sqlState == replproto.CodeDataCorrupted:
		f.text = "checksum error occurred"
		f.details = o.keptAfterChecksumError()
		f.hints = []string{"The server's warnings name the damaged pages."}
	case o.resumeFailure(&f, err):
	default:
		if text := o.incrementalText(err, dropIn); text != "" {
			f.text = text
		}
		if hint := o.incrementalHint(err, server); hint != "" {
			f.hints = []string{hint}
			break
		}
		f.hints = hints(err, server, o, dropIn)
	}
	return f
}

func (o *options) keptAfterChecksumError() []string {
	if !o.directory.Given || o.toStdout() {
		return nil
	}
	return []string{fmt.Sprintf("All data has arrived and was kept in \"%s\", but it is not marked as a complete backup.", o.directory.Text)}
}

const endedConnection = "The server's log may say why the connection ended. Take the backup again when the server is up."

const arrivedOther = "What arrived is not what the server read: take the backup again, and check network, memory and disks if this happens again."

func hints(err error, server *replproto.ServerError, o *options, dropIn bool) []string {
	var (
		connect     *replproto.ConnectError
		unsupported *replproto.UnsupportedError
		notEmpty    *basebackup.NotEmptyError
		inject      *basebackup.InjectError
		verify      *manifest.VerifyError
		increment   *incremental.FormatError
		silent      *replproto.SilenceError
	)
	one := func(format string, args ...any) []string { return []string{fmt.Sprintf(format, args...)} }
	switch {
	case errors.As(err, &unsupported):
		return unsupportedHint(unsupported)
	case errors.As(err, &notEmpty):
		return one("Choose another directory, or remove or empty \"%s\".", notEmpty.Path)
	case errors.As(err, &inject):
		return injectHint(inject)
	case errors.As(err, &increment):
		return one(arrivedOther)
	case errors.As(err, &verify):
		hint := arrivedOther
		if !dropIn {
			hint += " --no-verify leaves the comparison out."
		}
		return []string{hint}
	case errors.Is(err, syscall.ENOSPC):
		return one("Make room, or write less: -Ft with -Z zstd or -z compresses the backup.")
	case errors.As(err, &silent):
		return one("--server-timeout sets how long a silent server is waited for.")
	case server == nil && errors.Is(err, replproto.ErrConnectionLost):
		return one(endedConnection)
	case server == nil:
		return nil
	}

	switch code := server.Code; {
	case code == replproto.CodeInvalidPassword:
		return one("Check user name and password. A password comes from the prompt (-W), the connection string, PGPASSWORD or the password file.")
	case code == replproto.CodeInvalidAuthorization && strings.Contains(server.Message, "pg_hba.conf"):
		return one("Backups are replication connections: the server's pg_hba.conf needs a line such as \"host replication USER ADDRESS scram-sha-256\".")
	case code == replproto.CodeInsufficientRight && errors.As(err, &connect):
		return one("Give the user the right to replicate: ALTER ROLE ... REPLICATION.")
	case code == replproto.CodeTooManyConnections && strings.Contains(server.Message, "max_wal_senders"):
		return one("Raise max_wal_senders on the server. -X stream, the default, takes two of them, -X fetch one.")
	case code == replproto.CodeLimitExceeded && strings.Contains(server.Message, "replication slots"):
		return one("--no-slot does without one, but then the server may remove WAL that the backup needs.")
	case code == replproto.CodeAdminShutdown || code == replproto.CodeCrashShutdown:
		return one(endedConnection)
	case code == replproto.CodeCannotConnectNow:
		return one("The server is starting or shutting down: try again when it accepts connections.")
	case code == replproto.CodeObjectInUse && o.slot.Given:
		return one("A slot serves one receiver at a time. Name another one with -S/--slot.")
	case code == replproto.CodeUndefinedObject && o.slot.Given:
		return one("Create it with -C/--create-slot, or leave out -S/--slot to use a temporary one.")
	case code == replproto.CodeDuplicateObject && o.create:
		return one("Leave out -C/--create-slot to use the slot that is there.")
	}
	return nil
}

// unsupportedHint says how to do without what the server is too old for.
func unsupportedHint(err *replproto.UnsupportedError) []string {
	for _, h := range []struct{ what, hint string }{
		{"WAL streaming in tar mode to stdout", "Use -X fetch, or a slot of your own with -C and -S."},
		{"WAL streaming", "Use -X none or -X fetch to disable log streaming."},
		{"a replication slot", "Leave out -S/--slot and -C/--create-slot."},
		{"a maximum transfer rate", "Leave out -r/--max-rate."},
		{"a backup manifest", "Leave out --manifest-checksums and --manifest-force-encode."},
		{"a backup target", "Leave out -t/--target and have the backup sent here with -D/--pgdata."},
		{"server-side compression", "Use client-side compression."},
		{whatIncremental, "Leave out -i/--incremental to take a full backup."},
	} {
		if strings.HasPrefix(err.What, h.what) {
			return []string{h.hint}
		}
	}
	return nil
}

func injectHint(err *basebackup.InjectError) []string {
	hint := "Use client-side compression, or send the output to a directory rather than standard output."
	switch err.What {
	case "manifest":
		hint = "Use client-side compression, send the output to a directory rather than standard output, or use --no-manifest."
	case "recovery configuration":
		hint = "Use client-side compression, or leave out -R/--write-recovery-conf."
	}
	return []string{hint}
}

// leftovers says what a process that ends at once leaves behind.
func (o *options) leftovers() string {
	text := "ended without cleaning up; "
	switch {
	case o.target.Given:
		text += "the server may go on with the backup for a while"
	case o.toStdout():
		text += "what was written to standard output is no backup"
	default:
		dirs := []string{"\"" + o.directory.Text + "\""}
		if o.waldir.Given {
			dirs = append(dirs, "\""+o.waldir.Text+"\"")
		}
		text += "an incomplete backup may be left in " + strings.Join(dirs, " and ")
		if o.format == 'p' {
			text += " and in directories of tablespaces"
		}
	}
	if o.create {
		text += fmt.Sprintf("; replication slot \"%s\" may be left on the server", o.slot.Text)
	}
	return text
}

// shorten cuts text for a status line.
func shorten(text string, columns int) string {
	clean := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, text)
	return clean[:min(len(clean), max(columns-program.StatusMargin, 0))]
}
