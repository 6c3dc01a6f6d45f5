package harness

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// ResidentPeak is the highest resident set of a running process, in bytes; 0 if
// it is not known.
func ResidentPeak(pid int) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(status, []byte("\nVmHWM:"))
	fields := bytes.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	kB, err := strconv.ParseInt(string(fields[0]), 10, 64)
	if err != nil {
		return 0
	}
	return kB << 10
}
