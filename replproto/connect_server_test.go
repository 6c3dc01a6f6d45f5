package replproto_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pgbasin/pgbasin/conninfo"
	"github.com/pgbasin/pgbasin/internal/pgtest"
	"github.com/pgbasin/pgbasin/replproto"
)

// config resolves a connection string with an environment of NAME=value pairs
// and no home directory that holds anything.
func config(t *testing.T, dsn string, environ ...string) *replproto.Config {
	t.Helper()
	vars := map[string]string{"HOME": t.TempDir()}
	for _, e := range environ {
		k, v, _ := strings.Cut(e, "=")
		vars[k] = v
	}
	given, err := conninfo.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	s, err := conninfo.Resolve(given, func(name string) (string, bool) { v, ok := vars[name]; return v, ok })
	if err != nil {
		t.Fatal(err)
	}
	return &replproto.Config{Settings: s, ApplicationName: "pgbasin test"}
}

// succeed connects and sees that commands work.
func succeed(t *testing.T, cfg *replproto.Config) *replproto.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := replproto.Connect(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := c.IdentifySystem(ctx); err != nil {
		t.Fatal(err)
	}
	return c
}

// fail connects in vain and returns the error.
func fail(t *testing.T, cfg *replproto.Config) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := replproto.Connect(ctx, cfg)
	if err == nil {
		c.Close()
		t.Fatal("connected")
	}
	return err
}

func wantError(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || err.Error() != want {
		t.Errorf("got error\n%v\nwant\n%s", err, want)
	}
}

// hba are lines for users who are treated differently; see newServer.
var hba = []string{
	"host    replication,all scram 127.0.0.1/32 scram-sha-256",
	"local   replication,all scram scram-sha-256",
	"host    replication,all md5user 127.0.0.1/32 md5",
	"host    replication,all clear 127.0.0.1/32 password",
	"hostssl replication,all onlytls 127.0.0.1/32 scram-sha-256",
	"hostnossl replication,all onlytls 127.0.0.1/32 reject",
	"hostnossl replication,all onlyplain 127.0.0.1/32 scram-sha-256",
	"hostssl replication,all onlyplain 127.0.0.1/32 reject",
	"hostssl replication,all bycert 127.0.0.1/32 cert",
}

// newServer is a server with TLS and users for every way of authentication.
func newServer(t *testing.T) *pgtest.Server {
	t.Helper()
	s := pgtest.Start(t, 15, pgtest.TLS(pgtest.TLSConfig{User: "bycert"}), pgtest.HBA(hba...), pgtest.Setting("max_wal_senders", "50"))
	s.Exec(t, `
		SET password_encryption = 'scram-sha-256';
		CREATE ROLE scram LOGIN REPLICATION PASSWORD 'pass word';
		CREATE ROLE onlytls LOGIN REPLICATION PASSWORD 'secret1';
		CREATE ROLE onlyplain LOGIN REPLICATION PASSWORD 'secret1';
		CREATE ROLE bycert LOGIN REPLICATION;
		CREATE ROLE plain LOGIN;
		SET password_encryption = 'md5';
		CREATE ROLE md5user LOGIN REPLICATION PASSWORD 'secret1';
		CREATE ROLE clear LOGIN REPLICATION PASSWORD 'secret1';`)
	return s
}

