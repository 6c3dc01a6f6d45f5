package restore

import (
	"context"
	"fmt"

	"github.com/pgbasin/pgbasin/recoveryconf"
)

// TargetError says that recovery cannot end where it was asked to.
type TargetError struct {
	Target string // "time 2016-02-13 11:50:00", "LSN 0/E6000028"
	Reason string
}

func (e *TargetError) Error() string {
	return fmt.Sprintf("recovery cannot end at %s: %s", e.Target, e.Reason)
}

// checkTarget refuses targets that recovery cannot reach.
func (p *Plan) checkTarget(context.Context) error {
	t := p.o.Recovery.Target
	if t.LSN != 0 {
		name := "LSN " + t.LSN.String()
		if p.Stop != 0 && t.LSN < p.Stop {
			return &TargetError{name, fmt.Sprintf("the backup is consistent only from its stop point %v on", p.Stop)}
		}
		if p.Stop == 0 && p.Start != 0 && t.LSN <= p.Start {
			return &TargetError{name, fmt.Sprintf("the backup starts at %v", p.Start)}
		}
	}
	if t.Time != "" && p.head.Label != nil {
		_, latest, ok := recoveryconf.ParseTime(t.Time)
		earliest, _, known := p.head.Label.StartSpan()
		if ok && known && latest.Before(earliest) {
			return &TargetError{"time " + t.Time, fmt.Sprintf("the backup was started after it, at %s", p.head.Label.StartTimeText)}
		}
	}
	return nil
}
