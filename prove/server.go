package prove

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pgbasin/pgbasin/pgdata"
	"github.com/pgbasin/pgbasin/recoveryconf"
)

// ServerOptions say which server is started, and how. The zero value finds one.
type ServerOptions struct {
	// BinDir is the directory of the server's programs. If it is "", those of
	// the backup's major version are looked for in the places where packages
	// put them, and then in the directories of SearchPath.
	BinDir     string
	SearchPath []string
	// User is who the server runs as, when this process is root's, which
	// PostgreSQL refuses; "" means "postgres".
	User string
	// Superuser is a superuser of the cluster who may log in; "" finds one.
	Superuser string
	// Settings are added to the server's configuration. See CheckSettings.
	Settings recoveryconf.Params
	// Connections is how many the server accepts; 0 means 20.
	Connections int
	// TempDir is where the scratch directory is made; "" means the system's
	// directory for temporary files.
	TempDir string
	// Environment of the server, and so of its restore_command, as in
	// exec.Cmd; nil means that of this process. PostgreSQL's own variables and
	// those of the locale are left out.
	Environment []string
	// Info is told what is done, Warning what does not keep the server from
	// being started. Both may be nil.
	Info, Warning func(message string)
}

// Dir is where a data directory is to be laid out.
type Dir struct{ s *scratch }

// Data becomes the data directory. It does not exist.
func (d Dir) Data() string { return d.s.data() }

// Tablespace is the directory for a tablespace. It does not exist.
func (d Dir) Tablespace(oid uint32) string { return d.s.tablespace(oid) }

// Server is a throwaway server in a scratch directory.
type Server struct {
	o       ServerOptions
	scratch *scratch
	runner  *runner

	version pgdata.Version
	control *pgdata.Control
	program *program
	port    int
	proc    *process
	log     follower

	user, database string // a superuser and a database that lets him in
}

// Start makes a scratch directory, calls fill to lay out a data directory in it,
// starts a server on that, and returns when it has recovered and takes
// connections. The context bounds all of that, not the life of the server, which
// the caller ends with Close. An error leaves nothing behind.
func Start(ctx context.Context, o ServerOptions, fill func(ctx context.Context, d Dir) error) (*Server, error) {
	s, err := newServer(o)
	if err != nil {
		return nil, err
	}
	if err = fill(ctx, Dir{s.scratch}); err == nil {
		if err = s.examine(ctx); err == nil {
			err = s.bringUp(ctx)
		}
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func newServer(o ServerOptions) (*Server, error) {
	if err := CheckSettings(o.Settings); err != nil {
		return nil, err
	}
	own, err := serverOwner(o.User)
	if err != nil {
		return nil, err
	}
	dir, err := newScratch(o.TempDir, own)
	if err != nil {
		return nil, err
	}
	env := o.Environment
	if env == nil {
		env = os.Environ()
	}
	if o.Connections == 0 {
		o.Connections = 20
	}
	return &Server{
		o: o, scratch: dir, runner: &runner{dir: dir.dir, owner: own, env: environment(env)},
		// Only the socket's name has it, and up to 13 the key of shared memory.
		port: 20000 + rand.IntN(40000),
		log:  follower{path: dir.log()},
	}, nil
}

// DSN is a connection string. A user of "" is a superuser, and a database of ""
// one that lets him in. Every role is let in without a password.
func (s *Server) DSN(user, database string) string {
	if user == "" {
		user = s.user
	}
	if database == "" {
		database = s.database
	}
	return fmt.Sprintf("host=%s port=%d user=%s dbname=%s sslmode=disable", quoteDSN(s.scratch.socket), s.port, quoteDSN(user), quoteDSN(database))
}

// quoteDSN writes a value of a connection string.
func quoteDSN(value string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value) + "'"
}

// Scratch is the directory that holds everything of the server.
func (s *Server) Scratch() string { return s.scratch.dir }

// Log is the path of the server's log, in the scratch directory.
func (s *Server) Log() string { return s.scratch.log() }

// LogTail is the end of the server's log.
func (s *Server) LogTail() string { return tail(s.Log(), 60) }

// Version is that of the server's program, such as "15.18".
func (s *Server) Version() string {
	if s.program == nil {
		return ""
	}
	version, _, _ := strings.Cut(s.program.version, " ")
	return version
}

// choose finds the server for a version.
func (s *Server) choose(ctx context.Context, v pgdata.Version) (err error) {
	if s.program == nil {
		s.program, err = s.runner.find(ctx, v, s.o.BinDir, s.o.SearchPath)
	}
	return err
}

// examine looks at the data directory and finds the server for it.
func (s *Server) examine(ctx context.Context) (err error) {
	data := s.scratch.data()
	text, err := os.ReadFile(filepath.Join(data, "PG_VERSION"))
	if err != nil {
		return fmt.Errorf("could not read the version of the data directory: %w", err)
	}
	if s.version, err = pgdata.ParseVersion(text); err != nil {
		return err
	}
	text, err = os.ReadFile(filepath.Join(data, filepath.FromSlash(pgdata.ControlFile)))
	if err != nil {
		return fmt.Errorf("could not read the control file: %w", err)
	}
	if s.control, err = pgdata.ParseControl(text); err != nil {
		return err
	}
	if !s.control.Complete {
		// What depends on the version at all has not changed for long.
		s.control.BlockSize, s.control.NameDataLen, s.control.WALSegmentSize = 8192, 64, 16<<20
	}
	if err := s.refuseStandby(); err != nil {
		return err
	}
	return s.choose(ctx, s.version)
}

// refuseStandby refuses a directory that is configured to follow a primary.
func (s *Server) refuseStandby() error {
	data := s.scratch.data()
	standby := false
	if s.version >= recoveryconf.ParametersVersion {
		_, err := os.Stat(filepath.Join(data, recoveryconf.StandbySignal))
		standby = err == nil
	} else if text, err := os.ReadFile(filepath.Join(data, recoveryconf.RecoveryConf)); err == nil {
		for _, line := range parseConf(string(text)) {
			if line.name == "standby_mode" {
				standby = !slices.Contains([]string{"off", "false", "no", "0", "f", "n"}, strings.ToLower(line.value))
			}
		}
	}
	if standby {
		return errors.New("the data directory is that of a standby, which follows its primary and never ends its recovery")
	}
	return nil
}

// dropSlots removes replication slots that a copied data directory may have:
// nobody reads from them here, and a server does not start with a logical one
// unless its wal_level fits.
func (s *Server) dropSlots() error {
	dir := filepath.Join(s.scratch.data(), "pg_replslot")
	slots, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, slot := range slots {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, slot.Name())))
	}
	return err
}

