package recoveryconf

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/pgbasin/pgbasin/pgdata"
)

// Unsupported says that a server of the backup's version does not have what an option asks for.
type Unsupported struct {
	Option  string // as in Target and on the command line: "target-lsn"
	Version int    // the server's, as PQserverVersion counts
	Since   int    // the first version that has it
	Instead string // what to do instead; "" if there is nothing
}

func (e *Unsupported) Error() string {
	text := fmt.Sprintf("%s needs PostgreSQL %s or newer, and the backup is of PostgreSQL %s",
		e.Option, pgdata.Version(e.Since), pgdata.Version(e.Version))
	if e.Instead != "" {
		text += ": " + e.Instead
	}
	return text
}

// Oldest is the first version that Recovery can be written for.
const Oldest = 90500

// The first versions that have a parameter or a value.
const (
	targetLSNVersion       = 100000
	currentTimelineVersion = 120000
	placeholderVersion     = 160000 // refuses unknown placeholders in commands
)

// Check returns an error for what a server of this version (180004) would refuse, would read differently from what is meant, or
// would ignore. The error is an *Unsupported where only newer versions have it. Nothing is written that Check refuses.
func (r Recovery) Check(version int) error {
	if !r.Wanted() {
		return nil
	}
	if version < Oldest {
		return &Unsupported{Option: "a recovery configuration", Version: version, Since: Oldest}
	}
	if err := r.checkText(); err != nil {
		return err
	}
	if err := r.checkTarget(version); err != nil {
		return err
	}
	if err := r.checkTimeline(version); err != nil {
		return err
	}
	return r.checkSource(version)
}

// checkText refuses what no configuration file can hold.
func (r Recovery) checkText() error {
	for _, p := range r.params() {
		if strings.IndexByte(p.Value, 0) >= 0 {
			return fmt.Errorf("%s holds a zero byte", p.Name)
		}
	}
	return nil
}

func (r Recovery) checkTarget(version int) error {
	t := r.Target
	set := t.options()
	switch {
	case len(set) > 1:
		return fmt.Errorf("%s and %s exclude each other: recovery has one target", strings.Join(set[:len(set)-1], ", "), set[len(set)-1])
	case len(set) == 0 && t.Exclusive:
		return errors.New("target-exclusive has no meaning without a target")
	case len(set) == 0 && t.Action != "":
		return errors.New("target-action has no meaning without a target")
	case t.Exclusive && (t.Name != "" || t.Immediate):
		return fmt.Errorf("target-exclusive has no meaning with %s: it is for a time, an LSN or a transaction", set[0])
	case t.LSN != 0 && version < targetLSNVersion:
		return &Unsupported{Option: "target-lsn", Version: version, Since: targetLSNVersion}
	case t.Action != "" && t.Action != ActionPause && t.Action != ActionPromote && t.Action != ActionShutdown:
		return fmt.Errorf("target-action %q is not one of %s, %s and %s", t.Action, ActionPause, ActionPromote, ActionShutdown)
	case len(t.Name) > maxNameLength:
		return fmt.Errorf("target-name has %d bytes, and the name of a restore point has up to %d", len(t.Name), maxNameLength)
	}
	if t.XID != "" {
		if err := checkXID(t.XID); err != nil {
			return err
		}
	}
	if t.Time != "" {
		return checkTime(t.Time)
	}
	return nil
}

// The server's MAXFNAMELEN, less its zero byte.
const maxNameLength = 63

func (t Target) options() []string {
	var set []string
	for _, o := range []struct {
		name string
		set  bool
	}{
		{"target-time", t.Time != ""}, {"target-lsn", t.LSN != 0}, {"target-xid", t.XID != ""},
		{"target-name", t.Name != ""}, {"target-immediate", t.Immediate},
	} {
		if o.set {
			set = append(set, o.name)
		}
	}
	return set
}

// checkXID is stricter than the server, which reads "0x1F" and "017" in other bases and takes "abc" for 0.
func checkXID(s string) error {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || strconv.FormatUint(n, 10) != s {
		return fmt.Errorf("target-xid %q is not a transaction number", s)
	}
	if uint32(n) < firstNormalXID {
		return fmt.Errorf("target-xid %s: no transaction has this number", s)
	}
	return nil
}

// Below it are the server's special transactions (FirstNormalTransactionId).
const firstNormalXID = 3

// serverXID leaves out the epoch. The server cuts it off anyway; on Windows those up to 12 refuse it.
func serverXID(s string) string {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return s
	}
	return strconv.FormatUint(uint64(uint32(n)), 10)
}

