package replproto_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pgbasin/pgbasin/replproto"
)

// serve accepts connections and plays one script for each, the last one for
// all that follow. It returns the port.
func serve(t *testing.T, scripts ...func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ; i++ {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer nc.Close()
				nc.SetDeadline(time.Now().Add(30 * time.Second))
				scripts[min(i, len(scripts)-1)](nc)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// message frames a server message.
func message(typ byte, body string) string {
	return string(typ) + string(binary.BigEndian.AppendUint32(nil, uint32(len(body)+4))) + body
}

func auth(code uint32, rest string) string {
	return message('R', string(binary.BigEndian.AppendUint32(nil, code))+rest)
}

func errorMessage(severity, code, text string) string {
	return message('E', "S"+severity+"\x00V"+severity+"\x00C"+code+"\x00M"+text+"\x00DSome detail.\x00\x00")
}

func parameter(name, value string) string { return message('S', name+"\x00"+value+"\x00") }

// ready is all that a server sends after authentication.
var ready = parameter("server_version", "15.18") + parameter("integer_datetimes", "on") + message('K', "\x00\x00\x00\x07\x00\x00\x00\x09") + message('Z', "I")

// answer reads the startup message and sends the parts. Then it waits for the
// client to leave, so that nothing of it is lost in a reset.
func answer(parts ...string) func(net.Conn) {
	return func(nc net.Conn) {
		if _, err := readStartup(nc); err != nil {
			return
		}
		io.WriteString(nc, strings.Join(parts, ""))
		io.Copy(io.Discard, nc)
	}
}

func readStartup(nc net.Conn) (map[string]string, error) {
	var size [4]byte
	if _, err := io.ReadFull(nc, size[:]); err != nil {
		return nil, err
	}
	body := make([]byte, binary.BigEndian.Uint32(size[:])-4)
	if _, err := io.ReadFull(nc, body); err != nil {
		return nil, err
	}
	fields := bytes.Split(body[4:], []byte{0})
	params := make(map[string]string)
	for i := 0; i+1 < len(fields); i += 2 {
		params[string(fields[i])] = string(fields[i+1])
	}
	return params, nil
}

// raw sends bytes without reading first.
func raw(text string) func(net.Conn) {
	return func(nc net.Conn) {
		io.WriteString(nc, text)
		io.Copy(io.Discard, nc)
	}
}

func TestConnectToStrangeServers(t *testing.T) {
	const closed = "server closed the connection unexpectedly\n\tThis probably means the server terminated abnormally\n\tbefore or while processing the request."
	for _, c := range []struct {
		name   string
		script func(net.Conn)
		dsn    string // besides host, port, user and sslmode=disable
		want   string // error without the identity of the server, "" for none
	}{
		{name: "ready at once", script: answer(auth(0, ""), ready)},
		{name: "not PostgreSQL", script: raw("HTTP/1.1 400 Bad Request\r\n\r\n"), want: "expected authentication request from server, but received 'H'"},
		{name: "closes", script: func(nc net.Conn) { readStartup(nc) }, want: closed},
		{name: "closes in a message", script: func(nc net.Conn) { readStartup(nc); io.WriteString(nc, auth(0, "")+ready[:20]) }, want: closed},
		{name: "error from before the protocol", script: answer("Ecould not fork new process\n\x00"), want: "could not fork new process"},
		{name: "endless error", script: answer("E" + strings.Repeat("x", 40000)), want: "received invalid error message"},
		{name: "huge error", script: answer(auth(0, ""), "E\x7f\xff\xff\xff"), want: "received invalid error message"},
		{name: "huge authentication request", script: answer("R\x00\x10\x00\x00"), want: "received invalid authentication request"},
		{name: "short authentication request", script: answer(message('R', "\x00\x00")), want: "received invalid authentication request"},
		{name: "huge parameter", script: answer(auth(0, ""), "S\x7f\xff\xff\xff"), want: "received an oversized message from the server"},
		{name: "negative length", script: answer(auth(0, ""), "S\xff\xff\xff\xff"), want: "received an oversized message from the server"},
		{name: "length too short", script: answer(auth(0, ""), "S\x00\x00\x00\x03"), want: "received an oversized message from the server"},
		{name: "notice before authentication", script: answer(message('N', "\x00"), auth(0, "")), want: "expected authentication request from server, but received 'N'"},
		{name: "ready without authentication", script: answer(ready), want: "expected authentication request from server, but received 'S'"},
		{name: "gss", script: answer(auth(7, "")), want: "GSSAPI authentication not supported"},
		{name: "sspi", script: answer(auth(9, "")), want: "SSPI authentication not supported"},
		{name: "kerberos 4", script: answer(auth(1, "")), want: "Kerberos 4 authentication not supported"},
		{name: "kerberos 5", script: answer(auth(2, "")), want: "Kerberos 5 authentication not supported"},
		{name: "crypt", script: answer(auth(4, "xx")), want: "Crypt authentication not supported"},
		{name: "unknown authentication", script: answer(auth(99, "")), want: "authentication method 99 not supported"},
		{name: "no mechanism", script: answer(auth(10, "\x00")), want: "none of the server's SASL authentication mechanisms are supported"},
		{name: "other mechanism", script: answer(auth(10, "OAUTHBEARER\x00\x00")), want: "none of the server's SASL authentication mechanisms are supported"},
		{name: "mechanisms without end", script: answer(auth(10, "SCRAM-SHA-256")), want: "fe_sendauth: invalid authentication request from server: invalid list of authentication mechanisms"},
		{name: "binding without TLS", script: answer(auth(10, "SCRAM-SHA-256-PLUS\x00SCRAM-SHA-256\x00\x00")), want: "server offered SCRAM-SHA-256-PLUS authentication over a non-SSL connection"},
		{name: "cleartext is not sent empty", script: answer(auth(3, "")), want: "fe_sendauth: no password supplied"},
		{name: "scram without password", script: answer(auth(10, "SCRAM-SHA-256\x00\x00")), want: "fe_sendauth: no password supplied"},
		{name: "accepted without proof", script: answer(auth(0, ""), ready), dsn: "password=x require_auth=scram-sha-256", want: `authentication method requirement "scram-sha-256" failed: server did not complete authentication`},
		{name: "scram cut short", script: answer(auth(10, "SCRAM-SHA-256\x00\x00"), auth(0, ""), ready), dsn: "password=x", want: "failed SASL auth: expected AuthenticationSASLContinue message but received unexpected message *pgproto3.AuthenticationOk"},
		{name: "fatal before authentication", script: answer(errorMessage("FATAL", "28000", "no entry")), want: "FATAL:  no entry\nDETAIL:  Some detail."},
		{name: "fatal after authentication", script: answer(auth(0, ""), errorMessage("FATAL", "53300", "too many")), want: "FATAL:  too many\nDETAIL:  Some detail."},
		{name: "floating-point times", script: answer(auth(0, ""), parameter("server_version", "9.1"), parameter("integer_datetimes", "off"), message('Z', "I")), want: "\"integer_datetimes\" compile flag does not match server"},
		{name: "unknown times", script: answer(auth(0, ""), parameter("server_version", "9.1"), message('Z', "I")), want: "could not determine server setting for \"integer_datetimes\""},
		{name: "required TLS refused", script: raw("N"), dsn: "sslmode=require", want: "server does not support SSL, but SSL was required"},
		{name: "error instead of TLS", script: raw("Eno fork\n\x00"), dsn: "sslmode=prefer", want: "server sent an error response during SSL exchange"},
		{name: "nonsense instead of TLS", script: raw("HTTP"), dsn: "sslmode=prefer", want: "received invalid response to SSL negotiation: H"},
		{name: "closes instead of TLS", script: func(nc net.Conn) { io.CopyN(io.Discard, nc, 8) }, dsn: "sslmode=require", want: closed},
		{name: "bytes slipped in before TLS", script: raw("S" + auth(0, "") + ready), dsn: "sslmode=require", want: "SSL error: tls: first record does not look like a TLS handshake"},
		{name: "TLS declined, goes on", script: func(nc net.Conn) {
			io.CopyN(io.Discard, nc, 8)
			io.WriteString(nc, "N")
			answer(auth(0, ""), ready)(nc)
		}, dsn: "sslmode=prefer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			port := serve(t, c.script)
			dsn := "host=127.0.0.1 user=u sslmode=disable port=" + port + " " + c.dsn
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			conn, err := replproto.Connect(ctx, config(t, dsn))
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				conn.Close()
				return
			}
			identity := fmt.Sprintf("connection to server at \"127.0.0.1\", port %s failed: ", port)
			if strings.Contains(c.want, "integer_datetimes") {
				identity = "" // as in PostgreSQL's tools
			}
			wantError(t, err, identity+c.want)
		})
	}
}

