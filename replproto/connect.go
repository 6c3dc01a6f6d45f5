package replproto

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pgbasin/pgbasin/conninfo"
)

// Config says how to connect. It may be used for any number of connections,
// also at the same time, and must not be copied after the first: it remembers
// a password that was asked for.
type Config struct {
	// Settings as [conninfo.Resolve] returns them.
	Settings conninfo.Settings
	// ApplicationName is used when the settings name no application_name.
	ApplicationName string

	// Prompt asks for a password. It is called once at most, for all
	// connections together: when a server demands a password and the settings
	// and the password file have none, or, with ForcePrompt, before the first
	// connection. nil never asks.
	Prompt      func(ctx context.Context) (string, error)
	ForcePrompt bool

	// Warning is told what the user should know although it stops nothing: a
	// password file that is ignored because others can read it. nil drops it.
	Warning func(text string)
	// ServerTimeout is how long a server may be silent when it owes an answer: a
	// connection that is being made (per address, unless connect_timeout says
	// something else), a command, the next piece of an archive, and in a WAL stream
	// the reply that is asked for when half of it has passed. Then the connection is
	// lost, with a *SilenceError. Nothing is owed where a server may rightly be silent
	// for hours: before a base backup begins (its checkpoint), while it stores one by
	// itself, while it waits for its archiver after it has said so (for which it is given ten
	// seconds at least), and while it waits
	// for a slot to become free. 0 is DefaultServerTimeout, less is for ever.
	//
	// It works above TCP: a host that has vanished is found out by TCP's keepalives
	// as well, which are sent after a minute unless keepalives_idle says otherwise.
	ServerTimeout time.Duration

	// Notice gets the notices that the server sends while the connection is
	// made, and becomes the connection's receiver of notices.
	Notice func(*Notice)

	mu       sync.Mutex
	asked    bool
	password string // the answer of Prompt
	warned   bool
}

// serverTimeout is ServerTimeout with 0 for "for ever".
func (c *Config) serverTimeout() time.Duration {
	if c.ServerTimeout == 0 {
		return DefaultServerTimeout
	}
	return max(c.ServerTimeout, 0)
}

// EffectiveSettings are the settings with the password that was asked for, if
// one was: what a standby needs to connect in the same way.
func (c *Config) EffectiveSettings() conninfo.Settings {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.Settings
	if c.password != "" {
		// "password" is a known keyword and the value came from a prompt.
		if err := s.Set("password", c.password); err != nil {
			return c.Settings
		}
	}
	return s
}

// ask returns the answer of Prompt, asking unless that was done before.
func (c *Config) ask(ctx context.Context) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asked || c.Prompt == nil {
		return c.password, nil
	}
	password, err := c.Prompt(ctx)
	if err != nil {
		return "", fmt.Errorf("could not read the password: %w", err)
	}
	c.asked, c.password = true, password
	return password, nil
}

// askedPassword is the password to use for every host, "" when none was asked
// for (yet).
func (c *Config) askedPassword(ctx context.Context) (string, error) {
	if c.ForcePrompt {
		return c.ask(ctx)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.password, nil
}

func (c *Config) warn(text string) {
	c.mu.Lock()
	first := !c.warned
	c.warned = true
	c.mu.Unlock()
	if first && c.Warning != nil {
		c.Warning(text)
	}
}

// Connect makes a physical replication connection, trying one server after the
// other as libpq does: the next address when one cannot be reached, the next
// host when a server does not accept connections yet or is not of the kind
// that target_session_attrs asks for. Any other refusal is final.
//
// The error is a [*ConnectError] that tells what every attempt met, unless ctx
// ended or the settings themselves are wrong.
func Connect(ctx context.Context, cfg *Config) (*Conn, error) {
	if err := cfg.Settings.Check(); err != nil {
		return nil, err
	}
	password, err := cfg.askedPassword(ctx)
	if err != nil {
		return nil, err
	}
	c, err := connect(ctx, cfg, password)
	if errors.Is(err, errNoPassword) && password == "" {
		asked, askErr := cfg.ask(ctx)
		if askErr != nil {
			return nil, askErr
		}
		if asked != "" {
			c, err = connect(ctx, cfg, asked)
		}
	}
	return c, err
}

func connect(ctx context.Context, cfg *Config, password string) (*Conn, error) {
	d, err := newDialer(cfg, password)
	if err != nil {
		return nil, err
	}
	pg, err := d.dialAny(ctx)
	if err != nil {
		return nil, err
	}
	return takeOver(ctx, pg, cfg)
}

// checkDatetimes refuses the floating-point timestamps of some old builds:
// times in the replication protocol are integers.
func checkDatetimes(pg *session) error {
	switch pg.ParameterStatus("integer_datetimes") {
	case "on":
		return nil
	case "":
		return errors.New("could not determine server setting for \"integer_datetimes\"")
	}
	return errors.New("\"integer_datetimes\" compile flag does not match server")
}
