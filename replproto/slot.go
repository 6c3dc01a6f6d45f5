package replproto

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/pgbasin/pgbasin/lsn"
)

// SlotOptions say what kind of physical slot to create.
type SlotOptions struct {
	// Temporary slots go with the connection that created them (10 and later).
	Temporary bool
	// Reserve keeps WAL from now on, not only from the first use on. Servers
	// before 9.6 do not know it; there it is left out, which matters only if
	// the slot is not used at once.
	Reserve bool
}

// CreatePhysicalSlot runs CREATE_REPLICATION_SLOT. A slot of that name already
// being there is a *ServerError with CodeDuplicateObject.
func (c *Conn) CreatePhysicalSlot(ctx context.Context, name string, o SlotOptions) error {
	if err := c.needSlots("replication slots"); err != nil {
		return err
	}
	sql := "CREATE_REPLICATION_SLOT " + quoteIdentifier(name)
	if o.Temporary {
		if c.version < v10 {
			return &UnsupportedError{What: "temporary replication slots", Since: "10", Server: c.ServerVersionString()}
		}
		sql += " TEMPORARY"
	}
	sql += " PHYSICAL"
	if o.Reserve && c.version >= v9_6 {
		if c.version >= v15 {
			sql += " (RESERVE_WAL)"
		} else {
			sql += " RESERVE_WAL"
		}
	}
	if _, err := c.command(ctx, "CREATE_REPLICATION_SLOT", sql); err != nil {
		return fmt.Errorf("could not send replication command \"%s\": %w", sql, err)
	}
	return nil
}

// DropSlot runs DROP_REPLICATION_SLOT. With wait it waits, as long as ctx lets
// it, for a user of the slot to go: from 10 on in the server, before by asking
// again.
func (c *Conn) DropSlot(ctx context.Context, name string, wait bool) error {
	if err := c.needSlots("replication slots"); err != nil {
		return err
	}
	sql := "DROP_REPLICATION_SLOT " + quoteIdentifier(name)
	silence := c.timeout
	if wait && c.version >= v10 {
		sql += " WAIT"
		silence = 0
	}
	for {
		_, err := c.commandWithin(ctx, silence, "DROP_REPLICATION_SLOT", sql)
		if err == nil {
			return nil
		}
		err = fmt.Errorf("could not send replication command \"%s\": %w", sql, err)
		if !wait || !HasCode(err, CodeObjectInUse) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(slotInUseInterval):
		}
	}
}

// slotInUseInterval is how often a slot in use is tried again.
const slotInUseInterval = 100 * time.Millisecond

// Slot is what READ_REPLICATION_SLOT tells.
type Slot struct {
	Type            string  // "physical"; "" if there is no such slot
	RestartLSN      lsn.LSN // 0 if the slot reserves nothing yet
	RestartTimeline uint32  // 0 if not known
}

// ReadSlot runs READ_REPLICATION_SLOT (15 and later).
func (c *Conn) ReadSlot(ctx context.Context, name string) (Slot, error) {
	const command = "READ_REPLICATION_SLOT"
	if c.version < v15 {
		return Slot{}, &UnsupportedError{What: command, Since: "15", Server: c.ServerVersionString()}
	}
	rows, err := c.command(ctx, command, command+" "+quoteIdentifier(name))
	if err != nil {
		return Slot{}, fmt.Errorf("could not send replication command %q: %w", command, err)
	}
	if len(rows) != 1 || len(rows[0]) != 3 {
		return Slot{}, fmt.Errorf("could not read replication slot %q: %w", name, shape(rows, 3))
	}
	r := rows[0]
	s := Slot{Type: r.text(0)}
	if !r.null(1) {
		if s.RestartLSN, err = lsn.Parse(r.text(1)); err != nil {
			return Slot{}, fmt.Errorf("could not parse restart_lsn of replication slot %q: %w", name, err)
		}
	}
	if !r.null(2) && r.text(2) != "0" {
		if s.RestartTimeline, err = parseTimeline(r.text(2)); err != nil {
			return Slot{}, fmt.Errorf("could not read replication slot %q: %w", name, err)
		}
	}
	return s, nil
}

func (c *Conn) needSlots(what string) error {
	if c.version < v9_4 {
		return &UnsupportedError{What: what, Since: "9.4", Server: c.ServerVersionString()}
	}
	return nil
}

// quoteIdentifier and quoteLiteral follow the server's repl_scanner.l: the
// quote is doubled, nothing else is special.
func quoteIdentifier(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

func quoteLiteral(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
