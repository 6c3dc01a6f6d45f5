package tarstream

import (
	"fmt"
	"strings"
)

// Stripper is a Visitor that passes an archive of a data directory on to another
// one without the directories that lead to it in the archive, as in one made by
// "tar -C /srv -c data5445". See Strip.
type Stripper struct {
	next    Visitor
	prefix  string // with a slash behind, or empty
	decided bool
	skip    bool // the current member is the data directory itself, or one above
	header  Header
}

// Strip makes a Stripper in front of next. The first member decides:
//
//   - the directory "." (see NewLenientParser) or something that stands at the
//     root of a data directory, such as backup_label or base: nothing leads to
//     the data directory;
//   - another directory: that is the data directory, or, when it is one of those
//     of a data directory ("srv/data/base"), what it stands in;
//   - another file: what the first part of its name that stands at the root of a
//     data directory stands in, or else the directory of the file.
//
// Every member must lie below that. The data directory's own member is dropped.
// Names only lose what is in front; a link's target stays.
func Strip(next Visitor) *Stripper { return &Stripper{next: next} }

// Prefix is the name of the data directory in the archive, for example
// "data5445"; it is empty if the archive has the data directory's members at its
// root, and until there was a member.
func (s *Stripper) Prefix() string { return strings.TrimSuffix(s.prefix, "/") }

// Member implements Visitor.
func (s *Stripper) Member(h *Header) error {
	if !s.decided {
		s.decided = true
		if s.prefix = prefixOf(h); s.prefix != "" {
			s.prefix += "/"
		}
	}
	s.skip = h.Type == Directory && (h.Name == "." || h.Name == s.Prefix())
	switch {
	case s.skip:
		return nil
	case s.prefix == "":
		return s.next.Member(h)
	case !strings.HasPrefix(h.Name, s.prefix):
		return fmt.Errorf("tar member %s is not below %s, where the data directory is", quote(h.Name), quote(s.Prefix()))
	}
	s.header = *h
	s.header.Name = h.Name[len(s.prefix):]
	return s.next.Member(&s.header)
}

// Content implements Visitor.
func (s *Stripper) Content(p []byte) error { return s.next.Content(p) }

// EndMember implements Visitor.
func (s *Stripper) EndMember() error {
	if s.skip {
		return nil
	}
	return s.next.EndMember()
}

// prefixOf is the directory that a data directory has in an archive which begins
// with h.
func prefixOf(h *Header) string {
	if h.Name == "." {
		return ""
	}
	parts := strings.Split(h.Name, "/")
	last := len(parts) - 1
	isDir := func(i int) bool { return i < last || h.Type != Regular }
	switch {
	case atRoot(parts[0], isDir(0)):
		return ""
	case h.Type == Directory && !atRoot(parts[last], true):
		return h.Name
	case h.Type == Directory:
		return strings.Join(parts[:last], "/")
	}
	for i, part := range parts {
		if atRoot(part, isDir(i)) {
			return strings.Join(parts[:i], "/")
		}
	}
	return strings.Join(parts[:last], "/")
}

// atRoot tells whether name is something that initdb, the server or its
// administrators put at the root of a data directory, in any version from 9.0
// on, or at the root of a tablespace.
func atRoot(name string, dir bool) bool {
	if dir {
		switch name {
		case "base", "global", "pg_clog", "pg_commit_ts", "pg_dynshmem", "pg_log", "pg_logical", "pg_multixact",
			"pg_notify", "pg_replslot", "pg_serial", "pg_snapshots", "pg_stat", "pg_stat_tmp", "pg_subtrans",
			"pg_tblspc", "pg_twophase", "pg_wal", "pg_xact", "pg_xlog", "log":
			return true
		}
		return strings.HasPrefix(name, "PG_") // PG_15_202209061
	}
	switch name {
	case "PG_VERSION", "backup_label", "backup_label.old", "tablespace_map", "tablespace_map.old", "backup_manifest",
		"current_logfiles", "standby.signal", "server.crt", "server.key", "root.crt":
		return true
	}
	for _, prefix := range []string{"postgresql.", "postmaster.", "recovery.", "pg_hba.conf", "pg_ident.conf"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}
