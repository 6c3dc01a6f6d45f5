package replproto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/pgbasin/pgbasin/conninfo"
)

// Bounds on what comes before the server is ready, in bytes. The first two are
// libpq's; the last is for a message as well as for all of them.
const (
	maxAuthMessage  = 2000
	maxErrorMessage = 30000
	maxStartup      = 1 << 20
)

// Authentication requests (protocol section "Message Formats").
const (
	authOK       = 0
	authPassword = 3
	authMD5      = 5
	authGSS      = 7
	authGSSCont  = 8
	authSSPI     = 9
	authSASL     = 10
	authSASLCont = 11
	authSASLEnd  = 12
)

// gate stands between the server and pgconn until the server is ready. pgconn
// answers authentication requests; the gate sees them first and stops what
// libpq would not answer, in libpq's words: above all a demand for a password
// that is not there, to which pgconn would send an empty one. It keeps errors
// and notices with all their fields, and never reads beyond the message that
// pgconn is being given, so that nothing is left in pgconn's buffer when the
// connection is taken over.
type gate struct {
	r        io.Reader
	policy   *authPolicy
	notice   func(*Notice)
	pending  []byte // of the current message, to be delivered
	left     int    // bytes of it still to be read from r
	total    int    // bytes of all messages so far
	deliver  bool   // the gate is open: everything passes
	authed   bool   // AuthenticationOk has passed
	told     bool   // the server has asked for the password itself, and got it
	finished bool   // an authentication exchange took place
	bound    bool   // ... with channel binding

	stopped     error        // why the gate stopped the exchange
	serverError *ServerError // the error that the server sent
}

// authPolicy is what the settings say about authentication.
type authPolicy struct {
	methods        conninfo.AuthMethods
	channelBinding string
	encrypted      bool
	password       string
	certificate    func() error // nil, or checks what sslcertmode=require demands
}

// gateError makes a failed read look like a timeout to pgconn. After any other
// error pgconn would go on in the background to cancel and end, politely, a
// session that does not exist yet.
type gateError struct{ error }

func (gateError) Timeout() bool   { return true }
func (gateError) Temporary() bool { return false }
func (e gateError) Unwrap() error { return e.error }

func (g *gate) stop(err error) (int, error) {
	if g.stopped == nil {
		g.stopped = err
	}
	return 0, gateError{g.stopped}
}

// Read implements io.Reader for pgproto3's frontend.
func (g *gate) Read(p []byte) (int, error) {
	if g.stopped != nil {
		return 0, gateError{g.stopped}
	}
	if len(g.pending) == 0 && g.left == 0 {
		if g.deliver {
			return g.r.Read(p)
		}
		if err := g.next(); err != nil {
			return g.stop(err)
		}
	}
	if len(g.pending) > 0 {
		n := copy(p, g.pending)
		g.pending = g.pending[n:]
		return n, nil
	}
	n, err := g.r.Read(p[:min(len(p), g.left)])
	g.left -= n
	if err != nil && n == 0 {
		return g.stop(lost(err))
	}
	return n, nil
}

// next reads the header of a message, and the body of those that matter here.
func (g *gate) next() error {
	header := make([]byte, headerSize)
	if _, err := io.ReadFull(g.r, header); err != nil {
		return lost(err)
	}
	typ, length := header[0], binary.BigEndian.Uint32(header[1:])
	if !g.authed && typ != 'R' && typ != 'E' && typ != 'v' {
		return fmt.Errorf("expected authentication request from server, but received %q", typ)
	}

	limit, complaint := uint32(maxStartup), "received an oversized message from the server"
	switch typ {
	case 'R':
		limit, complaint = maxAuthMessage, "received invalid authentication request"
	case 'v':
		limit, complaint = maxAuthMessage, "received invalid protocol negotiation message"
	case 'E':
		limit = maxErrorMessage
		if !g.authed && (length < 8 || length > limit) {
			return g.oldError(header[1:])
		}
		complaint = "received invalid error message"
	}
	if length < 4 || length > limit {
		return errors.New(complaint)
	}
	size := int(length) - 4
	if g.total += headerSize + size; g.total > maxStartup {
		return fmt.Errorf("server sent more than %d bytes before it was ready for a command", maxStartup)
	}
	if typ != 'R' && typ != 'E' && typ != 'N' {
		g.pending, g.left = header, size
		g.deliver = typ == 'Z'
		return nil
	}

	message := make([]byte, headerSize+size)
	copy(message, header)
	body := message[headerSize:]
	if _, err := io.ReadFull(g.r, body); err != nil {
		return lost(err)
	}
	switch typ {
	case 'R':
		if err := g.authentication(body); err != nil {
			return err
		}
	case 'E':
		g.serverError = newServerError(body)
		g.hide(&g.serverError.Fields)
	case 'N':
		if g.notice != nil {
			n := newNotice(body)
			g.hide(&n.Fields)
			g.notice(n)
		}
	}
	g.pending = message
	return nil
}

