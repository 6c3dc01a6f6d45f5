package pgtest

import (
	"strconv"
	"testing"
)

func TestEveryMajorStarts(t *testing.T) {
	for _, major := range Majors() {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			s := Start(t, major)
			if got := Query[int](t, s, "select current_setting('server_version_num')::int / 10000"); got != major {
				t.Errorf("asked for %d, got %d", major, got)
			}
			t.Log(s.Install())
		})
	}
}
