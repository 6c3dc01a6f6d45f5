package prove

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/pgbasin/pgbasin/pgdata"
	"github.com/pgbasin/pgbasin/recoveryconf"
)

// carriedOver are the settings of the cluster's own configuration that the
// throwaway server has too: they change what its data and its users' SQL mean,
// or whether its data can be read at all, and reach nothing outside of it.
// Everything else stays behind, whether a version has it already or not:
// names that could reach other systems are too many to list.
// Settings of extensions ("prefix.name") are carried over as well.
var carriedOver = []string{
	"array_nulls", "backslash_quote", "bytea_output", "datestyle", "default_table_access_method",
	"default_text_search_config", "default_with_oids", "extra_float_digits", "intervalstyle", "lo_compat_privileges",
	"quote_all_identifiers", "search_path", "shared_preload_libraries", "standard_conforming_strings", "timezone",
	"transform_null_equals", "xmlbinary", "xmloption",
}

// recoverySettings are those that a restore puts into postgresql.auto.conf from
// 12 on. Names that begin with recovery_target are recovery's, too.
var recoverySettings = []string{"restore_command"}

const preload = "shared_preload_libraries"

// isolation are the settings that keep the server to itself. Nobody can change
// them.
var isolation = []string{
	"archive_cleanup_command", "archive_command", "archive_library", "archive_mode", "bonjour", "cluster_name", "config_file",
	"data_directory", "external_pid_file", "hba_file", "hot_standby", "ident_file", "include", "include_dir",
	"include_if_exists", "listen_addresses", "log_destination", "log_directory", "log_filename", "log_line_prefix",
	"log_min_messages", "lc_messages", "logging_collector", "max_logical_replication_workers", "max_wal_senders",
	"max_worker_processes", "port", "primary_conninfo", "primary_slot_name", "promote_trigger_file",
	"recovery_end_command", "restart_after_crash", "ssl", "stats_temp_directory", "sync_replication_slots",
	"synchronous_standby_names", "unix_socket_directories", "unix_socket_permissions", "data_sync_retry",
	"ignore_checksum_failure", "ignore_invalid_pages", "ignore_system_indexes", "zero_damaged_pages", "recovery_min_apply_delay",
	"archive_timeout", "unix_socket_group", "event_source", "standby_mode", "trigger_file",
}

// IsolationError says that a setting was asked for which the server's isolation
// depends on.
type IsolationError struct{ Name string }

func (e *IsolationError) Error() string {
	return fmt.Sprintf("setting \"%s\" cannot be changed: it keeps the server apart from everything else", e.Name)
}

// CheckSettings refuses settings that a throwaway server cannot have, with an
// IsolationError.
func CheckSettings(settings recoveryconf.Params) error {
	for _, p := range settings {
		if slices.Contains(isolation, strings.ToLower(p.Name)) {
			return &IsolationError{Name: p.Name}
		}
	}
	return nil
}

// configuration is what the server is told, in the order of a configuration
// file: later lines win.
type configuration struct {
	lines   []setting
	preload []string // of shared_preload_libraries
}

func (c *configuration) set(name, value string) {
	c.lines = append(c.lines, setting{strings.ToLower(name), value})
}

