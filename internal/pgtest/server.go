package pgtest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Server is a PostgreSQL server started by this process. Its methods are not safe for use while another goroutine starts,
// stops or closes it; everything else is.
type Server struct {
	cfg   Config
	inst  *Install
	owner owner

	dir     string // everything made for this server: sockets, log, certificates, tablespaces and, unless adopted, the data
	dirLock *os.File
	dataDir string
	port    int
	args    []string // settings for the command line

	proc    *process
	version int // server_version_num
	certs   *Certificates

	cloneSlot string // on the primary, until this standby streams
}

// Launch starts a server. The caller calls Close at the end; when this process dies before that, the server ends too (Linux),
// and a later Launch removes its files. The context bounds the start only. Errors of a server that does not come up hold the
// end of its log.
func Launch(ctx context.Context, cfg Config) (*Server, error) {
	inst, err := Installation(cfg.Major)
	if err != nil {
		return nil, err
	}
	o, err := serverOwner()
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, inst: inst, owner: o}
	if s.dir, s.dirLock, err = newServerDir(o); err != nil {
		return nil, err
	}
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if s.cfg.Standby != nil {
		if err := s.streamed(ctx); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	return s, nil
}

// prepare makes or adopts the data directory.
func (s *Server) prepare(ctx context.Context) error {
	if s.cfg.TLS != nil {
		certs, err := newCertificates(filepath.Join(s.dir, "tls"), s.cfg.TLS.user(), s.owner)
		if err != nil {
			return err
		}
		s.certs = certs
	}
	switch {
	case s.cfg.DataDir != "":
		return s.adopt()
	case s.cfg.Standby != nil:
		return s.clone(ctx, s.cfg.Standby)
	}
	s.dataDir = unique(s.dir, dataPrefix)
	args, err := s.cfg.initdbArgs()
	if err != nil {
		return err
	}
	if s.cfg.FreshInitdb {
		if err := initdb(s.inst, s.owner, s.dataDir, args); err != nil {
			return err
		}
	} else {
		from, err := template(s.inst, s.owner, args)
		if err != nil {
			return err
		}
		if err := copyTree(from, s.dataDir, s.owner, nil); err != nil {
			return err
		}
	}
	if err := appendFile(filepath.Join(s.dataDir, "postgresql.conf"), s.configuration()); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(s.dataDir, "pg_hba.conf"), []byte(s.hba()), 0o600) // exists: owner and mode stay
}

// defaults are the settings of new servers. Small, and quick at the expense of what a crash of the machine would lose.
var defaults = map[string]string{
	"fsync":                      "off",
	"shared_buffers":             "16MB",
	"max_connections":            "60",
	"wal_level":                  "replica",
	"max_wal_senders":            "10",
	"max_replication_slots":      "10",
	"hot_standby":                "on",
	"autovacuum":                 "on",
	"log_line_prefix":            "%m [%p] %q%u@%d/%a ",
	"log_replication_commands":   "on",
	"log_timezone":               "UTC",
	"timezone":                   "UTC",
	"dynamic_shared_memory_type": "mmap", // files in the data directory: nothing is left in /dev/shm by a killed server
	"cluster_name":               "pgtest",
}

// configuration is what is appended to postgresql.conf.
func (s *Server) configuration() string {
	settings := make(map[string]string)
	if s.cfg.Standby == nil { // a standby has its primary's
		maps.Copy(settings, defaults)
	}
	if s.cfg.TLS != nil {
		maps.Copy(settings, s.certs.settings())
	}
	maps.Copy(settings, s.cfg.Settings)
	var b strings.Builder
	b.WriteString("\n")
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&b, "%s = %s\n", name, quote(settings[name]))
	}
	return b.String()
}