func TestConnectToServer(t *testing.T) {
	s := newServer(t)
	certs := s.Certificates()
	tcp := fmt.Sprintf("host=localhost port=%d ", s.Port())
	socket := fmt.Sprintf("host=%s port=%d ", s.SocketDir(), s.Port())
	where := fmt.Sprintf(`connection to server at "localhost" (127.0.0.1), port %d failed: `, s.Port())
	onSocket := fmt.Sprintf(`connection to server on socket "%s/.s.PGSQL.%d" failed: `, s.SocketDir(), s.Port())
	// encrypted tells how the server sees a connection.
	encrypted := func(t *testing.T, c *replproto.Conn) bool {
		t.Helper()
		return pgtest.Query[bool](t, s, "select ssl from pg_stat_ssl where pid = $1", int(c.PID()))
	}

	t.Run("what a connection tells", func(t *testing.T) {
		c := succeed(t, config(t, socket+"user=postgres"))
		if int(c.ServerVersion()) != s.VersionNum() || c.PID() == 0 || c.Parameter("server_encoding") == "" {
			t.Errorf("version %d, pid %d, server_encoding %q", c.ServerVersion(), c.PID(), c.Parameter("server_encoding"))
		}
		q := "select application_name from pg_stat_activity where pid = $1"
		if got := s.QueryString(t, q, int(c.PID())); got != "pgbasin test" {
			t.Errorf("application_name is %q", got)
		}
		c = succeed(t, config(t, socket+"user=postgres", "PGAPPNAME=mine"))
		if got := s.QueryString(t, q, int(c.PID())); got != "mine" {
			t.Errorf("with PGAPPNAME application_name is %q", got)
		}
	})

	t.Run("options libpq keeps to itself are not sent", func(t *testing.T) {
		succeed(t, config(t, tcp+"user=postgres client_encoding=auto keepalives=1 keepalives_idle=20 keepalives_interval=5 keepalives_count=3 "+
			"tcp_user_timeout=10000 gssencmode=prefer gsslib=gssapi krbsrvname=pg gssdelegation=0 sslcompression=1 replication=database "+
			"fallback_application_name=x load_balance_hosts=random connect_timeout=60 sslcrl=/nowhere sslsni=0 options='-c work_mem=1MB'"))
		succeed(t, config(t, tcp+"user=postgres keepalives=0 client_encoding=UTF8"))
	})

	t.Run("unix socket", func(t *testing.T) {
		c := succeed(t, config(t, socket+"user=postgres sslmode=verify-full"))
		if encrypted(t, c) {
			t.Error("TLS on a socket")
		}
	})

	t.Run("dead socket", func(t *testing.T) {
		dir := t.TempDir()
		wantError(t, fail(t, config(t, "user=postgres host="+dir)),
			`connection to server on socket "`+dir+`/.s.PGSQL.5432" failed: No such file or directory`+
				"\n\tIs the server running locally and accepting connections on that socket?")
	})

	t.Run("hostaddr", func(t *testing.T) {
		succeed(t, config(t, fmt.Sprintf("hostaddr=127.0.0.1 port=%d user=postgres", s.Port())))
		succeed(t, config(t, fmt.Sprintf("host=no.such.host.invalid hostaddr=127.0.0.1 port=%d user=postgres", s.Port())))
		wantError(t, fail(t, config(t, "hostaddr=local user=postgres")), `could not parse network address "local": Name or service not known`)
	})

	t.Run("peer", func(t *testing.T) {
		if runtime.GOOS != "linux" {
			wantError(t, fail(t, config(t, socket+"user=postgres requirepeer=x")), onSocket+"requirepeer parameter is not supported on this platform")
			return
		}
		owner := ownerOf(t, s.DataDir())
		succeed(t, config(t, socket+"user=postgres requirepeer="+owner))
		succeed(t, config(t, tcp+"user=postgres requirepeer=nobody-at-all"))
		wantError(t, fail(t, config(t, socket+"user=postgres", "PGREQUIREPEER=nobody-at-all")),
			onSocket+`requirepeer specifies "nobody-at-all", but actual peer user name is "`+owner+`"`)
	})

	t.Run("scram", func(t *testing.T) {
		succeed(t, config(t, tcp+"user=scram password='pass word'"))
		succeed(t, config(t, tcp+"user=scram sslmode=disable", "PGPASSWORD=pass word"))
		succeed(t, config(t, socket+"user=scram", "PGPASSWORD=pass word"))
		succeed(t, config(t, tcp+"user=scram channel_binding=require require_auth=scram-sha-256", "PGPASSWORD=pass word"))
		succeed(t, config(t, tcp+"user=scram channel_binding=disable sslmode=require", "PGPASSWORD=pass word"))
		wantError(t, fail(t, config(t, tcp+"user=scram channel_binding=require sslmode=disable", "PGPASSWORD=pass word")),
			where+"channel binding required, but SSL not in use")
	})

	t.Run("md5 and cleartext", func(t *testing.T) {
		succeed(t, config(t, tcp+"user=md5user password=secret1"))
		succeed(t, config(t, tcp+"user=clear password=secret1"))
		wantError(t, fail(t, config(t, tcp+"user=md5user password=secret1 channel_binding=require")),
			where+"channel binding required but not supported by server's authentication request")
		wantError(t, fail(t, config(t, tcp+"user=md5user password=secret1 require_auth=scram-sha-256")),
			where+`authentication method requirement "scram-sha-256" failed: server requested a hashed password`)
		wantError(t, fail(t, config(t, tcp+"user=clear password=secret1 require_auth=!password")),
			where+`authentication method requirement "!password" failed: server requested a cleartext password`)
		wantError(t, fail(t, config(t, tcp+"user=postgres require_auth=!none")),
			where+`authentication method requirement "!none" failed: server did not complete authentication`)
		wantError(t, fail(t, config(t, tcp+"user=postgres channel_binding=require")),
			where+"channel binding required, but server authenticated client without channel binding")
	})

	t.Run("wrong password", func(t *testing.T) {
		err := fail(t, config(t, tcp+"user=scram password=wrong"))
		// As libpq does, the refused attempt is repeated without TLS.
		line := where + `FATAL:  password authentication failed for user "scram"`
		wantError(t, err, line+"\n"+line)
		var se *replproto.ServerError
		if !errors.As(err, &se) || se.Code != "28P01" || se.Severity != "FATAL" {
			t.Errorf("the server's error is lost: %#v", se)
		}
		wantError(t, fail(t, config(t, tcp+"user=scram password=wrong sslmode=require")), line)
		if strings.Contains(fmt.Sprintf("%+v %#v", err, err), "wrong") {
			t.Error("the password is in the error")
		}
	})

	t.Run("no password", func(t *testing.T) {
		for _, name := range []string{"scram", "md5user", "clear"} {
			wantError(t, fail(t, config(t, tcp+"user="+name)), where+"fe_sendauth: no password supplied")
		}
	})

	t.Run("prompt", func(t *testing.T) {
		cfg := config(t, tcp+"user=scram")
		asked := 0
		cfg.Prompt = func(context.Context) (string, error) { asked++; return "pass word", nil }
		succeed(t, cfg)
		succeed(t, cfg)
		if asked != 1 {
			t.Errorf("asked %d times", asked)
		}
		if got := cfg.EffectiveSettings().Value("password"); got != "pass word" {
			t.Errorf("the standby's password is %q", got)
		}

		cfg = config(t, tcp+"user=postgres")
		cfg.Prompt = func(context.Context) (string, error) {
			t.Error("asked although nobody wants a password")
			return "", nil
		}
		succeed(t, cfg)
		cfg.ForcePrompt = true
		asked = 0
		cfg.Prompt = func(context.Context) (string, error) { asked++; return "whatever", nil }
		succeed(t, cfg)
		succeed(t, cfg)
		if asked != 1 {
			t.Errorf("with ForcePrompt asked %d times", asked)
		}

		cfg = config(t, tcp+"user=scram")
		cfg.Prompt = func(context.Context) (string, error) { return "", nil }
		wantError(t, fail(t, cfg), where+"fe_sendauth: no password supplied")
	})

	t.Run("prompt fails", func(t *testing.T) {
		cfg := config(t, tcp+"user=scram")
		gone := errors.New("no terminal")
		cfg.Prompt = func(context.Context) (string, error) { return "", gone }
		if err := fail(t, cfg); !errors.Is(err, gone) {
			t.Errorf("got %v", err)
		}
	})

	t.Run("password file", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "pass")
		writeFile(t, file, fmt.Sprintf("localhost:%d:postgres:scram:no\nlocalhost:%[1]d:replication:scram:pass word\n", s.Port()), 0o600)
		succeed(t, config(t, tcp+"user=scram", "PGPASSFILE="+file))
		err := fail(t, config(t, tcp+"user=scram dbname=postgres sslmode=disable", "PGPASSFILE="+file))
		wantError(t, err, where+`FATAL:  password authentication failed for user "scram"`+"\n"+`password retrieved from file "`+file+`"`)
		var se *replproto.ServerError
		if !errors.As(err, &se) || se.Code != "28P01" {
			t.Errorf("the server's error is lost: %v", err)
		}

		if err := os.Chmod(file, 0o644); err != nil {
			t.Fatal(err)
		}
		cfg := config(t, tcp+"user=scram", "PGPASSFILE="+file)
		var warnings []string
		cfg.Warning = func(text string) { warnings = append(warnings, text) }
		wantError(t, fail(t, cfg), where+"fe_sendauth: no password supplied")
		fail(t, cfg)
		if len(warnings) != 1 || !strings.Contains(warnings[0], `"`+file+`" has group or world access`) {
			t.Errorf("warnings: %q", warnings)
		}
	})

	t.Run("service file", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "services")
		writeFile(t, file, fmt.Sprintf("[here]\nhost=127.0.0.1\nport=%d\nuser=scram\npassword=pass word\n", s.Port()), 0o644)
		succeed(t, config(t, "service=here", "PGSERVICEFILE="+file))
		succeed(t, config(t, "", "PGSERVICE=here", "PGSERVICEFILE="+file))
	})

	t.Run("several hosts", func(t *testing.T) {
		port := strconv.Itoa(s.Port())
		succeed(t, config(t, "user=postgres", "PGHOST=no.such.host.invalid,"+t.TempDir()+",127.0.0.1", "PGPORT=1,2,"+port))
		wantError(t, fail(t, config(t, "user=nobody", "PGHOST=no.such.host.invalid,127.0.0.1,"+s.SocketDir(), "PGPORT=1,"+port+","+port)),
			`could not translate host name "no.such.host.invalid" to address: Name or service not known`+
				"\n"+fmt.Sprintf(`connection to server at "127.0.0.1", port %d failed: FATAL:  role "nobody" does not exist`, s.Port()))
	})

	t.Run("no privilege", func(t *testing.T) {
		err := fail(t, config(t, tcp+"user=plain"))
		if !replproto.HasCode(err, "42501") || !strings.HasPrefix(err.Error(), where+"FATAL:  must be superuser or replication role") {
			t.Errorf("got %v", err)
		}
	})

	t.Run("sslmode", func(t *testing.T) {
		const yes, no = true, false
		root, other := " sslrootcert="+conninfo.Quote(certs.Root), " sslrootcert="+conninfo.Quote(certs.OtherRoot)
		const unknown = "SSL error: certificate verify failed: x509: certificate signed by unknown authority"
		for _, c := range []struct {
			dsn  string
			tls  bool
			want string // error, "" for none
		}{
			{dsn: "user=postgres sslmode=disable", tls: no},
			{dsn: "user=postgres sslmode=allow", tls: no},
			{dsn: "user=postgres sslmode=prefer", tls: yes},
			{dsn: "user=postgres sslmode=require", tls: yes},
			{dsn: "user=postgres sslmode=verify-ca" + root, tls: yes},
			{dsn: "user=postgres sslmode=verify-full" + root, tls: yes},
			{dsn: "user=onlytls password=secret1 sslmode=allow", tls: yes},
			{dsn: "user=onlyplain password=secret1 sslmode=prefer", tls: no},
			{dsn: "user=postgres sslmode=prefer" + other, tls: no}, // a root file is used in every mode
			{dsn: "user=postgres sslmode=require" + other, want: where + unknown},
			{dsn: "user=postgres sslmode=verify-ca" + other, want: where + unknown},
			{dsn: "user=postgres sslmode=verify-full" + other, want: where + unknown},
			{dsn: "user=postgres sslmode=require" + root + " ssl_min_protocol_version=TLSv1.3", tls: yes},
			{dsn: "user=postgres sslmode=require ssl_max_protocol_version=TLSv1.2", tls: yes},
			{
				dsn:  "user=postgres sslmode=verify-full sslrootcert=/no/such/file",
				want: where + "root certificate file \"/no/such/file\" does not exist\nEither provide the file, use the system's trusted roots with sslrootcert=system, or change sslmode to disable server certificate verification.",
			},
			{
				dsn:  "user=onlyplain password=secret1 sslmode=require",
				want: where + `FATAL:  pg_hba.conf rejects replication connection for host "127.0.0.1", user "onlyplain", SSL encryption`,
			},
			{
				dsn:  "user=onlytls password=secret1 sslmode=disable",
				want: where + `FATAL:  pg_hba.conf rejects replication connection for host "127.0.0.1", user "onlytls", no encryption`,
			},
		} {
			cfg := config(t, tcp+c.dsn)
			if c.want != "" {
				// crypto/x509 may add why it did not accept a root.
				err := fail(t, cfg)
				if !strings.HasPrefix(err.Error(), c.want) || !strings.HasSuffix(c.want, unknown) && err.Error() != c.want {
					t.Errorf("%s: got error\n%v\nwant\n%s", c.dsn, err, c.want)
				}
				continue
			}
			if got := encrypted(t, succeed(t, cfg)); got != c.tls {
				t.Errorf("%s: encrypted: %v", c.dsn, got)
			}
		}
		wrong := fmt.Sprintf("host=wronghost hostaddr=127.0.0.1 port=%d user=postgres sslmode=", s.Port())
		succeed(t, config(t, wrong+"verify-ca"+root))
		wantError(t, fail(t, config(t, wrong+"verify-full"+root)),
			fmt.Sprintf(`connection to server at "127.0.0.1", port %d failed: `, s.Port())+
				`server certificate for "localhost" (and 1 other name) does not match host name "wronghost"`)
	})

	t.Run("the root file in the home directory", func(t *testing.T) {
		home := t.TempDir()
		if err := os.Mkdir(filepath.Join(home, ".postgresql"), 0o700); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(certs.Root)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(home, ".postgresql", "root.crt"), string(data), 0o600)
		succeed(t, config(t, tcp+"user=postgres sslmode=verify-full", "HOME="+home))
	})

	t.Run("client certificate", func(t *testing.T) {
		cert := "user=bycert sslmode=verify-full sslrootcert=" + conninfo.Quote(certs.Root) +
			" sslcert=" + conninfo.Quote(certs.ClientCert) + " sslkey=" + conninfo.Quote(certs.ClientKey)
		succeed(t, config(t, tcp+cert))
		succeed(t, config(t, tcp+cert+" sslcertmode=require"))
		for name, dsn := range map[string]string{
			"none":     tcp + "user=bycert sslmode=require",
			"disabled": tcp + cert + " sslcertmode=disable",
		} {
			err := fail(t, config(t, dsn))
			wantError(t, err, where+"FATAL:  connection requires a valid client certificate")
			if !replproto.HasCode(err, "28000") {
				t.Errorf("%s: SQLSTATE is lost", name)
			}
		}
		wantError(t, fail(t, config(t, tcp+"user=postgres sslcertmode=require sslmode=require")),
			where+"server accepted connection without a valid SSL certificate")
		wantError(t, fail(t, config(t, tcp+"user=postgres sslcertmode=require sslmode=disable")),
			where+"server did not request an SSL certificate")
	})

	t.Run("target_session_attrs", func(t *testing.T) {
		for attrs, want := range map[string]string{
			"any": "", "read-write": "", "primary": "", "prefer-standby": "",
			"standby": "server is not in hot standby mode", "read-only": "session is not read-only",
		} {
			cfg := config(t, tcp+"user=postgres target_session_attrs="+attrs)
			if want == "" {
				succeed(t, cfg)
				continue
			}
			wantError(t, fail(t, cfg), where+want)
		}
		wantError(t, fail(t, config(t, tcp+"user=postgres target_session_attrs=read-write options='-c default_transaction_read_only=on'")),
			where+"session is read-only")
	})

	t.Run("a service of the environment that pgconn cannot find", func(t *testing.T) {
		t.Setenv("PGSERVICE", "no-such-service")
		t.Setenv("PGSSLMODE", "nonsense")
		t.Setenv("PGUSER", "nobody")
		succeed(t, config(t, socket+"user=postgres"))
	})

	t.Run("at the same time", func(t *testing.T) {
		cfg := config(t, tcp+"user=scram")
		var asked atomic.Int32
		cfg.Prompt = func(context.Context) (string, error) { asked.Add(1); return "pass word", nil }
		errs := make(chan error)
		for range 3 {
			go func() {
				c, err := replproto.Connect(context.Background(), cfg)
				if err == nil {
					err = c.Close()
				}
				errs <- err
			}()
		}
		for range 3 {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		if asked.Load() != 1 {
			t.Errorf("asked %d times", asked.Load())
		}
	})
}

