package restore

import (
	"errors"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestMoreThanADiskHoldsIsRefused(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // it is noticed there when the disk is full
	}
	dir := filepath.Join(t.TempDir(), "not", "there", "yet")
	if err := checkSpace([]demand{{dir, 1000, true}, {dir + "2", 1000, false}}); err != nil {
		t.Error(err)
	}
	err := checkSpace([]demand{{dir, 1 << 60, true}, {dir + "2", 1000, false}})
	var space *SpaceError
	if !errors.As(err, &space) || space.Need != 1<<60+1000 || space.Have <= 0 || !strings.Contains(err.Error(), "at least") {
		t.Errorf("%+v", err)
	}
}
