package pgtest

// Config says which server to start. The zero value with a Major is a server with pgtest's defaults: wal_level=replica,
// ten WAL senders and slots, fsync off, trust authentication, superuser "postgres", locale C, encoding UTF8.
type Config struct {
	Major int // 10 to 18, or any major that PGBASIN_PG_<major> or the system has

	WALSegSize  int   // MB, a power of two from 1 to 1024; 0 is initdb's default of 16. PostgreSQL 11 and newer
	Checksums   *bool // page checksums; nil is initdb's default: off up to 17, on from 18
	GroupAccess bool  // initdb -g: directories 0750, files 0640. PostgreSQL 11 and newer
	FreshInitdb bool  // run initdb for this server, so that its system identifier is its own

	// Settings are appended to postgresql.conf of a new server or standby, and are given on the command line with DataDir.
	Settings map[string]string
	// HBA lines stand in pg_hba.conf after those that let "postgres" in by socket, and before those that trust everyone.
	HBA []string
	// TLS turns ssl on; nil leaves it off.
	TLS *TLSConfig

	// DataDir is an existing data directory to start instead of a new one. It stays when the server is closed. As root it is
	// given to the server's user, with what pg_wal and the links in pg_tblspc point to; its modes are not changed.
	DataDir string
	// Standby makes the server a streaming standby of the running primary it points to, with a copy of its configuration.
	Standby *Server
}

// Option changes the Config of Start, StartDir and StartStandby.
type Option func(*Config)

// WALSegSize sets the size of WAL segments in MB.
func WALSegSize(mb int) Option { return func(c *Config) { c.WALSegSize = mb } }

// Checksums turns page checksums on or off, whatever initdb's default is.
func Checksums(on bool) Option { return func(c *Config) { c.Checksums = &on } }

// GroupAccess lets the group read the data directory.
func GroupAccess() Option { return func(c *Config) { c.GroupAccess = true } }

// FreshInitdb runs initdb for this server alone. Without it, servers of the same major and options share a system identifier.
func FreshInitdb() Option { return func(c *Config) { c.FreshInitdb = true } }

// Setting sets one server setting.
func Setting(name, value string) Option {
	return func(c *Config) {
		if c.Settings == nil {
			c.Settings = make(map[string]string)
		}
		c.Settings[name] = value
	}
}

// Settings sets several server settings.
func Settings(settings map[string]string) Option {
	return func(c *Config) {
		for name, value := range settings {
			Setting(name, value)(c)
		}
	}
}

// HBA adds lines to pg_hba.conf that come before the ones that trust everyone. The lines that let "postgres" in through the
// socket stay first, because the methods of Server need them.
func HBA(lines ...string) Option {
	return func(c *Config) { c.HBA = append(c.HBA, lines...) }
}

// TLS turns ssl on; the files are in Server.Certificates.
func TLS(tls TLSConfig) Option { return func(c *Config) { c.TLS = &tls } }