func TestTooManyConnectionsIsOneFinalError(t *testing.T) {
	s := pgtest.Start(t, 15, pgtest.Setting("max_wal_senders", "1"))
	dsn := fmt.Sprintf("host=127.0.0.1 port=%d user=postgres", s.Port())
	succeed(t, config(t, dsn))
	err := fail(t, config(t, dsn))
	wantError(t, err, fmt.Sprintf(`connection to server at "127.0.0.1", port %d failed: `, s.Port())+
		"FATAL:  number of requested standby connections exceeds max_wal_senders (currently 1)")
	if !replproto.HasCode(err, "53300") {
		t.Errorf("SQLSTATE is lost: %v", err)
	}
}

// 13 does not report whether it is a standby, so it is asked through an
// ordinary connection; 15 reports it.
func TestTargetSessionAttrsFindsTheRightServer(t *testing.T) {
	for _, major := range []int{13, 15} {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			primary := pgtest.Start(t, major, pgtest.HBA("host all repl 127.0.0.1/32 reject"))
			standby := pgtest.StartStandby(t, primary)
			primary.Exec(t, "CREATE ROLE repl LOGIN REPLICATION")
			hosts := fmt.Sprintf("host=127.0.0.1,127.0.0.1 port=%d,%d user=postgres target_session_attrs=", primary.Port(), standby.Port())
			for attrs, want := range map[string]int{
				"any": primary.PID(), "primary": primary.PID(), "read-write": primary.PID(),
				"standby": standby.PID(), "read-only": standby.PID(), "prefer-standby": standby.PID(),
			} {
				c := succeed(t, config(t, hosts+attrs))
				server := primary
				if want == standby.PID() {
					server = standby
				}
				if n := pgtest.Query[int](t, server, "select count(*)::int from pg_stat_activity where pid = $1 and backend_type = 'walsender'", int(c.PID())); n != 1 {
					t.Errorf("target_session_attrs=%s connects to the wrong server", attrs)
				}
			}
			both := fmt.Sprintf("host=127.0.0.1,127.0.0.1 port=%d,%d user=postgres target_session_attrs=standby", primary.Port(), primary.Port())
			line := fmt.Sprintf(`connection to server at "127.0.0.1", port %d failed: server is not in hot standby mode`, primary.Port())
			wantError(t, fail(t, config(t, both)), line+"\n"+line)

			if major < 14 {
				err := fail(t, config(t, fmt.Sprintf("host=127.0.0.1 port=%d user=repl target_session_attrs=primary sslmode=disable", primary.Port())))
				wantError(t, err, fmt.Sprintf(`connection to server at "127.0.0.1", port %d failed: `, primary.Port())+
					"target_session_attrs=primary needs an ordinary connection to a server older than 14, which failed: "+
					`FATAL:  pg_hba.conf rejects connection for host "127.0.0.1", user "repl", database "postgres", SSL off`)
			}
		})
	}
}

func ownerOf(t *testing.T, path string) string {
	t.Helper()
	uid, err := fileUID(path)
	if err != nil {
		t.Fatal(err)
	}
	u, err := user.LookupId(strconv.Itoa(uid))
	if err != nil {
		t.Fatal(err)
	}
	return u.Username
}

func writeFile(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}