// EndedError says that the server ended, and why by its own words.
type EndedError struct {
	State string   // how the process ended, such as "exit status 1"
	Fatal []string // what the server said in FATAL and PANIC messages
	Log   string   // the end of its log
}

func (e *EndedError) Error() string {
	if len(e.Fatal) == 0 {
		return "the server ended: " + e.State
	}
	return "the server ended: " + e.Fatal[len(e.Fatal)-1]
}

// bringUp starts the server and waits until it takes connections. Libraries that
// it should preload and that are not installed are left out.
func (s *Server) bringUp(ctx context.Context) error {
	c, err := configure(s.scratch, s.version, s.control, s.port, s.o.Connections, s.o.Settings)
	if err != nil {
		return err
	}
	if err := s.dropSlots(); err != nil {
		return err
	}
	// Once, while nobody but this process has a hand in it: what a server left
	// running may have put links in the way.
	if err := s.scratch.owner.give(s.scratch.dir); err != nil {
		return err
	}
	for {
		if err := s.writeConfiguration(c); err != nil {
			return err
		}
		err := s.launch(ctx)
		var ended *EndedError
		if !errors.As(err, &ended) {
			return err
		}
		library := s.log.missingLibrary(c.preload)
		if library == "" {
			return err
		}
		s.warning(fmt.Sprintf("library \"%s\" of the cluster's %s is not installed here and left out", library, preload))
		c.preload = slices.DeleteFunc(c.preload, func(name string) bool { return name == library })
	}
}

// writeConfiguration writes the server's own files, and takes the one in the data
// directory that a server always reads out of the way.
func (s *Server) writeConfiguration(c *configuration) error {
	files := []struct{ path, text string }{
		{s.scratch.configFile(), string(c.render())},
		{s.scratch.hbaFile(), "local all all trust\n"},
		{s.scratch.identFile(), ""},
		{filepath.Join(s.scratch.data(), recoveryconf.AutoConf), "# The settings of the cluster that apply here are in the server's own configuration file.\n"},
		{s.scratch.log(), ""},
	}
	for _, f := range files {
		if err := s.scratch.write(f.path, f.text); err != nil {
			return fmt.Errorf("could not write the server's configuration: %w", err)
		}
	}
	return nil
}

