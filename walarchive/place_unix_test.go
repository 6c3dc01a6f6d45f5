//go:build unix

package walarchive

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// A name that another push has given, and may take back, is not believed yet.
func TestNameOfAnUnfinishedPushIsWaitedFor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "000000010000000000000001")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if l := lock(f); l != lockedHere {
		t.Fatalf("lock state %v", l)
	}
	stop := errors.New("stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(stop)
	if _, err := settled(ctx, path); err != stop {
		t.Errorf("while it is locked: %v", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_UN); err != nil {
		t.Fatal(err)
	}
	if stays, err := settled(t.Context(), path); !stays || err != nil {
		t.Errorf("when it is not locked any more: %v, %v", stays, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if stays, err := settled(t.Context(), path); stays || err != nil {
		t.Errorf("when it is gone: %v, %v", stays, err)
	}
}
