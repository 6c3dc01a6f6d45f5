package replproto

import (
	"context"
	"encoding/binary"
	"time"
)

// maxResult bounds the memory of the rows of one result set, in bytes; the
// largest is BASE_BACKUP's list of tablespaces, some 300 bytes each.
const maxResult = 16 << 20

// row is one DataRow in text form; a nil field is NULL.
type row [][]byte

// memory is what a row from a body of so many bytes takes in a list of rows, about.
// Rows without fields are not free.
func (r row) memory(body int) int {
	const each, field = 64, 40
	return each + field*len(r) + body
}

func (r row) text(i int) string {
	if i < len(r) {
		return string(r[i])
	}
	return ""
}

func (r row) null(i int) bool { return i >= len(r) || r[i] == nil }

// command runs a command whose whole answer is at most one result set.
func (c *Conn) command(ctx context.Context, name, sql string) ([]row, error) {
	return c.commandWithin(ctx, c.timeout, name, sql)
}

// commandWithin is command for one that the server may take longer for, in silence;
// 0 is as long as it likes.
func (c *Conn) commandWithin(ctx context.Context, silence time.Duration, name, sql string) ([]row, error) {
	if err := c.begin(ctx); err != nil {
		return nil, err
	}
	c.wire.allow(silence, nil)
	if err := c.query(sql); err != nil {
		return nil, c.fail(err)
	}
	rows, err := c.resultSet(name)
	if err != nil {
		return nil, err
	}
	return rows, c.ready(name)
}

// resultSet reads one result up to its CommandComplete: RowDescription and
// rows, or no rows at all.
func (c *Conn) resultSet(name string) ([]row, error) { return c.resultSetAfter(name, 0) }

// resultSetAfter is resultSet, and passes over messages of the type skip in front
// of it.
func (c *Conn) resultSetAfter(name string, skip byte) ([]row, error) {
	var rows []row
	size := 0
	for {
		typ, err := c.receive()
		if err != nil {
			return nil, err
		}
		if typ == skip {
			continue
		}
		skip = 0
		switch typ {
		case 'T', 'I':
		case 'C':
			return rows, nil
		case 'D':
			body, err := c.wire.body()
			if err != nil {
				return nil, c.fail(err)
			}
			r, ok := parseRow(body)
			if !ok {
				return nil, c.fail(protocolErrorf("malformed row in the answer to %s", name))
			}
			if size += r.memory(len(body)); size > maxResult {
				return nil, c.fail(protocolErrorf("the answer to %s exceeds %d bytes", name, maxResult))
			}
			rows = append(rows, r)
		default:
			return nil, c.unexpected(typ, name)
		}
	}
}

// ready reads up to ReadyForQuery and closes the command. Several
// CommandCompletes in a row are normal: a walsender ends some commands with
// two.
func (c *Conn) ready(name string) error {
	for {
		typ, err := c.receive()
		if err != nil {
			return err
		}
		switch typ {
		case 'C':
		case 'Z':
			if err := c.wire.skip(); err != nil {
				return c.fail(err)
			}
			c.end()
			return nil
		default:
			return c.unexpected(typ, name)
		}
	}
}

// parseRow copies the fields out of a DataRow.
func parseRow(body []byte) (row, bool) {
	if len(body) < 2 {
		return nil, false
	}
	n := int(binary.BigEndian.Uint16(body))
	body = body[2:]
	if n*4 > len(body) {
		return nil, false
	}
	r := make(row, n)
	for i := range r {
		if len(body) < 4 {
			return nil, false
		}
		length := int32(binary.BigEndian.Uint32(body))
		body = body[4:]
		if length == -1 {
			continue
		}
		if length < 0 || int(length) > len(body) {
			return nil, false
		}
		r[i] = append([]byte{}, body[:length]...)
		body = body[length:]
	}
	return r, true
}
