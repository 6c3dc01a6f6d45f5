package replproto

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"maps"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgbasin/pgbasin/conninfo"
)

// encryption is a way to protect one connection.
type encryption int

const (
	plaintext encryption = iota
	encrypted
)

// encryptionMethods are the methods to try, best first, for an sslmode.
// Sockets are never encrypted.
func encryptionMethods(sslmode string, socket bool) []encryption {
	switch {
	case socket || sslmode == "disable":
		return []encryption{plaintext}
	case sslmode == "allow":
		return []encryption{plaintext, encrypted}
	case sslmode == "prefer":
		return []encryption{encrypted, plaintext}
	}
	return []encryption{encrypted}
}

// attempt is one try at one address, up to a server that is ready for
// commands.
type attempt struct {
	dialer      *dialer
	address     address
	replication bool // or an ordinary session
	database    string

	verdict verdict // how to go on after a failure
	retry   bool    // the next encryption method may succeed
}

// connect uses methods up as it goes.
func (t *attempt) connect(ctx context.Context, methods *[]encryption) (*session, error) {
	nc, err := t.dialer.socket.dial(ctx, t.address)
	if err != nil {
		t.verdict = nextAddress
		return nil, unreachable(t.address.host, err)
	}
	if err := checkPeer(nc, t.dialer.settings.Value("requirepeer")); err != nil {
		nc.Close()
		return nil, err
	}

	var secured *tlsSession
	if (*methods)[0] == encrypted {
		secured, err = t.encrypt(ctx, nc, methods)
		if err != nil {
			nc.Close()
			return nil, err
		}
	}
	if secured != nil {
		nc = secured.conn
	}
	*methods = (*methods)[1:]
	return t.startup(ctx, nc, secured)
}

// encrypt starts TLS on nc. When the server has none and the settings allow
// to go on without, it returns nil and no error.
func (t *attempt) encrypt(ctx context.Context, nc net.Conn, methods *[]encryption) (*tlsSession, error) {
	if t.dialer.settings.Value("sslnegotiation") != "direct" {
		answer, err := requestTLS(ctx, nc)
		switch {
		case err != nil:
			return nil, lost(err)
		case answer == 'E':
			// Not read any further: nothing vouches for the sender.
			return nil, errors.New("server sent an error response during SSL exchange")
		case answer == 'N':
			if len(*methods) == 1 {
				return nil, errors.New("server does not support SSL, but SSL was required")
			}
			*methods = (*methods)[1:]
			return nil, nil
		case answer != 'S':
			return nil, errors.New("received invalid response to SSL negotiation: " + strings.ToValidUTF8(string(rune(answer)), "?"))
		}
	}
	secured, err := startTLS(ctx, nc, t.dialer.settings, t.address.host)
	if err != nil {
		*methods = (*methods)[1:]
		t.retry = true
		return nil, err
	}
	return secured, nil
}

// requestTLS asks the server for TLS and returns its answer of one byte. Only
// one byte is read: what an attacker may have put behind it goes into the TLS
// handshake, and ends it.
func requestTLS(ctx context.Context, nc net.Conn) (byte, error) {
	stop := interruptible(ctx, nc)
	defer stop()
	if _, err := nc.Write([]byte{0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f}); err != nil {
		return 0, err
	}
	var answer [1]byte
	_, err := io.ReadFull(nc, answer[:])
	return answer[0], err
}

// session is what pgconn opened, with the gate that it reads through.
type session struct {
	*pgconn.PgConn
	gate *gate
}

// startup has pgconn open the session. secured is nil without TLS.
func (t *attempt) startup(ctx context.Context, nc net.Conn, secured *tlsSession) (*session, error) {
	s := t.dialer.settings
	methods, err := conninfo.ParseAuthMethods(s.Value("require_auth"))
	if err != nil {
		nc.Close()
		return nil, err
	}
	g := &gate{
		notice: t.dialer.cfg.Notice,
		policy: &authPolicy{
			methods:        methods,
			channelBinding: s.Value("channel_binding"),
			encrypted:      secured != nil,
			password:       t.address.host.Password,
		},
	}
	if s.Value("sslcertmode") == "require" {
		g.policy.certificate = func() error { return secured.certificateSent() }
	}

	config, err := startupConfig()
	if err != nil {
		nc.Close()
		return nil, err
	}
	config.User = s.Value("user")
	config.Password = t.address.host.Password
	config.Database = t.database
	config.RuntimeParams = t.parameters()
	config.ChannelBinding = s.Value("channel_binding")
	config.RequireAuth = s.Value("require_auth")
	config.MinProtocolVersion, config.MaxProtocolVersion = protocolVersions(s)
	dialed := false
	config.DialFunc = func(context.Context, string, string) (net.Conn, error) {
		// pgconn dials again to cancel a query. Nothing here needs that.
		if dialed {
			return nil, errors.ErrUnsupported
		}
		dialed = true
		return nc, nil
	}
	config.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
		g.r = r
		return pgproto3.NewFrontend(g, w)
	}

	pg, err := pgconn.ConnectConfig(ctx, config)
	if err == nil {
		return &session{pg, g}, nil
	}
	nc.Close()
	switch {
	case g.stopped != nil:
		return nil, g.stopped
	case g.serverError != nil:
		if g.serverError.Code == CodeCannotConnectNow && !g.authed {
			t.verdict = nextHost
			return nil, g.serverError
		}
		t.retry = !g.authed
		if g.serverError.Code == CodeInvalidPassword && t.address.host.FromFile {
			return nil, &passfileError{g.serverError, s.Value("passfile")}
		}
		return nil, g.serverError
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return nil, lost(err) // met by a write
	}
	// Its error would say where it connected to, which is not what it thinks,
	// and holds on to the password.
	_, text, ok := strings.Cut(err.Error(), pgconnPrefix)
	if !ok {
		text = "the server's answers make no sense"
	}
	return nil, errors.New(text)
}

