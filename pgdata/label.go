package pgdata

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/pgbasin/pgbasin/lsn"
)

// JournalFile is the name of the file in the data directory of a backup under way, or broken off, that says which of its files have
// arrived: pgbasin's own, gone when the backup is complete.
const JournalFile = "pgbasin_backup.journal"

// LabelFile is the name of the file in the data directory of a backup that says where its recovery starts.
const LabelFile = "backup_label"

// BackupLabel is a backup_label, or a backup history file of the WAL archive, which also says where the backup ended.
// Fields whose line is missing are zero; see ParseBackupLabel for those that cannot be missing.
type BackupLabel struct {
	Start         lsn.LSN // where recovery starts: the redo point of Checkpoint
	StartFile     string  // the segment that holds Start
	StartTimeline uint32
	Checkpoint    lsn.LSN // the checkpoint's record
	Method        string  // "streamed", "pg_start_backup" (up to 14, an exclusive backup), "pg_rewind"
	From          string  // "primary" ("master" up to 13) or "standby"
	Label         string

	// The server writes times with an abbreviation of its log_timezone's name, such as "2016-02-13 11:29:46 KST", and
	// abbreviations are ambiguous. The time is zero unless the zone is UTC, GMT or a number; StartSpan knows what is certain.
	StartTime     time.Time
	StartTimeText string

	IncrementalFromLSN lsn.LSN // from 17: not zero in an incremental backup, the backup that it builds on started there
	IncrementalFromTLI uint32

	// In backup history files only.
	Stop         lsn.LSN // the end of the backup's last record
	StopFile     string
	StopTimeline uint32 // from 11
	StopTime     time.Time
	StopTimeText string
}

// Incremental reports whether the backup is of no use without the one it builds on.
func (l *BackupLabel) Incremental() bool {
	return l.IncrementalFromLSN != 0 || l.IncrementalFromTLI != 0
}

// StartSpan is the span of time in which the backup started: one instant when the zone is known. It is false when the label has
// no time that can be read.
func (l *BackupLabel) StartSpan() (earliest, latest time.Time, ok bool) {
	return labelTime(l.StartTimeText)
}

// StopSpan is StartSpan for the end of the backup, which backup history files have.
func (l *BackupLabel) StopSpan() (earliest, latest time.Time, ok bool) {
	return labelTime(l.StopTimeText)
}

// ParseBackupLabel reads a backup_label of 9.5 or newer. The locations of the start and of the checkpoint must come first, and
// the timeline must be that of the file's name: a server refuses to start otherwise, also when an editor ended these lines in
// CR LF. Other lines may be missing, in another order, or unknown; of several of the same kind the first counts, because a label
// that was given with newlines comes before the lines that follow it.
func ParseBackupLabel(b []byte) (*BackupLabel, error) {
	l, err := parseLabel(b, []string{startLine, checkpointLine})
	if err != nil {
		return nil, fmt.Errorf("backup_label: %w", err)
	}
	return l, nil
}

// ParseBackupHistory reads a backup history file ("<segment>.<offset>.backup") of a WAL archive.
func ParseBackupHistory(b []byte) (*BackupLabel, error) {
	l, err := parseLabel(b, []string{startLine, stopLine, checkpointLine})
	if err != nil {
		return nil, fmt.Errorf("backup history file: %w", err)
	}
	return l, nil
}

const (
	startLine      = "START WAL LOCATION"
	stopLine       = "STOP WAL LOCATION"
	checkpointLine = "CHECKPOINT LOCATION"
	// What the server writes stays below 2 kB: a label has up to 1024 bytes.
	maxLabelFile = 64 << 10
)

var errCarriageReturn = errors.New("the line ends in CR LF, which the server refuses")

func parseLabel(b []byte, first []string) (*BackupLabel, error) {
	if len(b) > maxLabelFile {
		return nil, fmt.Errorf("%d bytes are too many", len(b))
	}
	l := new(BackupLabel)
	seen := map[string]bool{}
	number := 0
	for line := range strings.Lines(string(b)) {
		text, ended := strings.CutSuffix(line, "\n")
		key, value, _ := strings.Cut(text, ": ")
		if number < len(first) {
			switch {
			case key != first[number]:
				return nil, fmt.Errorf("line %d is %.60q, expected %s", number+1, text, first[number])
			case !ended:
				return nil, fmt.Errorf("line %d has no end", number+1)
			case strings.HasSuffix(text, "\r"):
				return nil, fmt.Errorf("line %d: %w", number+1, errCarriageReturn)
			}
		}
		number++
		if seen[key] {
			continue
		}
		seen[key] = true
		if err := l.set(key, value); err != nil {
			return nil, fmt.Errorf("line %d, %s: %w", number, key, err)
		}
	}
	if number < len(first) {
		return nil, fmt.Errorf("no line %s", first[number])
	}
	return l, nil
}

