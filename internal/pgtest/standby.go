package pgtest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
)

// clone makes the data directory of a standby: a copy of the running primary's files, taken between the functions that begin
// and end a low-level backup.
func (s *Server) clone(ctx context.Context, primary *Server) (err error) {
	s.dataDir = unique(s.dir, dataPrefix)
	conn, err := primary.Connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	// The slot keeps the WAL from the copy's beginning until the standby streams.
	slot := fmt.Sprintf("pgtest_%d_%s", os.Getpid(), strings.ToLower(filepath.Base(s.dir)[len(serverDirPrefix):]))
	if _, err := conn.Exec(ctx, "select pg_create_physical_replication_slot($1, true)", slot); err != nil {
		return err
	}
	s.cloneSlot = slot
	begin, end := "select pg_backup_start('pgtest', true)", "select labelfile from pg_backup_stop(false)"
	if primary.Major() < 15 {
		begin, end = "select pg_start_backup('pgtest', true, false)", "select labelfile from pg_stop_backup(false, false)"
	}
	if _, err := conn.Exec(ctx, begin, pgx.QueryExecModeSimpleProtocol); err != nil {
		return err
	}
	if err := copyTree(primary.DataDir(), s.dataDir, s.owner, notCloned); err != nil {
		return err
	}
	if err := s.cloneTablespaces(); err != nil {
		return err
	}
	var label string
	if err := conn.QueryRow(ctx, end, pgx.QueryExecModeSimpleProtocol).Scan(&label); err != nil {
		return err
	}
	conninfo := "primary_conninfo = " + quote(primary.DSN()+" application_name=standby") + "\n"
	files := map[string]string{"backup_label": label, "standby.signal": ""}
	if s.cfg.Major < 12 {
		delete(files, "standby.signal")
		files["recovery.conf"] = "standby_mode = on\n" + conninfo
		conninfo = ""
	}
	for name, text := range files {
		path := filepath.Join(s.dataDir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
		if err := s.owner.giveOne(path); err != nil {
			return err
		}
	}
	if len(s.cfg.HBA) > 0 || s.cfg.TLS != nil {
		if err := os.WriteFile(filepath.Join(s.dataDir, "pg_hba.conf"), []byte(s.hba()), 0o600); err != nil { // exists: owner and mode stay
			return err
		}
	}
	return appendFile(filepath.Join(s.dataDir, "postgresql.conf"), s.configuration()+conninfo)
}

// notCloned leaves out what belongs to the running primary: its process, its slots and its WAL, which is streamed.
func notCloned(rel string, d fs.DirEntry) bool {
	switch dir := filepath.Dir(rel); {
	case rel == "postmaster.pid" || rel == "postmaster.opts" || rel == "standby.signal" || rel == "recovery.conf" || rel == "backup_label":
		return true
	case dir == "pg_replslot" || dir == "pg_dynshmem" || dir == "pg_stat_tmp":
		return true
	case dir == "pg_wal":
		return !d.IsDir()
	case dir == filepath.Join("pg_wal", "archive_status") || dir == filepath.Join("pg_wal", "summaries"):
		return true
	}
	return false
}

// cloneTablespaces copies what the copied links in pg_tblspc lead to and lets them lead there.
func (s *Server) cloneTablespaces() error {
	spaces, err := os.ReadDir(filepath.Join(s.dataDir, "pg_tblspc"))
	if err != nil {
		return err
	}
	for _, e := range spaces {
		if e.Type()&fs.ModeSymlink == 0 {
			continue
		}
		link := filepath.Join(s.dataDir, "pg_tblspc", e.Name())
		from, err := os.Readlink(link)
		if err != nil {
			return err
		}
		to := unique(s.dir, tablespacePrefix+e.Name()+"-")
		if err := copyTree(from, to, s.owner, nil); err != nil {
			return err
		}
		if err := errors.Join(os.Remove(link), os.Symlink(to, link), s.owner.giveOne(link)); err != nil {
			return err
		}
	}
	return nil
}

// streamed waits until the standby receives WAL from the primary, and drops the slot that kept it.
func (s *Server) streamed(ctx context.Context) error {
	// A walreceiver that streams has asked for all the WAL it needs.
	if err := s.until(ctx, "select exists (select from pg_stat_wal_receiver where status = 'streaming')"); err != nil {
		return err
	}
	return s.dropCloneSlot(ctx)
}

// dropCloneSlot drops the slot that clone made, if it still exists.
func (s *Server) dropCloneSlot(ctx context.Context) error {
	if s.cloneSlot == "" {
		return nil
	}
	conn, err := s.cfg.Standby.Connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.Exec(ctx, "select pg_drop_replication_slot($1)", s.cloneSlot)
	s.cloneSlot = ""
	return err
}