// passfileError says which file a refused password is from.
type passfileError struct {
	*ServerError
	file string
}

func (e *passfileError) Error() string {
	return e.ServerError.Error() + "\npassword retrieved from file \"" + e.file + "\""
}

func (e *passfileError) Unwrap() error { return e.ServerError }

// parameters are the settings of the session that the startup message carries.
func (t *attempt) parameters() map[string]string {
	s := t.dialer.settings
	p := make(map[string]string)
	if t.replication {
		p["replication"] = "true"
	}
	name := s.Value("application_name")
	if s.Source("application_name") == conninfo.Unset {
		if name = t.dialer.cfg.ApplicationName; name == "" {
			name = s.Value("fallback_application_name")
		}
	}
	for k, v := range map[string]string{
		"application_name": name,
		"options":          s.Value("options"),
		"client_encoding":  s.Value("client_encoding"),
	} {
		// "auto" means the locale's encoding. Messages are passed on as they
		// come, so the server's own does as well.
		if v != "" && (k != "client_encoding" || v != "auto") {
			p[k] = v
		}
	}
	return p
}

// protocolVersions are the bounds that libpq would use.
func protocolVersions(s conninfo.Settings) (low, high string) {
	low, high = s.Value("min_protocol_version"), s.Value("max_protocol_version")
	if low == "" {
		low = "3.0"
	}
	if high == "" {
		high = "3.0"
		if low != "3.0" {
			high = "latest"
		}
	}
	return low, high
}

// pgconnPrefix ends the part of pgconn's errors that names the address, which
// is always that of startupConfig.
const pgconnPrefix = "(/): "

// template is a configuration of pgconn in which nothing comes from the
// environment. pgconn insists on making it, and reads the environment when it
// does; so every setting is given here, and those that matter are replaced
// for each attempt.
var template = sync.OnceValues(func() (*pgconn.Config, error) {
	const settings = "host=/ port=1 user=x password=x database=x passfile='' connect_timeout=0" +
		" sslmode=disable sslcert='' sslkey='' sslrootcert='' sslpassword='' sslcertmode=allow sslsni=0 sslnegotiation=postgres" +
		" target_session_attrs=any min_protocol_version='' max_protocol_version='' channel_binding=prefer require_auth=''"
	config, err := pgconn.ParseConfig(settings)
	if err == nil {
		return config, nil
	}
	// PGSERVICE names a service that pgconn does not find. It cannot be told
	// to look for none, only for another one.
	f, err := os.CreateTemp("", "pgbasin-service-")
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString("[none]\n")
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	return pgconn.ParseConfig(settings + " service=none servicefile=" + conninfo.Quote(f.Name()))
})

func startupConfig() (*pgconn.Config, error) {
	config, err := template()
	if err != nil {
		return nil, errors.New("could not prepare a connection: " + err.Error())
	}
	config = config.Copy()
	config.TLSConfig, config.Fallbacks = nil, nil
	config.RuntimeParams = maps.Clone(config.RuntimeParams)
	return config, nil
}

// interruptible makes the end of ctx end I/O on nc. The function that it
// returns must be called when the I/O is over.
func interruptible(ctx context.Context, nc net.Conn) func() {
	stop := context.AfterFunc(ctx, func() { nc.SetDeadline(aLongTimeAgo) })
	return func() {
		if stop() {
			nc.SetDeadline(noDeadline)
		}
	}
}

// tlsSession is an encrypted connection and what happened when it was made.
type tlsSession struct {
	conn      *tls.Conn
	requested bool // the server asked for a certificate
	sent      bool // and got one
}

// certificateSent checks what sslcertmode=require asks for.
func (s *tlsSession) certificateSent() error {
	switch {
	case s == nil || !s.requested:
		return errors.New("server did not request an SSL certificate")
	case !s.sent:
		return errors.New("server accepted connection without a valid SSL certificate")
	}
	return nil
}
