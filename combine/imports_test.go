package combine_test

import (
	"os/exec"
	"strings"
	"testing"
)

func TestCombiningNeedsNoNetwork(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Fields(string(out)) {
		if name == "net" || strings.HasPrefix(name, "net/") || strings.HasSuffix(name, "/replproto") {
			t.Errorf("combine depends on %s", name)
		}
	}
}