// set takes one line. A key that it does not know is part of a label with newlines, or of a newer version.
func (l *BackupLabel) set(key, value string) (err error) {
	if key != "LABEL" {
		value = strings.TrimSuffix(value, "\r")
	}
	switch key {
	case startLine:
		l.Start, l.StartFile, l.StartTimeline, err = location(value)
	case stopLine:
		l.Stop, l.StopFile, l.StopTimeline, err = location(value)
	case checkpointLine:
		l.Checkpoint, err = position(value)
	case "BACKUP METHOD":
		l.Method = value
	case "BACKUP FROM":
		l.From = value
	case "LABEL":
		l.Label = value
	case "START TIME":
		l.StartTime, l.StartTimeText = exactTime(value), value
	case "STOP TIME":
		l.StopTime, l.StopTimeText = exactTime(value), value
	case "START TIMELINE":
		var tli uint32
		if tli, err = timeline(value); err == nil && tli != l.StartTimeline {
			err = fmt.Errorf("timeline %d, but the start is on timeline %d", tli, l.StartTimeline)
		}
	case "STOP TIMELINE":
		l.StopTimeline, err = timeline(value)
	case "INCREMENTAL FROM LSN":
		l.IncrementalFromLSN, err = position(value)
	case "INCREMENTAL FROM TLI":
		l.IncrementalFromTLI, err = timeline(value)
	}
	return err
}

// location reads "0/2000028 (file 000000010000000000000002)".
func location(value string) (pos lsn.LSN, file string, tli uint32, err error) {
	text, rest, _ := strings.Cut(value, " (file ")
	if pos, err = position(text); err != nil {
		return 0, "", 0, err
	}
	file, closed := strings.CutSuffix(rest, ")")
	if !closed || len(file) != 24 || strings.Trim(file, "0123456789ABCDEF") != "" {
		return 0, "", 0, fmt.Errorf("no name of a WAL file in %.60q", value)
	}
	n, err := strconv.ParseUint(file[:8], 16, 32)
	if err != nil || n == 0 {
		return 0, "", 0, fmt.Errorf("no timeline in the name %s", file)
	}
	return pos, file, uint32(n), nil
}

func position(value string) (lsn.LSN, error) {
	pos, err := lsn.Parse(value)
	if err != nil {
		return 0, err
	}
	if pos == 0 {
		return 0, errors.New("0/0 is not a position in the log")
	}
	return pos, nil
}

func timeline(value string) (uint32, error) {
	n, err := strconv.ParseUint(value, 10, 32)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%.60q is not a timeline", value)
	}
	return uint32(n), nil
}

// labelTime reads what the server writes with "%Y-%m-%d %H:%M:%S %Z". The zone is a name's abbreviation, or a number of hours
// or hours and minutes east of Greenwich.
func labelTime(text string) (earliest, latest time.Time, ok bool) {
	const form = "2006-01-02 15:04:05"
	if len(text) < len(form) {
		return time.Time{}, time.Time{}, false
	}
	t, err := time.Parse(form, text[:len(form)])
	if err != nil {
		return time.Time{}, time.Time{}, false
	}
	zone := strings.TrimPrefix(text[len(form):], " ")
	switch zone {
	case "UTC", "GMT":
		return t, t, true
	}
	for _, offset := range []string{"-07", "-0700", "-07:00"} {
		if at, err := time.Parse(offset, zone); err == nil {
			_, seconds := at.Zone()
			t = t.Add(-time.Duration(seconds) * time.Second)
			return t, t, true
		}
	}
	// Anywhere on earth, from UTC+14 to UTC-12.
	return t.Add(-14 * time.Hour), t.Add(12 * time.Hour), true
}

func exactTime(text string) time.Time {
	if earliest, latest, ok := labelTime(text); ok && earliest.Equal(latest) {
		return earliest
	}
	return time.Time{}
}
