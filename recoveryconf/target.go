package recoveryconf

import "github.com/pgbasin/pgbasin/lsn"

// Target is the point at which recovery ends. At most one of Time, LSN, XID, Name and Immediate is set; without one, recovery
// goes on to the end of the WAL.
type Target struct {
	Time      string  // as the server reads a timestamp with time zone; see ParseTime
	LSN       lsn.LSN // from 10
	XID       string  // decimal, with or without the epoch, as pg_current_xact_id() or txid_current() show it
	Name      string  // as given to pg_create_restore_point
	Immediate bool    // as soon as the backup is consistent

	Exclusive bool   // stop before the target's record instead of after it; for Time, LSN and XID
	Timeline  string // "latest", "current" (from 12), or a number; "" is the server's default: "latest" from 12, before the backup's own
	Action    string // what the server does at the target: "pause", "promote" or "shutdown"; "" is promote, and pause in a standby
}

// The values of Target.Action.
const (
	ActionPause    = "pause"
	ActionPromote  = "promote"
	ActionShutdown = "shutdown"
)

// Set reports whether there is a point to stop at.
func (t Target) Set() bool { return len(t.params()) > 0 }

// params returns the parameter of the target, or several if there are several.
func (t Target) params() Params {
	var p Params
	if t.Time != "" {
		p = append(p, Param{"recovery_target_time", t.Time})
	}
	if t.LSN != 0 {
		p = append(p, Param{"recovery_target_lsn", t.LSN.String()})
	}
	if t.XID != "" {
		p = append(p, Param{"recovery_target_xid", serverXID(t.XID)})
	}
	if t.Name != "" {
		p = append(p, Param{"recovery_target_name", t.Name})
	}
	if t.Immediate {
		p = append(p, Param{"recovery_target", "immediate"})
	}
	return p
}

// action is the action with the default filled in.
func (r Recovery) action() string {
	switch {
	case r.Target.Action != "" || !r.Target.Set():
		return r.Target.Action
	case r.Standby:
		return ActionPause
	}
	return ActionPromote
}
