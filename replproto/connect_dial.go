package replproto

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/pgbasin/pgbasin/conninfo"
)

// dialer walks the list of hosts (libpq's PQconnectPoll).
type dialer struct {
	cfg      *Config
	settings conninfo.Settings
	database string
	hosts    []conninfo.Host
	random   bool
	timeout  time.Duration // per address; 0 is none
	socket   socketOptions
	target   target
	attempts []error
}

// defaultDatabase is what libpq's replication tools name, so that lines for it
// in a password file match. A walsender takes no notice of it.
const defaultDatabase = "replication"

func newDialer(cfg *Config, password string) (*dialer, error) {
	s := cfg.Settings
	if password != "" {
		if err := s.Set("password", password); err != nil {
			return nil, errors.New("the password must not hold a NUL byte")
		}
	}
	d := &dialer{cfg: cfg, settings: s, database: defaultDatabase}
	// PGDATABASE and a service's database do not count, as in pg_basebackup.
	if s.Source("dbname") == conninfo.Explicit {
		d.database = s.Value("dbname")
	}
	hosts, warnings, err := s.Hosts(d.database)
	if err != nil {
		return nil, err
	}
	for _, w := range warnings {
		cfg.warn(w)
	}
	d.hosts = hosts
	d.random = s.Value("load_balance_hosts") == "random"
	if d.random {
		rand.Shuffle(len(hosts), func(i, j int) { hosts[i], hosts[j] = hosts[j], hosts[i] })
	}
	seconds, given, err := s.Int("connect_timeout")
	if err != nil {
		return nil, err
	}
	d.timeout = cfg.serverTimeout()
	if given {
		d.timeout = time.Duration(max(seconds, 0)) * time.Second
	}
	if d.socket, err = newSocketOptions(s); err != nil {
		return nil, err
	}
	d.target = target(s.Value("target_session_attrs"))
	return d, nil
}

// verdict says how the search goes on after an attempt.
type verdict int

const (
	giveUp verdict = iota
	nextAddress
	nextHost
)

// dialAny returns the first connection that serves.
func (d *dialer) dialAny(ctx context.Context) (*session, error) {
	pg, v, err := d.dialHosts(ctx)
	if pg == nil && err == nil && v != giveUp && d.target == preferStandby {
		d.target = anyServer
		pg, _, err = d.dialHosts(ctx)
	}
	if err != nil {
		return nil, err
	}
	if pg == nil {
		return nil, &ConnectError{Attempts: d.attempts}
	}
	return pg, nil
}

// dialHosts tries every host once. An error is one that ends everything; what
// the attempts met is in d.attempts.
func (d *dialer) dialHosts(ctx context.Context) (*session, verdict, error) {
	for _, h := range d.hosts {
		addresses, err := d.resolve(ctx, h)
		if err != nil {
			if ctx.Err() != nil {
				return nil, giveUp, context.Cause(ctx)
			}
			d.attempts = append(d.attempts, err)
			continue
		}
	addresses:
		for _, a := range addresses {
			pg, v := d.dialAddress(ctx, a)
			if pg != nil {
				return pg, giveUp, nil
			}
			if ctx.Err() != nil {
				return nil, giveUp, context.Cause(ctx)
			}
			switch v {
			case giveUp:
				return nil, giveUp, nil
			case nextHost:
				break addresses
			}
		}
	}
	return nil, nextHost, nil
}

// limit applies connect_timeout.
func (d *dialer) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	if d.timeout == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, d.timeout)
}

// address is one place to connect to.
type address struct {
	host    conninfo.Host
	network string
	name    string // for the dialer
	ip      string // as it is shown in messages, "" for sockets
}

// resolve lists the addresses of a host.
func (d *dialer) resolve(ctx context.Context, h conninfo.Host) ([]address, error) {
	port, err := strconv.Atoi(h.Port)
	if err != nil || port < 1 || port > 65535 {
		return nil, fmt.Errorf("invalid port number: \"%s\"", h.Port)
	}
	h.Port = strconv.Itoa(port)
	if h.Socket {
		if path := h.SocketPath(); len(path) > maxSocketPath {
			return nil, fmt.Errorf("Unix-domain socket path \"%s\" is too long (maximum %d bytes)", path, maxSocketPath)
		}
		return []address{{host: h, network: "unix", name: h.SocketPath()}}, nil
	}
	if h.Addr != "" {
		ip, err := netip.ParseAddr(h.Addr)
		if err != nil {
			return nil, fmt.Errorf("could not parse network address \"%s\": Name or service not known", h.Addr)
		}
		return []address{tcpAddress(h, ip)}, nil
	}

	limited, cancel := d.limit(ctx)
	defer cancel()
	found, err := net.DefaultResolver.LookupNetIP(limited, "ip", h.Host)
	if err != nil {
		if !ended(ctx, err) && ended(limited, err) {
			err = errTimeout
		}
		return nil, noAddress(h.Host, err)
	}
	addresses := make([]address, len(found))
	for i, ip := range found {
		addresses[i] = tcpAddress(h, ip.Unmap())
	}
	if d.random {
		rand.Shuffle(len(addresses), func(i, j int) { addresses[i], addresses[j] = addresses[j], addresses[i] })
	}
	return addresses, nil
}

func tcpAddress(h conninfo.Host, ip netip.Addr) address {
	return address{host: h, network: "tcp", name: net.JoinHostPort(ip.String(), h.Port), ip: ip.String()}
}

// dialAddress tries one address with every kind of encryption that sslmode
// allows, in its order.
func (d *dialer) dialAddress(ctx context.Context, a address) (*session, verdict) {
	parent := ctx
	ctx, cancel := d.limit(parent)
	defer cancel()
	// timedOut tells whether connect_timeout, and not the caller, ended it.
	timedOut := func(err error) bool { return !ended(parent, err) && ended(ctx, err) }

	methods := encryptionMethods(d.settings.Value("sslmode"), a.host.Socket)
	for len(methods) > 0 {
		t := &attempt{dialer: d, address: a, replication: true, database: d.database}
		pg, err := t.connect(ctx, &methods)
		if err == nil {
			if err = d.checkTarget(ctx, t, pg); err == nil {
				return pg, giveUp
			}
			closePolitely(pg)
			if timedOut(err) {
				err = errTimeout
			}
			d.attempts = append(d.attempts, identify(a.host, a.ip, err))
			return nil, nextHost
		}
		if timedOut(err) {
			err, t.verdict = errTimeout, nextAddress
		}
		d.attempts = append(d.attempts, identify(a.host, a.ip, err))
		if t.retry && ctx.Err() == nil && len(methods) > 0 {
			continue
		}
		return nil, t.verdict
	}
	return nil, giveUp
}

// closePolitely ends a session that is of no use after all.
func closePolitely(pg *session) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	pg.Close(ctx)
}
