package progress

import (
	"strings"
	"testing"
	"time"

	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/program"
)

func TestDisplayShowsPercentRateETAAndFile(t *testing.T) {
	d := &display{}
	now := time.Unix(1000, 0)
	d.Checkpoint()
	if got := d.line(now, 80); got != "waiting for checkpoint" {
		t.Errorf("before data: %q", got)
	}
	const MB = 1 << 20
	d.started = now
	d.rate.add(now, 0)
	p := State{Total: 2700 * MB, Parts: 1, File: "base/5/16384"}
	for range 100 { // 100 MB/s for 10 s
		now = now.Add(100 * time.Millisecond)
		p.Done += 10 * MB
		d.Update(p)
		d.line(now, 80)
	}
	now = now.Add(200 * time.Millisecond)
	p.Done += 20 * MB
	d.Update(p)
	if got, want := d.line(now, 80), " 37%  1.0 GB/2.6 GB  100 MB/s  ETA 0:16  base/5/16384"; got != want {
		t.Errorf("%q, want %q", got, want)
	}

	p.Parts, p.Part = 3, 1
	d.Update(p)
	if got := d.line(now, 80); !strings.Contains(got, "  1/3 tablespaces  base/5/16384") {
		t.Errorf("tablespaces: %q", got)
	}

	p.Done, p.Finished, p.File = 2700*MB, true, ""
	d.Update(p)
	d.Step("syncing data to disk ...")
	if got, want := d.line(now, 80), "100%  2.6 GB/2.6 GB  syncing data to disk ..."; got != want {
		t.Errorf("finished: %q, want %q", got, want)
	}
	if got, want := d.summary(now.Add(time.Second)), "100%  2.6 GB in 0:11  241 MB/s"; got != want {
		t.Errorf("summary: %q, want %q", got, want)
	}
}

func TestDisplayWithoutAnEstimateShowsWhatIsDone(t *testing.T) {
	d := &display{}
	d.Update(State{Parts: 1})
	if got := d.line(time.Now(), 80); got != "0 bytes  0 bytes/s" {
		t.Errorf("%q", got)
	}
}

func TestRateFollowsAStall(t *testing.T) {
	var r rate
	now := time.Unix(1000, 0)
	var done int64
	for range 50 {
		now = now.Add(redrawInterval)
		done += 10 << 20
		r.add(now, done)
	}
	if r.perSecond < 49<<20 || r.perSecond > 51<<20 {
		t.Errorf("steady: %.0f", r.perSecond)
	}
	for range 200 {
		now = now.Add(redrawInterval)
		r.add(now, done)
	}
	if _, ok := r.until(1 << 40); ok || r.perSecond > 1<<20 {
		t.Errorf("after a stall of 40 s: %.0f bytes/s", r.perSecond)
	}
}

func TestLineFitsEveryWidth(t *testing.T) {
	parts := []string{" 45%", "1.2 GB/2.7 GB", "105 MB/s", "ETA 0:14", "base/16384/pg_filenode_mäp.1234567"}
	for columns := range 120 {
		got := fit(columns, parts...)
		if len(got) > max(columns-program.StatusMargin, 0) {
			t.Errorf("%d columns: %d: %q", columns, len(got), got)
		}
	}
	for columns, want := range map[int]string{
		82: " 45%  1.2 GB/2.7 GB  105 MB/s  ETA 0:14  base/16384/pg_filenode_m?p.1234567",
		62: " 45%  1.2 GB/2.7 GB  105 MB/s  ETA 0:14  ...ode_m?p.1234567",
		44: " 45%  1.2 GB/2.7 GB  105 MB/s  ETA 0:14",
		32: " 45%  1.2 GB/2.7 GB  105 MB/s",
		12: " 45%",
		6:  "",
	} {
		if got := fit(columns, parts...); got != want {
			t.Errorf("%d columns: %q, want %q", columns, got, want)
		}
	}
}

func TestSizesAndClock(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 bytes", 10239: "10239 bytes", 10240: "10 kB", 1 << 20: "1.0 MB", 999 << 20: "999 MB", 1000 << 20: "1.0 GB", 5 << 40: "5.0 TB",
	} {
		if got := size(n); got != want {
			t.Errorf("size(%d) = %q, want %q", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{0: "0:00", 59 * time.Second: "0:59", time.Hour: "1:00:00", 3661 * time.Second: "1:01:01"} {
		if got := clock(d); got != want {
			t.Errorf("clock(%v) = %q, want %q", d, got, want)
		}
	}
}
