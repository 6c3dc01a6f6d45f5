package powercut

import "fmt"

// Plan says which states to look at.
type Plan struct {
	// Random is how many states with a chosen part of what is not durable there
	// are for each point, beside the four in which of names and data all or
	// nothing is there.
	Random int
	Seed   uint64
	// At, if it is not nil, picks the points in time, as the number of events
	// that happened.
	At func(n int) bool
}

// Replay calls check with each state, from the first event on, and stops at the
// first error, which then names the state. It returns how many there were.
func (l *Log) Replay(p Plan, check func(s *State) error) (states int, err error) {
	d := newDisk(l)
	for n := 0; ; n++ {
		if p.At == nil || p.At(n) {
			for i := range 4 + p.Random {
				s := &State{At: n, d: d, dirs: map[int]map[string]int{}, files: map[int][]byte{}}
				switch i {
				case 0:
					s.Choice, s.pick = "with nothing that was not synced", picker{no, no, 0}
				case 1:
					s.Choice, s.pick = "with everything", picker{yes, yes, 0}
				case 2:
					s.Choice, s.pick = "with all names and no data that was not synced", picker{yes, no, 0}
				case 3:
					s.Choice, s.pick = "with all data and no names that were not synced", picker{no, yes, 0}
				default:
					seed := p.Seed*1_000_003 + uint64(n)*97 + uint64(i)
					s.Choice, s.pick = fmt.Sprintf("with a random part (%d) of what was not synced", seed), picker{some, some, seed}
				}
				states++
				if err := check(s); err != nil {
					return states, fmt.Errorf("%v: %w", s, err)
				}
				s.release()
			}
		}
		if n == len(l.Events) {
			return states, nil
		}
		d.happen(n)
	}
}

// Steps tells points in time at which something else is next than a write to a
// file, or nothing: between the writes of a file there is little to see.
func (l *Log) Steps(n int) bool {
	return n == len(l.Events) || l.Events[n].Kind != Write
}
