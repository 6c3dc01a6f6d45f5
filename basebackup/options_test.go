package basebackup

import (
	"testing"
	"time"
)

func TestStatusMessagesFlowUnlessTheyAreNotWanted(t *testing.T) {
	for given, want := range map[time.Duration]time.Duration{0: 10 * time.Second, time.Second: time.Second, -1: 0} {
		o := Options{StatusInterval: given}
		if got := o.statusInterval(); got != want {
			t.Errorf("%v: %v, want %v", given, got, want)
		}
	}
}
