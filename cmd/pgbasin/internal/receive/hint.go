package receive

import (
	"errors"
	"fmt"
	"strings"

	"github.com/pgbasin/pgbasin/replproto"
	"github.com/pgbasin/pgbasin/walstream"
)

const newArchive = "The archive cannot be continued: move its segments elsewhere, begin again, and take a base backup."

// hint says what can be done about what ended the command.
func (r *run) hint(err error) string {
	var (
		gap      *walstream.GapError
		diverged *walstream.DivergedError
		slot     *walstream.SlotError
		connect  *replproto.ConnectError
		server   *replproto.ServerError
	)
	switch {
	case errors.As(err, &gap):
		return fmt.Sprintf("Put the missing segments there, or move \"%s\" and all that is older elsewhere: nothing behind the gap can be recovered with it.", gap.Before)
	case errors.As(err, &diverged):
		return "The server was restored or promoted from an earlier point. " + newArchive
	case errors.Is(err, walstream.ErrSystemChanged):
		return "This is another cluster: keep its WAL in another directory."
	case errors.As(err, &slot):
		return "Create it with --create-slot, or leave out -S/--slot."
	case errors.Is(err, replproto.ErrConnectionLost) || !errors.As(err, &server):
		return ""
	}
	switch server.Code {
	case replproto.CodeUndefinedFile:
		hint := newArchive
		if !r.o.slot.Given {
			hint += " With a replication slot (-S/--slot) the server keeps WAL until it was received."
		}
		return hint
	case replproto.CodeNotInState:
		return "The slot was invalidated, or is not a physical one: drop it, create another, and see whether the server still has the WAL that the archive needs next."
	case replproto.CodeUndefinedObject:
		return "Create it with --create-slot, or leave out -S/--slot."
	case replproto.CodeDuplicateObject:
		return "With --if-not-exists this is no error."
	case replproto.CodeObjectInUse:
		return "A slot serves one receiver at a time. Name another one with -S/--slot."
	case replproto.CodeInvalidPassword:
		return "Check user name and password. A password comes from the prompt (-W), the connection string, PGPASSWORD or the password file."
	case replproto.CodeInvalidAuthorization:
		if strings.Contains(server.Message, "pg_hba.conf") {
			return "WAL comes over replication connections: the server's pg_hba.conf needs a line such as \"host replication USER ADDRESS scram-sha-256\"."
		}
	case replproto.CodeInsufficientRight:
		if errors.As(err, &connect) {
			return "Give the user the right to replicate: ALTER ROLE ... REPLICATION."
		}
	case replproto.CodeTooManyConnections:
		if strings.Contains(server.Message, "max_wal_senders") {
			return "Raise max_wal_senders on the server."
		}
	}
	return ""
}
