//go:build unix

package resume

import "testing"

// All of these are on one server.
func TestResume(t *testing.T) {
	s := startSource(t, 18)
	if !t.Run("after changes to what there is", s.restructured) {
		return // its tablespaces would be in everybody's way
	}
	t.Run("standby", s.standby)
	t.Run("in parallel", func(t *testing.T) {
		t.Run("cut", s.cut)
		t.Run("cut WAL", s.cutWAL)
		t.Run("killed", s.killed)
		t.Run("killed in place", s.killedInPlace)
		t.Run("killed at the end", s.killedAtTheEnd)
		t.Run("damaged", s.damaged)
	})
}
