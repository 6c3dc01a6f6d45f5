package prove

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/pgdata"
	"github.com/pgbasin/pgbasin/recoveryconf"
	"github.com/pgbasin/pgbasin/wal"
)

// seen is how far the server came by its log.
func (s *Server) seen() Recovery {
	return Recovery{Consistent: s.log.consistent, Stopped: s.log.stopped, LastCommit: s.log.lastCommit, Newest: s.log.lastCommit}
}

// recovered asks the server how far it came. inWAL is the time of the last commit
// that it found in its own directory of WAL: it knows that itself only when it
// recovered from an archive.
func (s *Server) recovered(ctx context.Context, inWAL time.Time) (Recovery, error) {
	r := s.seen()
	conn, err := s.connect(ctx, s.user, s.database)
	if err != nil {
		return r, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	// Both functions keep their answers after recovery.
	query := `select coalesce(pg_last_wal_replay_lsn()::text, ''),
		coalesce(to_char(pg_last_xact_replay_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), ''),
		pg_is_in_recovery()::text, pg_walfile_name(pg_current_wal_lsn())`
	if s.version < 100000 {
		query = strings.NewReplacer("pg_last_wal_replay_lsn", "pg_last_xlog_replay_location", "pg_walfile_name", "pg_xlogfile_name",
			"pg_current_wal_lsn", "pg_current_xlog_location").Replace(query)
	}
	answer, err := rows(ctx, conn, query)
	if err != nil {
		return r, fmt.Errorf("could not ask the server how far it recovered: %w", err)
	}
	row := answer[0]
	if row[0] != "" {
		if r.Replayed, err = lsn.Parse(row[0]); err != nil {
			return r, err
		}
	}
	if row[1] != "" {
		if r.LastCommit, err = time.Parse("2006-01-02T15:04:05.999999", row[1]); err != nil {
			return r, err
		}
	}
	if row[2] != "false" {
		return r, errors.New("the server is still in recovery")
	}
	timeline, err := strconv.ParseUint(row[3][:min(8, len(row[3]))], 16, 32)
	if err != nil {
		return r, err
	}
	r.Timeline = uint32(timeline)
	if r.LastCommit.IsZero() {
		r.LastCommit = inWAL
	}
	r.Newest = r.LastCommit
	if r.Newest.IsZero() {
		r.Newest = s.backupBegan()
	}
	return r, nil
}

// backupBegan is the earliest time at which the backup can have begun, from the
// label that the server has put aside; zero if there is none.
func (s *Server) backupBegan() time.Time {
	for _, name := range []string{pgdata.LabelFile + ".old", pgdata.LabelFile} {
		text, err := os.ReadFile(filepath.Join(s.scratch.data(), name))
		if err != nil {
			continue
		}
		if label, err := pgdata.ParseBackupLabel(text); err == nil {
			if earliest, _, ok := label.StartSpan(); ok {
				return earliest
			}
		}
	}
	return time.Time{}
}

// archiveRecovery tells whether the directory asks for recovery from an archive.
func (s *Server) archiveRecovery() bool {
	name := recoveryconf.RecoverySignal
	if s.version < recoveryconf.ParametersVersion {
		name = recoveryconf.RecoveryConf
	}
	_, err := os.Stat(filepath.Join(s.scratch.data(), name))
	return err == nil
}

// lastCommit is the time of the last commit in the WAL that came with the data
// directory, which is all that the server replays without an archive; zero if
// there is none, or if the server will know it itself.
func (s *Server) lastCommit(ctx context.Context) (last time.Time) {
	data := s.scratch.data()
	text, err := os.ReadFile(filepath.Join(data, pgdata.LabelFile))
	if err != nil || s.archiveRecovery() {
		return last
	}
	label, err := pgdata.ParseBackupLabel(text)
	if err != nil {
		return last
	}
	size := int64(s.control.WALSegmentSize)
	r := wal.NewReader(wal.Dir(filepath.Join(data, s.version.WALDir()), size), wal.ReaderOptions{
		SegmentSize: size, Timeline: label.StartTimeline, Start: label.Start,
	})
	defer r.Close()
	for r.Next() && ctx.Err() == nil {
		if t, ok := r.Record().Transaction(); ok && (t.Kind == wal.Commit || t.Kind == wal.CommitPrepared) {
			last = t.Time
		}
	}
	return last
}

func (r Recovery) summary() string {
	var parts []string
	if r.Consistent != 0 {
		parts = append(parts, "consistent at "+r.Consistent.String())
	}
	if r.Replayed != 0 {
		parts = append(parts, fmt.Sprintf("replayed to %s", r.Replayed))
	}
	if r.Timeline != 0 {
		parts = append(parts, fmt.Sprintf("timeline %d", r.Timeline))
	}
	if !r.LastCommit.IsZero() {
		parts = append(parts, "last commit at "+r.LastCommit.UTC().Format("2006-01-02 15:04:05.999999Z07:00"))
	}
	return strings.Join(parts, ", ")
}