// quote writes a value for postgresql.conf.
func quote(value string) string {
	return "'" + strings.NewReplacer("'", "''", `\`, `\\`).Replace(value) + "'"
}

// hba is pg_hba.conf: first match wins.
func (s *Server) hba() string {
	lines := []string{"local all postgres trust", "local replication postgres trust"}
	lines = append(lines, s.cfg.HBA...)
	if s.cfg.TLS != nil {
		lines = append(lines, s.cfg.TLS.hba()...)
	}
	lines = append(lines,
		"local all all trust",
		"local replication all trust",
		"host all all 127.0.0.1/32 trust",
		"host replication all 127.0.0.1/32 trust",
	)
	return strings.Join(lines, "\n") + "\n"
}

func appendFile(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// startTimeout is how long a server may take until it accepts connections.
const startTimeout = 120 * time.Second

// start runs the server until it accepts connections. A new server gets a free port; one that had a port keeps it.
func (s *Server) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("not ready after %s", startTimeout))
	defer cancel()
	keep := s.port != 0
	for {
		if !keep {
			port, err := freePort()
			if err != nil {
				return err
			}
			s.port = port
		}
		from := s.logSize()
		err := s.run(ctx)
		if err == nil {
			return nil
		}
		// Another process may have taken the port since it was found free.
		log := s.logFrom(from)
		if strings.Contains(log, "Address already in use") && ctx.Err() == nil {
			continue
		}
		return fmt.Errorf("PostgreSQL %d on %s: %w\n%s", s.cfg.Major, s.dataDir, err, tail(log, 40))
	}
}

// run starts the process and waits until it accepts connections.
func (s *Server) run(ctx context.Context) error {
	args := []string{
		"-D", s.dataDir, "-p", strconv.Itoa(s.port), "-k", s.dir,
		"-c", "listen_addresses=127.0.0.1", "-c", "logging_collector=off", "-c", "log_destination=stderr",
	}
	args = append(args, s.args...)
	log, err := os.OpenFile(s.LogFile(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer log.Close() // the server has its own
	s.proc, err = startProcess(s.inst, "postgres", args, s.dir, s.owner, log)
	if err != nil {
		return err
	}
	return s.waitReady(ctx)
}

// waitReady waits until the server says in postmaster.pid that it accepts connections, or that it is a standby that will not.
func (s *Server) waitReady(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	var answer error
	for {
		switch s.status() {
		case "standby":
			return nil
		case "ready":
			if answer = s.probe(ctx); answer == nil {
				return nil
			}
			if lasting(answer) {
				return errors.Join(fmt.Errorf("connect: %w", answer), s.Stop())
			}
		}
		select {
		case <-s.proc.done:
			return fmt.Errorf("the server ended while starting: %s", s.proc.state())
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), answer, s.Stop())
		case <-tick.C:
		}
	}
}

// status is what the running server says about itself in postmaster.pid, the eighth line since version 10: "starting",
// "stopping", "ready" or "standby"; "" when it says nothing yet.
func (s *Server) status() string {
	lines := lockFileLines(s.dataDir)
	if len(lines) < 8 || lines[0] != strconv.Itoa(s.proc.pid) {
		return "" // the file may still be that of a server that was killed
	}
	return strings.TrimSpace(lines[7])
}

// probe connects once.
func (s *Server) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	conn, err := s.Connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return conn.QueryRow(ctx, "select current_setting('server_version_num')::int").Scan(&s.version)
}

// Connect returns a connection to the database "postgres" as the superuser, through the socket. The caller closes it.
func (s *Server) Connect(ctx context.Context) (*pgx.Conn, error) {
	return s.connect(ctx, "postgres", "postgres")
}

// Stop shuts the server down and leaves its files: a fast shutdown, after 20 seconds an immediate one, after 10 more SIGKILL.
// It does nothing when the server is not running.
func (s *Server) Stop() error {
	if s.proc == nil {
		return nil
	}
	return s.proc.stop(shutdownSteps)
}

// Kill ends the server as a crash does: SIGKILL to the postmaster and all its children. Its files stay.
func (s *Server) Kill() error {
	if s.proc == nil {
		return nil
	}
	return s.proc.kill()
}

// Relaunch stops the server if it runs and starts it again, on the same port.
func (s *Server) Relaunch(ctx context.Context) error {
	if err := s.Stop(); err != nil {
		return err
	}
	return s.start(ctx)
}

// Close stops the server and removes everything that was made for it. A data directory given in Config.DataDir stays and is
// shut down cleanly; one that goes is not waited for. Close may be called more than once.
func (s *Server) Close() error {
	if s.dir == "" {
		return nil
	}
	var errs []error
	if s.proc != nil {
		steps := immediateSteps
		if s.cfg.DataDir != "" {
			steps = shutdownSteps
		}
		errs = append(errs, s.proc.stop(steps))
	}
	errs = append(errs, s.dropCloneSlot(context.Background()))
	if s.proc != nil {
		releaseSharedMemory(s.dataDir, s.proc.pid)
	}
	errs = append(errs, os.RemoveAll(s.dir), s.dirLock.Close())
	s.dir = ""
	return errors.Join(errs...)
}

// DSN is a connection string for the superuser through the Unix socket.
func (s *Server) DSN() string {
	return fmt.Sprintf("host=%s port=%d user=postgres dbname=postgres", s.dir, s.port)
}

// TCPDSN is a connection string for the superuser through TCP.
func (s *Server) TCPDSN() string {
	return fmt.Sprintf("host=%s port=%d user=postgres dbname=postgres", s.Host(), s.port)
}

// Host is the address the server listens on.
func (s *Server) Host() string { return "127.0.0.1" }

// Port is the TCP port, and the number in the socket's name.
func (s *Server) Port() int { return s.port }

// SocketDir is the directory of the Unix socket.
func (s *Server) SocketDir() string { return s.dir }

// DataDir is the data directory.
func (s *Server) DataDir() string { return s.dataDir }

// LogFile is the server's log.
func (s *Server) LogFile() string { return filepath.Join(s.dir, "log") }

// PID is the process id of the postmaster, 0 when it does not run.
func (s *Server) PID() int {
	if s.proc == nil || s.proc.ended() {
		return 0
	}
	return s.proc.pid
}

// Major is the major version.
func (s *Server) Major() int { return s.cfg.Major }

// VersionNum is server_version_num: 150018 for 15.18; 0 for a standby that accepts no connections.
func (s *Server) VersionNum() int { return s.version }

// Install is the installation the server runs from.
func (s *Server) Install() *Install { return s.inst }

// Certificates are the files made for Config.TLS; nil without.
func (s *Server) Certificates() *Certificates { return s.certs }

// Log is what the server logged so far.
func (s *Server) Log() string { return s.logFrom(0) }

func (s *Server) logSize() int64 {
	info, err := os.Stat(s.LogFile())
	if err != nil {
		return 0
	}
	return info.Size()
}

func (s *Server) logFrom(offset int64) string {
	data, err := os.ReadFile(s.LogFile())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err.Error()
	}
	return string(data[min(offset, int64(len(data))):])
}

// tail returns the last n lines.
func tail(log string, n int) string {
	lines := strings.Split(strings.TrimRight(log, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// promote makes a standby a primary and waits until it accepts writes.
func (s *Server) promote(ctx context.Context) error {
	// As pg_ctl does it in every version; the function pg_promote came with 12.
	// The file gets its name when it is ready: a server that is woken for
	// another reason takes it at once.
	path := filepath.Join(s.dataDir, "promote")
	if err := os.WriteFile(path+".new", nil, 0o600); err != nil {
		return err
	}
	if err := s.owner.giveOne(path + ".new"); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	if err := s.proc.cmd.Process.Signal(promoteSignal); err != nil {
		return err
	}
	return s.until(ctx, "select not pg_is_in_recovery()")
}

// canceledByRecovery tells of a query that was in the way of a standby's
// recovery, and may succeed when it is asked again.
func canceledByRecovery(err error) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && refused.Code == "40001"
}

// until runs a query that returns a boolean until it is true.
func (s *Server) until(ctx context.Context, query string, args ...any) error {
	conn, err := s.Connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		var ok bool
		err := conn.QueryRow(ctx, query, args...).Scan(&ok)
		if err != nil && !canceledByRecovery(err) {
			return fmt.Errorf("waiting for %s: %w", query, err)
		}
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", query, ctx.Err())
		case <-tick.C:
		}
	}
}