func (r Recovery) checkTimeline(version int) error {
	switch r.Timeline {
	case "", "latest":
		return nil
	case "current":
		// Older servers read it as 0, and that as "latest".
		if version < currentTimelineVersion {
			return &Unsupported{Option: "target-timeline=current", Version: version, Since: currentTimelineVersion,
				Instead: "leave it out, the backup's own timeline is the default"}
		}
		return nil
	}
	n, err := strconv.ParseUint(r.Timeline, 10, 32)
	if err != nil || n == 0 || strconv.FormatUint(n, 10) != r.Timeline {
		return fmt.Errorf("target-timeline %q is not a timeline's number, \"latest\" or \"current\"", r.Timeline)
	}
	return nil
}

func (r Recovery) checkSource(version int) error {
	switch {
	case !r.Standby && r.PrimaryConnInfo != "":
		return errors.New("primary-conninfo has no meaning without standby")
	case !r.Standby && r.PrimarySlot != "":
		return errors.New("primary-slot has no meaning without standby")
	case !r.Standby && r.RestoreCommand == "":
		return errors.New("recovery needs a restore command, unless the server is to be a standby")
	}
	if r.PrimarySlot != "" {
		if len(r.PrimarySlot) > maxSlotLength || strings.Trim(r.PrimarySlot, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
			return fmt.Errorf("primary-slot %q is not the name of a replication slot: up to %d lower case letters, digits and underscores", r.PrimarySlot, maxSlotLength)
		}
	}
	if version >= placeholderVersion {
		if err := checkPlaceholders(r.RestoreCommand); err != nil {
			return err
		}
	}
	return nil
}

// The server's NAMEDATALEN, less its zero byte.
const maxSlotLength = 63

// checkPlaceholders accepts those that the server replaces in restore_command.
func checkPlaceholders(command string) error {
	for i := 0; i < len(command); i++ {
		if command[i] != '%' {
			continue
		}
		i++
		if i == len(command) {
			return errors.New("the restore command ends in a single %")
		}
		if strings.IndexByte("%fpr", command[i]) < 0 {
			return fmt.Errorf("the restore command holds the unknown placeholder %q", command[i-1:i+1])
		}
	}
	return nil
}

// Check returns an error for settings that cannot be written to postgresql.auto.conf: bad names, include directives, zero bytes,
// and what Recovery is for. Whether a server knows the parameter and takes its value is not checked.
func (p Params) Check(version int) error {
	for _, param := range p {
		name := fold(param.Name)
		_, recovery := recoveryParams[name]
		switch {
		case !validName(param.Name) || strings.Trim(name, nameBytes) != "":
			return fmt.Errorf("%q is not the name of a setting", param.Name)
		case name == "include" || name == "include_if_exists" || name == "include_dir":
			return fmt.Errorf("%s is a directive and not a setting", param.Name)
		case strings.IndexByte(param.Value, 0) >= 0:
			return fmt.Errorf("the value of %s holds a zero byte", param.Name)
		case ownOption[name] != "":
			return fmt.Errorf("%s is set by the option %s", param.Name, ownOption[name])
		case recovery && version < ParametersVersion:
			return fmt.Errorf("%s is not a setting of PostgreSQL %s, which has it in %s only", param.Name, pgdata.Version(version), RecoveryConf)
		}
	}
	return nil
}

// ownOption says which option a parameter belongs to.
var ownOption = map[string]string{
	"restore_command":           "restore-command",
	"recovery_target":           "target-immediate",
	"recovery_target_action":    "target-action",
	"recovery_target_inclusive": "target-exclusive",
	"recovery_target_lsn":       "target-lsn",
	"recovery_target_name":      "target-name",
	"recovery_target_time":      "target-time",
	"recovery_target_timeline":  "target-timeline",
	"recovery_target_xid":       "target-xid",
	"primary_conninfo":          "primary-conninfo",
	"primary_slot_name":         "primary-slot",
	"standby_mode":              "standby",
}

const nameBytes = "abcdefghijklmnopqrstuvwxyz0123456789_."

// validName reports whether a token is an identifier, or two with a dot between them.
func validName(s string) bool {
	first, second, two := strings.Cut(s, ".")
	return identifier(first) && (!two || identifier(second))
}

func identifier(s string) bool {
	if s == "" || !letter(s[0]) {
		return false
	}
	for i := range len(s) {
		if !letter(s[i]) && (s[i] < '0' || s[i] > '9') {
			return false
		}
	}
	return true
}
