// Package connection has the connection options that PostgreSQL's tools share.
package connection

import (
	"math"
	"time"

	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/program"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/prompt"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/usage"
	"github.com/pgbasin/pgbasin/conninfo"
	"github.com/pgbasin/pgbasin/replproto"
)

// Options are -d, -h, -p, -U, -w and -W.
type Options struct {
	String           usage.Optional
	Host, Port, User string
	ForcePassword    bool
	NoPassword       bool
	// ServerTimeout is how long a server may be silent that owes an answer.
	ServerTimeout time.Duration
}

// SetServerTimeout fits getopt.Option for --server-timeout, in seconds; 0 is for
// ever.
func (o *Options) SetServerTimeout(v string) error {
	seconds, err := usage.ParseInt(v, "--server-timeout", 0, math.MaxInt32)
	o.ServerTimeout = time.Duration(seconds) * time.Second
	if seconds == 0 {
		o.ServerTimeout = -1
	}
	return err
}

// SetPassword fits getopt.Option for -W (force) and -w.
func (o *Options) SetPassword(force bool) func(string) error {
	return func(string) error {
		o.ForcePassword, o.NoPassword = force, !force
		return nil
	}
}

// Config puts the connection's settings together: the connection string, the
// options, which win over it, and what the environment says. Notices of the
// server are shown as it says them, at the beginning of a line.
func (o *Options) Config(p *program.Program) (*replproto.Config, error) {
	var given conninfo.Settings
	if o.String.Given {
		var err error
		if given, err = conninfo.Parse(o.String.Text); err != nil {
			return nil, err
		}
	}
	for _, s := range []struct{ keyword, value string }{
		{"host", o.Host}, {"user", o.User}, {"port", o.Port},
	} {
		if err := given.Set(s.keyword, s.value); err != nil {
			return nil, err
		}
	}
	settings, err := conninfo.Resolve(given, p.LookupEnv)
	if err != nil {
		return nil, err
	}
	cfg := &replproto.Config{
		Settings:        settings,
		ApplicationName: p.Name,
		ForcePrompt:     o.ForcePassword,
		ServerTimeout:   o.ServerTimeout,
		// As libpq writes it.
		Warning: func(text string) { p.Console.Line("WARNING: " + text) },
		Notice:  func(n *replproto.Notice) { p.Console.Notice(n.String()) },
	}
	if !o.NoPassword {
		cfg.Prompt = prompt.Prompt{In: p.Stdin, Out: p.Console, NoTerminal: p.NoTerminal}.Password
	}
	return cfg, nil
}