func (s *Server) launch(ctx context.Context) error {
	s.log.close()
	s.log = follower{path: s.scratch.log()}
	log, err := s.scratch.openLog()
	if err != nil {
		return err
	}
	defer log.Close() // the server has its own
	s.info("starting PostgreSQL %s, waiting for the end of its recovery", s.Version())
	cmd := exec.Command(s.program.path, "-D", s.scratch.data(), "-c", "config_file="+s.scratch.configFile())
	cmd.Dir, cmd.Env = s.scratch.dir, s.runner.env
	cmd.Stdout, cmd.Stderr = log, log
	if s.proc, err = start(cmd, s.scratch.owner); err != nil {
		return fmt.Errorf("could not start \"%s\": %w", s.program.path, err)
	}
	return s.waitReady(ctx)
}

// poll is how often the server's log is looked at.
const poll = 10 * time.Millisecond

// waitReady waits until the server takes connections, or has ended.
func (s *Server) waitReady(ctx context.Context) error {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		ended := s.proc.ended()
		if err := s.log.read(); err != nil {
			return fmt.Errorf("could not read the server's log: %w", err)
		}
		if ended {
			return &EndedError{State: s.proc.cmd.ProcessState.String(), Fatal: s.log.fatal, Log: s.LogTail()}
		}
		if s.log.ready {
			if err := s.findSuperuser(ctx, s.o.Superuser); !errors.Is(err, errStarting) {
				return err
			}
		}
		select {
		case <-s.proc.done:
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("the server has not finished its recovery: %w", context.Cause(ctx))
		}
	}
}

// What is waited for before the next stronger means is taken.
const (
	fastPatience      = 60 * time.Second
	immediatePatience = 10 * time.Second
)

// Stop shuts the server down and leaves its files, as a clean shutdown does if
// there is time for it.
func (s *Server) Stop() error {
	return s.end(shutdown{fastShutdown, fastPatience}, shutdown{immediateShutdown, immediatePatience})
}

// shutDown shuts the server down cleanly: everything is in its files then.
func (s *Server) shutDown(ctx context.Context) error {
	if s.proc == nil || s.proc.ended() {
		return errors.New("the server ended while it was checked")
	}
	if err := s.proc.cmd.Process.Signal(fastShutdown); err != nil {
		return fmt.Errorf("could not shut the server down: %w", err)
	}
	select {
	case <-s.proc.done:
	case <-ctx.Done():
		return fmt.Errorf("the server has not shut down: %w", context.Cause(ctx))
	}
	if s.proc.err != nil {
		return fmt.Errorf("the server did not shut down cleanly: %w", s.proc.err)
	}
	return nil
}

// Close stops the server without ceremony, because nothing of it is needed any
// more, and removes everything.
func (s *Server) Close() error {
	return errors.Join(s.end(shutdown{immediateShutdown, immediatePatience}), s.scratch.remove())
}

func (s *Server) end(steps ...shutdown) error {
	defer s.log.close()
	if s.proc == nil {
		return nil
	}
	segment := s.sharedMemory()
	err := s.proc.stop(steps...)
	if segment >= 0 && s.proc.ended() && !s.proc.cmd.ProcessState.Exited() {
		removeSharedMemory(segment) // it was killed, and could not do it itself
	}
	s.proc = nil
	return err
}

// sharedMemory is the id of the System V segment by which servers notice each
// other, -1 if there is none: the second number in the seventh line of
// postmaster.pid.
func (s *Server) sharedMemory() int {
	text, err := os.ReadFile(filepath.Join(s.scratch.data(), "postmaster.pid"))
	if err != nil {
		return -1
	}
	lines := strings.Split(string(text), "\n")
	if len(lines) < 7 || lines[0] != strconv.Itoa(s.proc.pid) {
		return -1
	}
	fields := strings.Fields(lines[6])
	if len(fields) != 2 {
		return -1
	}
	id, err := strconv.Atoi(fields[1])
	if err != nil {
		return -1
	}
	return id
}

func (s *Server) info(format string, args ...any) {
	if s.o.Info != nil {
		s.o.Info(fmt.Sprintf(format, args...))
	}
}

func (s *Server) warning(message string) {
	if s.o.Warning != nil {
		s.o.Warning(message)
	}
}
