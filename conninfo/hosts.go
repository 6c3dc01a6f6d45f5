package conninfo

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// DefaultPort is the port of a host that names none.
const DefaultPort = "5432"

// Host is one element of the host list: one server to try.
type Host struct {
	// Host is the name, address or socket directory as given, or the
	// default. It is what a server certificate is checked against. It is
	// empty only when Addr is given alone.
	Host string
	// Addr is the address from hostaddr. It replaces name resolution.
	Addr string
	// Port as given, or DefaultPort. It may be anything the user wrote.
	Port string
	// Socket: connect through a Unix-domain socket in directory Host (or, on
	// Linux, an abstract one when it begins with "@").
	Socket bool
	// Password for this host: from the settings, else from the password file.
	Password string
	// FromFile: Password was found in the password file.
	FromFile bool
}

// SocketPath is the path of the host's socket.
func (h Host) SocketPath() string {
	return h.Host + "/.s.PGSQL." + h.Port
}

// Hosts splits host, hostaddr and port into the servers to try, in order, and
// finds the password of each. dbname is the database name that the connection
// will use, which a line of the password file must match. warnings are
// complaints about the password file, for the user to see.
func (s Settings) Hosts(dbname string) (hosts []Host, warnings []string, err error) {
	hosts, err = s.split()
	if err != nil {
		return nil, nil, err
	}
	password, passfile := s.Value("password"), s.Value("passfile")
	for i := range hosts {
		h := &hosts[i]
		h.Password = password
		if password != "" || passfile == "" {
			continue
		}
		name := h.Host
		if name == "" {
			name = h.Addr
		}
		var warning string
		h.Password, warning = passwordFrom(passfile, name, h.Port, dbname, s.Value("user"))
		h.FromFile = h.Password != ""
		if warning != "" && len(warnings) == 0 {
			warnings = append(warnings, warning)
		}
	}
	return hosts, warnings, nil
}

func (s Settings) split() ([]Host, error) {
	var names, addrs []string
	if v := s.Value("host"); v != "" {
		names = strings.Split(v, ",")
	}
	if v := s.Value("hostaddr"); v != "" {
		addrs = strings.Split(v, ",")
	}
	n := max(len(names), 1)
	if len(addrs) > 0 {
		n = len(addrs)
		if len(names) > 0 && len(names) != n {
			return nil, fmt.Errorf("could not match %d host names to %d hostaddr values", len(names), n)
		}
	}
	ports := strings.Split(s.Value("port"), ",")
	if len(ports) > 1 && len(ports) != n {
		return nil, fmt.Errorf("could not match %d port numbers to %d hosts", len(ports), n)
	}

	hosts := make([]Host, n)
	for i := range hosts {
		h := &hosts[i]
		if len(names) > 0 {
			h.Host = names[i]
		}
		if len(addrs) > 0 {
			h.Addr = addrs[i]
		}
		h.Port = ports[0]
		if len(ports) > 1 {
			h.Port = ports[i]
		}
		if h.Port == "" {
			h.Port = DefaultPort
		}
		if h.Host == "" && h.Addr == "" {
			h.Host = defaultHost(h.Port)
		}
		h.Socket = h.Addr == "" && (strings.HasPrefix(h.Host, "@") || filepath.IsAbs(h.Host))
	}
	return hosts, nil
}

// defaultHost stands in for libpq's compiled-in socket directory, which
// differs between builds: the first known one that has the socket, else the
// first that exists.
func defaultHost(port string) string {
	for _, dir := range socketDirs {
		if _, err := os.Stat(Host{Host: dir, Port: port}.SocketPath()); err == nil {
			return dir
		}
	}
	for _, dir := range socketDirs {
		if st, err := os.Stat(dir); err == nil && st.IsDir() {
			return dir
		}
	}
	return "localhost"
}
