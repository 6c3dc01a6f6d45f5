//go:build linux

package e2e

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/pgbasin/pgbasin/conninfo"
	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// The password that must not be seen anywhere. Both ends of it are plain, and so
// found in whatever way the middle was quoted, encoded or cut.
const (
	canaryHead = "kanarie7Qx"
	canaryTail = "vogel4Zw"
	canary     = canaryHead + `' %\@/=&"` + canaryTail
)

// sings finds the canary in a text.
func sings(t *testing.T, where, text string) {
	t.Helper()
	for _, part := range []string{canaryHead, canaryTail} {
		if at := strings.Index(text, part); at >= 0 {
			t.Errorf("%s holds the password: ...%q...", where, text[max(0, at-80):min(len(text), at+80)])
		}
	}
}

// searched is a directory in which the canary is looked for. It may be in a
// recovery configuration, and in a tar file that has one, that only their owner
// can read.
func searched(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		switch filepath.Base(path) {
		case "postgresql.auto.conf", "recovery.conf", "base.tar":
			info, err := e.Info()
			if err == nil && bytes.Contains(content, []byte(canaryHead)) && info.Mode().Perm() != 0o600 {
				t.Errorf("%s holds the password and has the mode %v", path, info.Mode())
			}
			return err
		}
		sings(t, path, string(content))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// way is a way to bring a password to the program.
type way struct {
	name string
	args []string
	env  []string
	ask  bool // it is typed
}

// ways are all of them, with the other settings of the connection, which come
// from a connection string.
func ways(t *testing.T, dir, user, host string, port int) []way {
	t.Helper()
	write := func(name, text string) string {
		path := filepath.Join(dir, fmt.Sprintf("%s.%s.%d", name, user, port))
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	rest := fmt.Sprintf("host=%s port=%d user=%s", host, port, user)
	escaped := strings.NewReplacer(`\`, `\\`, ":", `\:`).Replace(canary)
	passfile := write("passwords", "*:*:*:*:"+escaped+"\n")
	service := write("services", "[s]\npassword="+canary+"\n")
	address := url.URL{Scheme: "postgresql", Host: net.JoinHostPort(host, strconv.Itoa(port))}
	return []way{
		{name: "keywords", args: []string{"-d", rest + " password=" + conninfo.Quote(canary)}},
		{name: "URI", args: []string{"-d", "postgresql://" + user + ":" + strings.ReplaceAll(url.QueryEscape(canary), "+", "%20") + "@" + address.Host}},
		{name: "environment", args: []string{"-d", rest}, env: []string{"PGPASSWORD=" + canary}},
		{name: "password file", args: []string{"-d", rest}, env: []string{"PGPASSFILE=" + passfile}},
		{name: "service file", args: []string{"-d", rest + " service=s"}, env: []string{"PGSERVICEFILE=" + service}},
		{name: "terminal", args: []string{"-d", rest, "-W"}, ask: true},
	}
}

// said runs a program to its end and returns all that it says.
func (w way) said(t *testing.T, path string, args, env []string) (text string, status int) {
	t.Helper()
	args, env = append(append([]string{}, args...), w.args...), append(append([]string{}, env...), w.env...)
	if !w.ask {
		o := (&program{path: path, args: args, env: env}).run(t)
		return o.stdout + o.stderr, o.status
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent"}, env...)
	tty, err := pty.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	killed := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	defer killed.Stop()
	var out bytes.Buffer
	for b, typed := make([]byte, 4096), false; ; {
		n, err := tty.Read(b)
		out.Write(b[:n])
		if !typed && strings.Contains(out.String(), "Password: ") {
			typed = true
			if _, err := io.WriteString(tty, canary+"\n"); err != nil {
				t.Fatal(err)
			}
		}
		if err != nil { // how a terminal ends
			break
		}
	}
	cmd.Wait()
	return out.String(), cmd.ProcessState.ExitCode()
}

// echo is a server that asks for the password in clear text and tells everybody.
func echo(t *testing.T) (port int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			tellAll(nc)
			nc.Close()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

func tellAll(nc net.Conn) {
	nc.SetDeadline(time.Now().Add(patience))
	read := func(n int) []byte {
		b := make([]byte, n)
		io.ReadFull(nc, b)
		return b
	}
	for { // an SSLRequest, and then the startup packet
		b := read(4)
		if body := read(int(binary.BigEndian.Uint32(b)) - 4); len(body) != 4 {
			break
		}
		nc.Write([]byte("N"))
	}
	nc.Write([]byte{'R', 0, 0, 0, 8, 0, 0, 0, 3})
	head := read(5)
	password := string(bytes.TrimRight(read(int(binary.BigEndian.Uint32(head[1:]))-4), "\x00"))
	for _, kind := range []byte{'N', 'E'} {
		body := "SFATAL\x00C28P01\x00Myou said " + password + "\x00Dreally: " + password + "\x00Hnot " + password + "\x00Win " + password + "\x00\x00"
		nc.Write(append(binary.BigEndian.AppendUint32([]byte{kind}, uint32(4+len(body))), body...))
	}
	io.Copy(io.Discard, nc)
}

func TestAPasswordIsNowhereToBeSeen(t *testing.T) {
	const major = 18
	s := pgtest.Start(t, major, pgtest.TLS(pgtest.TLSConfig{}), pgtest.Setting("password_encryption", "scram-sha-256"),
		pgtest.HBA("hostssl replication right 127.0.0.1/32 scram-sha-256", "hostssl replication wrong 127.0.0.1/32 scram-sha-256",
			"host replication clear 127.0.0.1/32 password", "host replication all all reject"))
	s.ReplicationUser(t, "right", canary)
	s.ReplicationUser(t, "wrong", "another")
	s.ReplicationUser(t, "clear", "another")
	files := t.TempDir()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	port := func(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }
	echoing := echo(t)

	t.Run("connections", func(t *testing.T) {
		for _, c := range []struct {
			name, user string
			port       int
			env        []string
			ok         bool
			once       bool // it takes long
		}{
			{"success", "right", s.Port(), nil, true, false},
			{"wrong password", "wrong", s.Port(), nil, false, false},
			{"wrong password in clear text", "clear", s.Port(), nil, false, false},
			{"no line in pg_hba.conf", "right", s.Port(), []string{"PGSSLMODE=disable"}, false, false},
			{"nobody listens", "right", port(closed), nil, false, false},
			{"certificate of another root", "right", s.Port(), []string{"PGSSLMODE=verify-full", "PGSSLROOTCERT=" + s.Certificates().OtherRoot}, false, false},
			{"bad value", "right", s.Port(), []string{"PGCONNECT_TIMEOUT=abc"}, false, false},
			{"bad word", "right", s.Port(), []string{"PGSSLMODE=abc"}, false, false},
			{"unknown method", "right", s.Port(), []string{"PGREQUIREAUTH=abc"}, false, false},
			{"method refused", "right", s.Port(), []string{"PGREQUIREAUTH=md5"}, false, false},
			{"server says it again", "right", echoing, nil, false, false},
			{"server says nothing", "right", port(silent), []string{"PGCONNECT_TIMEOUT=1"}, false, true},
		} {
			for _, w := range ways(t, files, c.user, "127.0.0.1", c.port) {
				if c.once && w.name != "keywords" {
					continue
				}
				if w.ask && strings.HasPrefix(c.name, "bad ") || strings.HasPrefix(c.name, "unknown ") {
					continue // nothing is asked for then
				}
				for i, command := range [][]string{
					{"backup", "-cfast", "-N", "-v", "-R", "--json"},
					{"backup", "-cfast", "-N", "-v", "-P", "-R", "-Ft"},
					{"receive", "-v", "--no-loop", "--endpos=0/1"},
				} {
					if i > 0 && (c.once || w.name != "keywords" && w.name != "terminal") {
						continue // the same is done with the password
					}
					dir := t.TempDir()
					text, status := w.said(t, pgbasin, append(command, "-D", dir), c.env)
					what := strings.Join(command, " ") + ", password by " + w.name + ", " + c.name
					if (status == 0) != c.ok {
						t.Errorf("%s: exit status %d:\n%s", what, status, text)
					}
					sings(t, what, text)
					searched(t, dir)
				}
			}
		}
	})

	t.Run("command lines", func(t *testing.T) {
		quoted := conninfo.Quote(canary)
		uri := "postgresql://u:" + strings.ReplaceAll(url.QueryEscape(canary), "+", "%20") + "@127.0.0.1:1"
		for _, args := range [][]string{
			{"backup", "-D", "/nonexistent/x", uri},
			{"backup", "-D", "/nonexistent/x", "host=127.0.0.1 password=" + quoted},
			{"backup", "-D", "/nonexistent/x", "-d", "password=" + canary},
			{"backup", "-D", "/nonexistent/x", "-d", "password='" + canaryHead},
			{"backup", "-D", "/nonexistent/x", "-d", "password=" + canaryHead + " " + canaryTail},
			{"backup", "-D", "/nonexistent/x", "-d", "password=" + canaryHead + " vogel"},
			{"backup", "-D", "/nonexistent/x", "-d", "postgresql://u:" + canary + "@127.0.0.1:1"},
			{"backup", "-D", "/nonexistent/x", "-d", "postgresql://u:" + canaryHead + "@" + canaryTail + "@127.0.0.1:1"},
			{"backup", "-D", "/nonexistent/x", "-d", uri + "?nonsense=1"},
			{"backup", "-D", "/nonexistent/x", "-d", uri + "?sslpassword=" + canaryTail + "&x"},
			{"backup", "-D", "/nonexistent/x", "--pasword=" + canary},
			{"backup", "-D", "/nonexistent/x", "--password=" + canary},
			{"backup", "-D", "/nonexistent/x", "--dbnme=" + uri},
			{"receive", uri},
			{"receive", "-D", files, "-d", uri, "--no-loop"},
			{"receive", "-d", uri},
			{"verify", files, uri},
			{"info", files, uri},
			{"info", uri},
			{"prove", files, uri},
			{"prove", files, "--primary-conninfo=" + uri, "--standby"},
			{"restore", "-D", "/nonexistent/x", "--primary-conninfo", uri, files},
			{"restore", "-D", "/nonexistent/x", files, uri},
			{"restore", "-D", "/nonexistent/x", "--standby", "--primary-conninf", uri, files},
			{"restore", "-D", "/nonexistent/x", "--set", uri, files},
			{"restore", "-D", "/nonexistent/x", "--set", "primary_conninfo=" + uri, files},
			{"wal-push", "--to", "/nonexistent", uri, uri},
			{uri}, {"--help"}, {"backup", "--help"}, {"receive", "--help"}, {"restore", "--help"}, {"prove", "--help"},
		} {
			o := (&program{path: pgbasin, args: args, env: []string{"PGPASSWORD=" + canary}}).run(t)
			sings(t, fmt.Sprintf("what is said about %q", args), o.stdout+o.stderr)
		}
	})

	t.Run("restore and proof", func(t *testing.T) { secretsOfRestores(t, s, files) })
	t.Run("processes", func(t *testing.T) { secretsOfProcesses(t, s, files) })
}

// secretsOfRestores looks at what works with a stored backup.
func secretsOfRestores(t *testing.T, s *pgtest.Server, files string) {
	dir := pgtest.TempDir(t)
	backup := filepath.Join(dir, "backup")
	keywords := ways(t, files, "right", "127.0.0.1", s.Port())[0]
	// As of a standby: the password is in the configuration of what is backed up.
	text, status := keywords.said(t, pgbasin, []string{"backup", "-cfast", "-N", "-R", "-Ft", "-D", backup}, nil)
	if status != 0 {
		t.Fatal(text)
	}
	primary := "user=right host=127.0.0.1 password=" + conninfo.Quote(canary)
	standby := []string{"-v", "-N", "--standby", "--primary-conninfo", primary}
	full := filepath.Join(dir, "full")
	if err := os.MkdirAll(filepath.Join(full, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args   []string
		status int
	}{
		"plan":        {append([]string{"restore", "--dry-run", "-D", filepath.Join(dir, "r0"), backup}, standby...), 0},
		"plan, JSON":  {append([]string{"restore", "--dry-run", "--json", "-D", filepath.Join(dir, "r0"), backup}, standby...), 0},
		"result":      {append([]string{"restore", "--json", "-D", filepath.Join(dir, "r1"), backup}, standby...), 0},
		"full":        {append([]string{"restore", "--json", "-D", full, backup}, standby...), 1},
		"no target":   {append([]string{"restore", "--json", "--target-time", "abc", "-D", filepath.Join(dir, "r2"), backup}, standby...), 1},
		"description": {[]string{"info", "--json", backup}, 0},
		"restored":    {[]string{"info", backup}, 0},
		"verified":    {[]string{"verify", "--checksums", "--json", backup}, 0},
	} {
		o := (&program{path: pgbasin, args: c.args, env: []string{"PGPASSWORD=" + canary}}).run(t)
		if o.status != c.status {
			t.Errorf("%s: exit status %d:\n%s%s", name, o.status, o.stdout, o.stderr)
		}
		sings(t, name, o.stdout+o.stderr)
	}
	searched(t, filepath.Join(dir, "r1"))
	if conf, err := os.ReadFile(filepath.Join(dir, "r1", "postgresql.auto.conf")); err != nil || !bytes.Contains(conf, []byte(canaryHead)) {
		t.Errorf("the standby has no password to connect with: %s, %v", conf, err)
	}

	// The server of a proof has an environment, and so have its children.
	scratch := filepath.Join(dir, "scratch")
	if err := os.Mkdir(scratch, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(scratch, 0o777); err != nil {
		t.Fatal(err)
	}
	junit := filepath.Join(dir, "junit.xml")
	o := (&program{path: pgbasin, env: []string{"PGPASSWORD=" + canary, "TMPDIR=" + scratch}, args: []string{
		"prove", "-v", "--json", "--keep", "--junit", junit, "--bindir", s.Install().BinDir,
		"--assert", "select position(convert_to('" + canaryHead + "', 'UTF8') in pg_read_binary_file('/proc/self/environ')) = 0",
		"--assert", "select position('" + canaryHead + "' in current_setting('primary_conninfo')) = 0", backup,
	}}).run(t)
	// The statements hold the canary themselves.
	said := strings.ReplaceAll(o.stdout+o.stderr, "'"+canaryHead+"'", "")
	if o.status != 0 {
		t.Errorf("prove: exit status %d:\n%s", o.status, said)
	}
	sings(t, "what prove says", said)
	if kept, err := filepath.Glob(filepath.Join(scratch, "*", "log")); err != nil || len(kept) != 1 {
		t.Errorf("the proof has kept %v, %v", kept, err)
	}
	searched(t, scratch)
}

// secretsOfProcesses looks at what others can see of a process, and at what it
// leaves when it is ended by force.
func secretsOfProcesses(t *testing.T, s *pgtest.Server, files string) {
	for _, w := range ways(t, files, "right", "127.0.0.1", s.Port()) {
		if w.ask {
			continue // a terminal of its own makes no difference
		}
		dir := t.TempDir()
		listen, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		address := listen.Addr().String()
		listen.Close()
		p := &program{path: pgbasin, env: append(w.env, "GOTRACEBACK=all"), args: append([]string{"receive", "-v", "-D", dir, "--status-listen", address}, w.args...)}
		p.start(t)
		for deadline := time.Now().Add(patience); !strings.Contains(p.errOut.String(), "starting log streaming"); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("nothing is received:\n%s", p.errOut.String())
			}
		}
		shown, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		sings(t, "the command line of a process with the password by "+w.name, string(shown))
		if w.name == "keywords" && !bytes.Contains(shown, []byte("user=right password=*****")) {
			t.Errorf("the command line is %q", shown)
		}
		for _, path := range []string{"/metrics", "/healthz"} {
			answer, err := http.Get("http://" + address + path)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(answer.Body)
			answer.Body.Close()
			if err != nil {
				t.Fatal(err)
			}
			sings(t, path, string(body))
		}
		p.cmd.Process.Signal(syscall.SIGQUIT)
		o := p.wait(t)
		if !strings.Contains(o.stderr, "goroutine ") {
			t.Errorf("SIGQUIT brought no list of goroutines:\n%s", o.stderr)
		}
		sings(t, "what SIGQUIT brings with the password by "+w.name, o.stderr)
		searched(t, dir)
	}
}
