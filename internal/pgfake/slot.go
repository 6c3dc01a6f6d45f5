package pgfake

import (
	"errors"
	"strings"
)

func (c *Cluster) createSlot(a *answer, cmd *command) error {
	if err := checkSlotName(cmd.slot); err != nil {
		return err
	}
	c.mu.Lock()
	if c.slots[cmd.slot] != nil {
		c.mu.Unlock()
		return refuse("42710", "replication slot %q already exists", cmd.slot)
	}
	s := &Slot{Name: cmd.slot, Temporary: cmd.temporary}
	if cmd.temporary {
		s.owner = a.c
	}
	if cmd.reserveWAL {
		s.RestartLSN = c.Flush
	}
	c.slots[s.Name] = s
	c.mu.Unlock()
	err := a.send(PartResult, "",
		Columns(text("slot_name"), text("consistent_point"), text("snapshot_name"), text("output_plugin")),
		Row(cmd.slot, "0/0", nil, nil))
	if err != nil {
		return err
	}
	return c.complete(a)
}

// checkSlotName is ReplicationSlotValidateName of slot.c.
func checkSlotName(name string) error {
	switch {
	case name == "":
		return refuse("42602", "replication slot name %q is too short", name)
	case len(name) > 63:
		return refuse("42622", "replication slot name %q is too long", name)
	case strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != "":
		return &refusal{"42602", "replication slot name \"" + name + "\" contains invalid character",
			[]Field{Hint("Replication slot names may only contain lower case letters, numbers, and the underscore character.")}}
	}
	return nil
}

func (c *Cluster) dropSlot(a *answer, cmd *command) error {
	c.mu.Lock()
	_, err := c.usableSlot(cmd.slot, a.c)
	for isInUse(err) && cmd.wait {
		freed := c.freed
		c.mu.Unlock()
		<-freed
		c.mu.Lock()
		_, err = c.usableSlot(cmd.slot, a.c)
	}
	if err == nil {
		delete(c.slots, cmd.slot)
	}
	c.mu.Unlock()
	if err != nil {
		return err
	}
	if c.version < 130000 {
		if err := a.send(PartComplete, "", CommandComplete("DROP_REPLICATION_SLOT")); err != nil {
			return err
		}
	}
	return c.complete(a)
}

func isInUse(err error) bool {
	var r *refusal
	return errors.As(err, &r) && r.sqlstate == codeInUse
}

const codeInUse = "55006"

// slotsFreed wakes who waits for a slot. c.mu is locked.
func (c *Cluster) slotsFreed() {
	close(c.freed)
	c.freed = make(chan struct{})
}

// usableSlot finds a slot that no other connection holds. c.mu is locked.
func (c *Cluster) usableSlot(name string, by *Conn) (*Slot, error) {
	s := c.slots[name]
	if s == nil {
		return nil, refuse("42704", "replication slot %q does not exist", name)
	}
	for _, holder := range []*Conn{s.user, s.owner} {
		if holder != nil && holder != by {
			return nil, refuse(codeInUse, "replication slot %q is active for PID %d", name, holder.pid())
		}
	}
	return s, nil
}

func (c *Cluster) readSlot(a *answer, cmd *command) error {
	row := []any{nil, nil, nil}
	c.mu.Lock()
	if s := c.slots[cmd.slot]; s != nil {
		row[0] = "physical"
		if s.RestartLSN != 0 {
			row[1], row[2] = s.RestartLSN, c.timelineAt(s.RestartLSN)
		}
	}
	c.mu.Unlock()
	err := a.send(PartResult, "", Columns(text("slot_type"), text("restart_lsn"), int8Column("restart_tli")), Row(row...))
	if err != nil {
		return err
	}
	return c.complete(a)
}

// Slot is a copy of a slot and whether it exists.
func (c *Cluster) Slot(name string) (Slot, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.slots[name]
	if s == nil {
		return Slot{}, false
	}
	return Slot{Name: s.Name, RestartLSN: s.RestartLSN, Temporary: s.Temporary}, true
}

// forget drops what ends with a connection.
func (c *Cluster) forget(conn *Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, s := range c.slots {
		if s.user == conn {
			s.user = nil
		}
		if s.owner == conn {
			delete(c.slots, name)
		}
	}
	c.slotsFreed()
}
