package pgfake

import (
	"encoding/binary"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgbasin/pgbasin/lsn"
)

// Message is one thing the server sends, or does in place of sending: a
// protocol message, raw bytes, or a fault such as Close. It is a Step, too, so
// that scripts are written as the messages follow each other.
type Message struct {
	what  string
	proto pgproto3.BackendMessage
	raw   []byte
	do    func(*Conn) error
}

// Proto is the decoded message, nil for raw bytes and faults. It must not be
// changed.
func (m Message) Proto() pgproto3.BackendMessage { return m.proto }

// Data is the payload of a CopyData message, nil for others.
func (m Message) Data() []byte {
	if d, ok := m.proto.(*pgproto3.CopyData); ok {
		return d.Data
	}
	return nil
}

// String names the message for diagnostics.
func (m Message) String() string { return m.what }

// Bytes is the message as it goes over the wire; empty for a fault.
func (m Message) Bytes() []byte {
	b, err := m.appendTo(nil)
	if err != nil {
		panic(fmt.Sprintf("pgfake: encode %s: %v", m.what, err))
	}
	return b
}

func (m Message) appendTo(buf []byte) ([]byte, error) {
	if m.proto != nil {
		return m.proto.Encode(buf)
	}
	return append(buf, m.raw...), nil
}

func (m Message) run(c *Conn) error { return c.Send(m) }

func proto(what string, p pgproto3.BackendMessage) Message {
	return Message{what: what, proto: p}
}

// RawBytes sends b as it is, which need not be a message.
func RawBytes(b []byte) Message {
	return Message{what: fmt.Sprintf("RawBytes(%d bytes)", len(b)), raw: b}
}

// WithLength is m with n in its length field, whatever its body holds. n counts
// itself, as on the wire: an honest length is 4 more than the body's.
func WithLength(m Message, n uint32) Message {
	b := m.Bytes()
	binary.BigEndian.PutUint32(b[1:], n)
	return Message{what: fmt.Sprintf("%v with length %d", m, n), raw: b}
}

// Forever sends the messages again and again, until the client goes away or
// the test ends.
func Forever(messages ...Message) Message {
	return Message{what: fmt.Sprintf("Forever(%v)", messages), do: func(c *Conn) error {
		c.idle.Store(true)
		for {
			if err := c.Send(messages...); err != nil {
				return ended(err)
			}
		}
	}}
}

// Generate sends what next returns, until that has no more: for what is not to be
// held in memory.
func Generate(next func() (m Message, ok bool)) Message {
	return Message{what: "Generate", do: func(c *Conn) error {
		for {
			m, ok := next()
			if !ok {
				return nil
			}
			if err := c.Send(m); err != nil {
				c.idle.Store(true)
				return ended(err)
			}
		}
	}}
}

// Column describes a result column. OID and Len are what the server says of
// its type; results of replication commands are in text format always.
type Column struct {
	Name string
	OID  uint32
	Len  int16
}

// Type OIDs of the columns that walsenders send (pg_type.dat).
const (
	oidInt8 = 20
	oidInt4 = 23
	oidText = 25
	oidOID  = 26
)

// RowDescription describes text columns.
func RowDescription(names ...string) Message {
	columns := make([]Column, len(names))
	for i, n := range names {
		columns[i] = Column{n, oidText, -1}
	}
	return Columns(columns...)
}

// Columns is RowDescription with types.
func Columns(columns ...Column) Message {
	d := &pgproto3.RowDescription{}
	for _, c := range columns {
		d.Fields = append(d.Fields, pgproto3.FieldDescription{Name: []byte(c.Name), DataTypeOID: c.OID, DataTypeSize: c.Len})
	}
	return proto("RowDescription", d)
}

// Row is one row: nil is NULL, anything else is printed as the server would
// ([]byte and string as they are).
func Row(values ...any) Message {
	d := &pgproto3.DataRow{}
	for _, v := range values {
		switch v := v.(type) {
		case nil:
			d.Values = append(d.Values, nil)
		case []byte:
			d.Values = append(d.Values, append([]byte{}, v...))
		default:
			d.Values = append(d.Values, fmt.Append([]byte{}, v))
		}
	}
	return proto("DataRow", d)
}