func TestStartupMessage(t *testing.T) {
	got := make(chan map[string]string, 1)
	port := serve(t, func(nc net.Conn) {
		p, err := readStartup(nc)
		if err != nil {
			t.Error(err)
		}
		got <- p
		raw(auth(0, "") + ready)(nc)
	})
	cfg := config(t, "host=127.0.0.1 user=u sslmode=disable port="+port+" options='-c x=y' client_encoding=auto keepalives=1 replication=database target_session_attrs=any",
		"PGDATABASE=ignored")
	conn, err := replproto.Connect(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	want := map[string]string{"user": "u", "database": "replication", "replication": "true", "application_name": "pgbasin test", "options": "-c x=y", "": ""}
	if params := <-got; fmt.Sprint(params) != fmt.Sprint(want) {
		t.Errorf("sent %v, want %v", params, want)
	}
}

// What the server sends right behind ReadyForQuery belongs to the connection,
// and notices before that are not lost either.
func TestNoMessageIsLostWhenTheConnectionIsTakenOver(t *testing.T) {
	notice := func(text string) string { return message('N', "SWARNING\x00VWARNING\x00C01000\x00M"+text+"\x00\x00") }
	port := serve(t, func(nc net.Conn) {
		if _, err := readStartup(nc); err != nil {
			return
		}
		io.WriteString(nc, auth(0, "")+notice("one")+ready+notice("two")+parameter("in_hot_standby", "on"))
		header := make([]byte, 5)
		if _, err := io.ReadFull(nc, header); err != nil || header[0] != 'Q' {
			return
		}
		io.CopyN(io.Discard, nc, int64(binary.BigEndian.Uint32(header[1:]))-4)
		io.WriteString(nc, message('T', "\x00\x01x\x00"+strings.Repeat("\x00", 18))+message('D', "\x00\x01\x00\x00\x00\x03abc")+message('C', "SHOW\x00")+message('Z', "I"))
		io.Copy(io.Discard, nc)
	})
	cfg := config(t, "host=127.0.0.1 user=u sslmode=disable port="+port)
	var notices []string
	cfg.Notice = func(n *replproto.Notice) { notices = append(notices, n.Message) }
	conn, err := replproto.Connect(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if value, err := conn.Show(context.Background(), "x"); err != nil || value != "abc" {
		t.Errorf("SHOW gives %q, %v", value, err)
	}
	if fmt.Sprint(notices) != "[one two]" {
		t.Errorf("notices %q", notices)
	}
	if conn.Parameter("in_hot_standby") != "on" || conn.PID() != 7 {
		t.Errorf("in_hot_standby %q, pid %d", conn.Parameter("in_hot_standby"), conn.PID())
	}
}

func TestServerThatIsStartingUpIsPassedOver(t *testing.T) {
	starting := serve(t, answer(errorMessage("FATAL", "57P03", "the database system is starting up")))
	good := serve(t, answer(auth(0, ""), ready))
	refused := serve(t, answer(errorMessage("FATAL", "28000", "go away")))

	dsn := "host=127.0.0.1,127.0.0.1 user=u sslmode=disable port="
	succeedOnFake(t, dsn+starting+","+good)

	err := fail(t, config(t, dsn+starting+","+refused))
	wantError(t, err, "connection to server at \"127.0.0.1\", port "+starting+" failed: FATAL:  the database system is starting up\nDETAIL:  Some detail.\n"+
		"connection to server at \"127.0.0.1\", port "+refused+" failed: FATAL:  go away\nDETAIL:  Some detail.")
	var ce *replproto.ConnectError
	var se *replproto.ServerError
	if !errors.As(err, &ce) || len(ce.Attempts) != 2 || !errors.As(err, &se) || se.Code != "28000" {
		t.Errorf("errors are lost: %#v", err)
	}

	// Any other refusal is final.
	err = fail(t, config(t, dsn+refused+","+good))
	if !replproto.HasCode(err, "28000") {
		t.Errorf("got %v", err)
	}
}

func TestRandomOrderReachesEveryHost(t *testing.T) {
	var mu sync.Mutex
	seen := make(map[int]int)
	var ports []string
	for i := range 3 {
		ports = append(ports, serve(t, func(nc net.Conn) {
			mu.Lock()
			seen[i]++
			mu.Unlock()
			answer(auth(0, ""), ready)(nc)
		}))
	}
	dsn := "host=127.0.0.1,127.0.0.1,127.0.0.1 user=u sslmode=disable load_balance_hosts=random port=" + strings.Join(ports, ",")
	for range 200 {
		succeedOnFake(t, dsn)
		mu.Lock()
		all := len(seen) == 3
		mu.Unlock()
		if all {
			return
		}
	}
	t.Errorf("reached only %v", seen)
}

func succeedOnFake(t *testing.T, dsn string) {
	t.Helper()
	conn, err := replproto.Connect(context.Background(), config(t, dsn))
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

func TestTimeoutMovesOnToTheNextHost(t *testing.T) {
	silent := serve(t, func(nc net.Conn) { io.Copy(io.Discard, nc) })
	good := serve(t, answer(auth(0, ""), ready))
	for _, mode := range []string{"disable", "require"} {
		err := fail(t, config(t, "host=127.0.0.1 user=u connect_timeout=1 port="+silent+" sslmode="+mode))
		wantError(t, err, "connection to server at \"127.0.0.1\", port "+silent+" failed: timeout expired")
	}
	succeedOnFake(t, "host=127.0.0.1,127.0.0.1 user=u connect_timeout=1 sslmode=disable port="+silent+","+good)
}

func TestCancellingEndsTheAttempt(t *testing.T) {
	reason := errors.New("the user pressed a key")
	for _, mode := range []string{"disable", "require"} {
		t.Run(mode, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(context.Background())
			defer cancel(nil)
			port := serve(t, func(nc net.Conn) {
				one := make([]byte, 1)
				io.ReadFull(nc, one)
				cancel(reason)
				io.Copy(io.Discard, nc)
			})
			cfg := config(t, "host=127.0.0.1,127.0.0.1 user=u port="+port+" sslmode="+mode)
			if _, err := replproto.Connect(ctx, cfg); !errors.Is(err, reason) {
				t.Errorf("got %v", err)
			}
			if _, err := replproto.Connect(ctx, cfg); !errors.Is(err, reason) {
				t.Errorf("cancelled before: %v", err)
			}
		})
	}
}

func TestBadSettingsAreRefusedBeforeAnythingIsTried(t *testing.T) {
	cfg := config(t, "host=127.0.0.1 port=1 sslmode=nonsense")
	cfg.ForcePrompt = true
	cfg.Prompt = func(context.Context) (string, error) { t.Error("asked for a password"); return "", nil }
	wantError(t, fail(t, cfg), `invalid sslmode value: "nonsense"`)
	wantError(t, fail(t, config(t, "host=127.0.0.1 oauth_issuer=x")), `connection option "oauth_issuer" is not supported`)
	wantError(t, fail(t, config(t, "host=127.0.0.1 user=u port=70000")), `invalid port number: "70000"`)
	err := fail(t, config(t, "user=u host=/"+strings.Repeat("x", 120)))
	if want := "Unix-domain socket path \"/" + strings.Repeat("x", 120) + "/.s.PGSQL.5432\" is too long (maximum 10"; !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v", err)
	}
}

func TestResetWhileConnectingIsALostConnection(t *testing.T) {
	port := serve(t, func(nc net.Conn) {
		if _, err := readStartup(nc); err != nil {
			return
		}
		nc.(*net.TCPConn).SetLinger(0)
	})
	if err := fail(t, config(t, "host=127.0.0.1 user=u sslmode=disable port="+port)); !errors.Is(err, replproto.ErrConnectionLost) {
		t.Errorf("got %v", err)
	}
}

func TestDeadlineOfTheCallerIsNotAConnectTimeout(t *testing.T) {
	silent := serve(t, func(nc net.Conn) { io.Copy(io.Discard, nc) })
	for _, dsn := range []string{"sslmode=disable", "sslmode=require", "sslmode=disable connect_timeout=60", "sslmode=require connect_timeout=60"} {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
		_, err := replproto.Connect(ctx, config(t, "host=127.0.0.1 user=u port="+silent+" "+dsn))
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", dsn, err)
		}
	}
}