// hide takes the password out of a message if the server has been told it and says
// it again.
func (g *gate) hide(f *Fields) {
	if !g.told {
		return
	}
	for _, text := range []*string{&f.Message, &f.Detail, &f.Hint, &f.Context} {
		*text = strings.ReplaceAll(*text, g.policy.password, "***")
	}
}

// oldError reads the error of a server that failed before it knew the
// protocol version: "E" and a text that ends with a NUL, from servers before 14
// that could not start a process.
func (g *gate) oldError(start []byte) error {
	text := start
	one := make([]byte, 1)
	for !bytes.Contains(text, []byte{0}) && len(text) < maxErrorMessage {
		if _, err := io.ReadFull(g.r, one); err != nil {
			break
		}
		text = append(text, one[0])
	}
	text, _, found := bytes.Cut(text, []byte{0})
	if !found {
		return errors.New("received invalid error message")
	}
	return errors.New(string(bytes.TrimRight(text, "\n")))
}

// authentication passes or stops one authentication request (libpq's
// check_expected_areq, pg_fe_sendauth and pg_SASL_init).
func (g *gate) authentication(body []byte) error {
	if len(body) < 4 {
		return errors.New("received invalid authentication request")
	}
	code := binary.BigEndian.Uint32(body)
	p := g.policy

	if code == authOK {
		if p.certificate != nil {
			if err := p.certificate(); err != nil {
				return err
			}
		}
		if p.methods.Required() && !g.finished {
			return g.requirement("server did not complete authentication")
		}
		if p.channelBinding == "require" && !g.bound {
			return errors.New("channel binding required, but server authenticated client without channel binding")
		}
		g.authed = true
		return nil
	}

	for _, m := range []struct {
		code             uint32
		method, complain string
	}{
		{authPassword, "password", "server requested a cleartext password"},
		{authMD5, "md5", "server requested a hashed password"},
		{authGSS, "gss", "server requested GSSAPI authentication"},
		{authSSPI, "sspi", "server requested SSPI authentication"},
		{authSASL, "scram-sha-256", "server requested SASL authentication"},
	} {
		if code == m.code && !p.methods.Allows(m.method) {
			return g.requirement(m.complain)
		}
	}
	sasl := code == authSASL || code == authSASLCont || code == authSASLEnd
	if p.channelBinding == "require" && !sasl {
		return errors.New("channel binding required but not supported by server's authentication request")
	}

	switch code {
	case authPassword, authMD5:
		if p.password == "" {
			return errNoPassword
		}
		g.finished, g.told = true, code == authPassword
	case authSASL:
		return g.saslStart(body[4:])
	case authSASLCont:
	case authSASLEnd:
		g.finished = true
	case authGSS, authGSSCont:
		return errors.New("GSSAPI authentication not supported")
	case authSSPI:
		return errors.New("SSPI authentication not supported")
	case 1:
		return errors.New("Kerberos 4 authentication not supported")
	case 2:
		return errors.New("Kerberos 5 authentication not supported")
	case 4:
		return errors.New("Crypt authentication not supported")
	default:
		return fmt.Errorf("authentication method %d not supported", code)
	}
	return nil
}

func (g *gate) requirement(reason string) error {
	return fmt.Errorf("authentication method requirement \"%s\" failed: %s", g.policy.methods, reason)
}

// saslStart checks the mechanisms that the server offers.
func (g *gate) saslStart(list []byte) error {
	p := g.policy
	if p.channelBinding == "require" && !p.encrypted {
		return errors.New("channel binding required, but SSL not in use")
	}
	var offered []string
	for len(list) > 0 && list[0] != 0 {
		name, rest, ok := cutString(list)
		if !ok {
			return errors.New("fe_sendauth: invalid authentication request from server: invalid list of authentication mechanisms")
		}
		offered, list = append(offered, name), rest
	}
	plus := slices.Contains(offered, "SCRAM-SHA-256-PLUS")
	switch {
	case plus && !p.encrypted:
		return errors.New("server offered SCRAM-SHA-256-PLUS authentication over a non-SSL connection")
	case p.channelBinding == "require" && !plus:
		return errors.New("channel binding is required, but server did not offer an authentication method that supports channel binding")
	case !plus && !slices.Contains(offered, "SCRAM-SHA-256"):
		return errors.New("none of the server's SASL authentication mechanisms are supported")
	case p.password == "":
		return errNoPassword
	}
	// pgconn chooses the mechanism by the same rule, and itself insists on
	// binding when it is required.
	g.bound = plus && p.channelBinding != "disable"
	return nil
}
