package receive

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pgbasin/pgbasin/lsn"
	"github.com/pgbasin/pgbasin/walstream"
)

func TestLagGoesOnWhileThereIsNoConnection(t *testing.T) {
	now := time.Unix(1000, 0)
	at := func(written, end lsn.LSN, streaming bool, caughtUp int64) walstream.ArchiveStatus {
		return walstream.ArchiveStatus{
			Streaming: streaming,
			Progress:  walstream.Progress{Written: written, ServerEnd: end, CaughtUp: time.Unix(caughtUp, 0)},
		}
	}
	for name, c := range map[string]struct {
		status         walstream.ArchiveStatus
		bytes, seconds float64
	}{
		"nothing yet":   {walstream.ArchiveStatus{}, 0, 0},
		"caught up":     {at(50, 50, true, 900), 0, 0},
		"ahead":         {at(60, 50, true, 900), 0, 0},
		"behind":        {at(40, 50, true, 900), 10, 100},
		"not connected": {at(50, 50, false, 900), 0, 100},
		"clock set":     {at(40, 50, true, 2000), 10, 0},
	} {
		if bytes, seconds := lag(c.status, now); bytes != c.bytes || seconds != c.seconds {
			t.Errorf("%s: %v bytes, %v seconds", name, bytes, seconds)
		}
	}
}

func TestHealthAndMetricsTellTheState(t *testing.T) {
	var status walstream.ArchiveStatus
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(newMetrics().syncs, state{func() walstream.ArchiveStatus { return status }})
	h := handler(registry, func() walstream.ArchiveStatus { return status })
	ask := func(path string) (int, string) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		return w.Code, w.Body.String()
	}
	for _, c := range []struct {
		status walstream.ArchiveStatus
		code   int
		text   string
		metric string
	}{
		{walstream.ArchiveStatus{}, 503, "not connected\n", "pgbasin_receive_streaming 0\n"},
		{walstream.ArchiveStatus{Streaming: true, Segments: 7}, 200, "ok\n", "pgbasin_receive_segments_total 7\n"},
		{walstream.ArchiveStatus{Streaming: true, Full: true, LastError: errors.New("full\"\n")}, 503, "no room: full\"\n\n", "pgbasin_receive_last_error_timestamp_seconds{error=\"full\\\"\\n\"}"},
	} {
		status = c.status
		if code, text := ask("/healthz"); code != c.code || text != c.text {
			t.Errorf("%+v: %d, %q", c.status, code, text)
		}
		if code, text := ask("/metrics"); code != 200 || !strings.Contains(text, c.metric) {
			t.Errorf("%+v: %d, %s", c.status, code, text)
		}
	}
	if code, _ := ask("/"); code != 404 {
		t.Errorf("/: %d", code)
	}
}