func (c *configuration) render() []byte {
	var p recoveryconf.Params
	for _, s := range c.lines {
		if s.name != preload {
			p = append(p, recoveryconf.Param{Name: s.name, Value: s.value})
		}
	}
	if len(c.preload) > 0 {
		quoted := make([]string, len(c.preload))
		for i, name := range c.preload {
			quoted[i] = `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
		}
		p = append(p, recoveryconf.Param{Name: preload, Value: strings.Join(quoted, ", ")})
	}
	return p.Render()
}

// configure decides the server's configuration, from the restored directory and
// what the caller wants.
func configure(s *scratch, v pgdata.Version, control *pgdata.Control, port, connections int, own recoveryconf.Params) (*configuration, error) {
	if err := CheckSettings(own); err != nil {
		return nil, err
	}
	c := new(configuration)
	if err := c.carryOver(s.data(), v); err != nil {
		return nil, err
	}
	c.defaults(v, control)
	for _, p := range own {
		c.set(p.Name, p.Value)
	}
	c.isolate(s, v, port, connections)
	for _, line := range c.lines {
		if line.name == preload {
			c.preload = splitLibraries(line.value)
		}
	}
	return c, nil
}

// carryOver takes what is worth it from the cluster's own configuration.
// A directory without postgresql.conf, as Debian has them, is fine.
func (c *configuration) carryOver(dataDir string, v pgdata.Version) error {
	for _, name := range []string{"postgresql.conf", recoveryconf.AutoConf} {
		text, err := os.ReadFile(filepath.Join(dataDir, name))
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("could not read the cluster's configuration: %w", err)
		}
		for _, s := range parseConf(string(text)) {
			recovery := v >= recoveryconf.ParametersVersion && name == recoveryconf.AutoConf &&
				(slices.Contains(recoverySettings, s.name) || strings.HasPrefix(s.name, "recovery_target"))
			if recovery || slices.Contains(carriedOver, s.name) && exists(s.name, v) || strings.Contains(s.name, ".") {
				c.set(s.name, s.value)
			}
		}
	}
	return nil
}

// exists tells whether a version has a setting that may be carried over to it:
// a backup may have been restored for a newer server.
func exists(name string, v pgdata.Version) bool {
	switch name {
	case "default_table_access_method":
		return v >= 120000
	case "default_with_oids":
		return v < 120000
	}
	return true
}

// defaults are what fits a server that lives for minutes on data that is thrown
// away; a caller may know better. Nothing is synced: what a crash of the machine
// would lose is a copy.
func (c *configuration) defaults(v pgdata.Version, control *pgdata.Control) {
	c.set("fsync", "off")
	c.set("full_page_writes", "off")
	c.set("synchronous_commit", "off")
	c.set("autovacuum", "off")
	c.set("shared_buffers", "128MB")
	c.set("huge_pages", "off")
	c.set("log_timezone", "UTC")
	if v >= 110000 {
		c.set("jit", "off")
	}
	// Recovery brings back prepared transactions with their locks, and the
	// progress of subscriptions; it fails where there is no room for them.
	c.set("max_prepared_transactions", strconv.Itoa(int(control.MaxPreparedTransactions)))
	c.set("max_locks_per_transaction", strconv.Itoa(int(max(control.MaxLocksPerTransaction, 64))))
	c.set("max_replication_slots", "500")
	if v >= 180000 {
		c.set("max_active_replication_origins", "500")
	}
}

// isolate keeps the server to itself. It is no hot standby, so it does not need
// as many connections and workers as the primary had; connections are accepted
// when recovery has ended. Without background workers no extension that is
// preloaded can act on its own, such as a job scheduler, and without
// replication's workers no subscription reaches its publisher. Shared memory is
// in files of the data directory: a killed server leaves nothing elsewhere.
func (c *configuration) isolate(s *scratch, v pgdata.Version, port, connections int) {
	c.set("listen_addresses", "")
	c.set("port", strconv.Itoa(port))
	c.set("unix_socket_directories", quoteListElement(s.socket))
	c.set("unix_socket_permissions", "0700")
	c.set("data_directory", s.data())
	c.set("hba_file", s.hbaFile())
	c.set("ident_file", s.identFile())
	c.set("ssl", "off")
	c.set("bonjour", "off")
	c.set("cluster_name", "pgbasin prove")

	c.set("archive_mode", "off")
	c.set("hot_standby", "off")
	c.set("max_connections", strconv.Itoa(connections))
	c.set("superuser_reserved_connections", "0")
	c.set("max_wal_senders", "0")
	c.set("max_worker_processes", "0")
	if v >= 100000 {
		c.set("max_logical_replication_workers", "0")
	}
	if v >= 170000 {
		c.set("event_triggers", "off")
	}
	c.set("synchronous_standby_names", "")
	c.set("restart_after_crash", "off")
	c.set("dynamic_shared_memory_type", "mmap")

	c.set("logging_collector", "off")
	c.set("log_destination", "stderr")
	c.set("log_line_prefix", logPrefix)
	c.set("log_min_messages", "warning")
	c.set("lc_messages", "C")
}

// quoteListElement writes a path as an element of a list of paths.
func quoteListElement(path string) string {
	return `"` + strings.ReplaceAll(path, `"`, `""`) + `"`
}

// splitLibraries reads a list of libraries (SplitDirectoriesString): separated
// by commas, in double quotes if need be.
func splitLibraries(list string) []string {
	var names []string
	for rest := strings.TrimSpace(list); rest != ""; {
		var name string
		if strings.HasPrefix(rest, `"`) {
			var b strings.Builder
			i := 1
			for ; i < len(rest); i++ {
				if rest[i] == '"' {
					if !strings.HasPrefix(rest[i+1:], `"`) {
						break
					}
					i++
				}
				b.WriteByte(rest[i])
			}
			name = b.String()
			_, rest, _ = strings.Cut(rest[min(i+1, len(rest)):], ",")
		} else {
			name, rest, _ = strings.Cut(rest, ",")
			name = strings.TrimSpace(name)
		}
		if name != "" {
			names = append(names, name)
		}
		rest = strings.TrimSpace(rest)
	}
	return names
}

func (s *scratch) configFile() string { return filepath.Join(s.etc(), "postgresql.conf") }
func (s *scratch) hbaFile() string    { return filepath.Join(s.etc(), "pg_hba.conf") }
func (s *scratch) identFile() string  { return filepath.Join(s.etc(), "pg_ident.conf") }
