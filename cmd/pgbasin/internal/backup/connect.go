package backup

import (
	"strings"

	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/prompt"
	"github.com/pgbasin/pgbasin/conninfo"
	"github.com/pgbasin/pgbasin/replproto"
)

// connection puts the connection's settings together: the connection string,
// the options, which win over it, and what the environment says.
func (r *run) connection() (*replproto.Config, error) {
	o := r.o
	var given conninfo.Settings
	if o.dsn.set {
		var err error
		if given, err = conninfo.Parse(o.dsn.text); err != nil {
			return nil, err
		}
	}
	for _, s := range []struct{ keyword, value string }{
		{"host", o.host}, {"user", o.user}, {"port", o.port},
	} {
		if err := given.Set(s.keyword, s.value); err != nil {
			return nil, err
		}
	}
	settings, err := conninfo.Resolve(given, r.p.LookupEnv)
	if err != nil {
		return nil, err
	}
	cfg := &replproto.Config{
		Settings:        settings,
		ApplicationName: r.p.Name,
		ForcePrompt:     o.password,
		// As libpq writes it.
		Warning: func(text string) { r.p.Console.Line("WARNING: " + text) },
		Notice:  r.notice,
	}
	if !o.noPassword {
		cfg.Prompt = prompt.Prompt{In: r.p.Stdin, Out: r.p.Console, NoTerminal: r.p.NoTerminal}.Password
	}
	return cfg, nil
}

// targetParts takes TARGET[:DETAIL] apart.
func (o *options) targetParts() (target, detail string) {
	target, detail, _ = strings.Cut(o.target.text, ":")
	return target, detail
}