// CommandComplete ends one command with its tag.
func CommandComplete(tag string) Message {
	return proto("CommandComplete "+tag, &pgproto3.CommandComplete{CommandTag: []byte(tag)})
}

// ReadyForQuery tells the client that the next command may come.
func ReadyForQuery() Message {
	return proto("ReadyForQuery", &pgproto3.ReadyForQuery{TxStatus: 'I'})
}

// CopyOut, CopyBoth and CopyIn begin a COPY the way walsenders do: text, no
// columns.
func CopyOut() Message  { return proto("CopyOutResponse", &pgproto3.CopyOutResponse{}) }
func CopyBoth() Message { return proto("CopyBothResponse", &pgproto3.CopyBothResponse{}) }
func CopyIn() Message   { return proto("CopyInResponse", &pgproto3.CopyInResponse{}) }

// CopyData carries b, which must stay as it is until the message was sent.
func CopyData(b []byte) Message {
	return proto(fmt.Sprintf("CopyData(%d bytes)", len(b)), &pgproto3.CopyData{Data: b})
}

// CopyDone ends the server's side of a COPY.
func CopyDone() Message { return proto("CopyDone", &pgproto3.CopyDone{}) }

// Field is an optional field of an Error or Notice.
type Field struct {
	Code  byte // of the protocol, for example 'H' for the hint
	Value string
}

// Detail and Hint are the fields that users see most.
func Detail(s string) Field { return Field{'D', s} }
func Hint(s string) Field   { return Field{'H', s} }

// Error is an ErrorResponse. severity is ERROR, FATAL or PANIC; only after
// ERROR does a real server send ReadyForQuery, which the script has to send.
func Error(severity, sqlstate, message string, fields ...Field) Message {
	return proto(severity+" "+sqlstate, errorResponse(severity, sqlstate, message, fields))
}

// Notice is a NoticeResponse. severity is WARNING, NOTICE, INFO or LOG.
func Notice(severity, sqlstate, message string, fields ...Field) Message {
	n := pgproto3.NoticeResponse(*errorResponse(severity, sqlstate, message, fields))
	return proto("notice "+severity+" "+sqlstate, &n)
}

func errorResponse(severity, sqlstate, message string, fields []Field) *pgproto3.ErrorResponse {
	e := &pgproto3.ErrorResponse{Severity: severity, SeverityUnlocalized: severity, Code: sqlstate, Message: message}
	for _, f := range fields {
		switch f.Code {
		case 'D':
			e.Detail = f.Value
		case 'H':
			e.Hint = f.Value
		default:
			if e.UnknownFields == nil {
				e.UnknownFields = map[byte]string{}
			}
			e.UnknownFields[f.Code] = f.Value
		}
	}
	return e
}

// ParameterStatus reports a setting, which a server may do between any two
// messages.
func ParameterStatus(name, value string) Message {
	return proto("ParameterStatus "+name, &pgproto3.ParameterStatus{Name: name, Value: value})
}

// XLogData is write-ahead log from start on inside a CopyBoth. end is the
// server's current end of log.
func XLogData(start, end lsn.LSN, b []byte) Message {
	d := make([]byte, 0, 25+len(b))
	d = append(d, 'w')
	d = binary.BigEndian.AppendUint64(d, uint64(start))
	d = binary.BigEndian.AppendUint64(d, uint64(end))
	d = binary.BigEndian.AppendUint64(d, sendTime)
	m := CopyData(append(d, b...))
	m.what = fmt.Sprintf("XLogData(%v, %d bytes)", start, len(b))
	return m
}

// Keepalive is the server's keepalive inside a CopyBoth; replyNow asks for a
// status at once.
func Keepalive(end lsn.LSN, replyNow bool) Message {
	d := []byte{'k'}
	d = binary.BigEndian.AppendUint64(d, uint64(end))
	d = binary.BigEndian.AppendUint64(d, sendTime)
	d = append(d, 0)
	if replyNow {
		d[len(d)-1] = 1
	}
	m := CopyData(d)
	m.what = fmt.Sprintf("Keepalive(%v, %v)", end, replyNow)
	return m
}

// sendTime is the clock of every fake server: 2024-01-01, in microseconds since
// 2000-01-01.
const sendTime = 757382400_000_000

func itoa[T ~int | ~uint32 | ~uint64 | ~int64](n T) string { return strconv.FormatInt(int64(n), 10) }
