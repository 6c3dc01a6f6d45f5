package receive

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/pgbasin/pgbasin/walstream"
)

// metrics are what --status-listen serves.
type metrics struct {
	syncs prometheus.Histogram
}

func newMetrics() *metrics {
	return &metrics{syncs: prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "pgbasin_receive_sync_seconds",
		Help:    "Durations of syncs of segments.",
		Buckets: prometheus.ExponentialBuckets(0.0001, 2, 18), // up to 13 s
	})}
}

func (m *metrics) synced(took time.Duration) { m.syncs.Observe(took.Seconds()) }

// state is an archive as a collector of metrics.
type state struct {
	status func() walstream.ArchiveStatus
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("pgbasin_receive_"+name, help, labels, nil)
}

var (
	descReceived   = describe("received_lsn_bytes", "End of the WAL that has arrived, as a number of bytes.")
	descWritten    = describe("written_lsn_bytes", "End of the WAL that was written, as a number of bytes.")
	descFlushed    = describe("flushed_lsn_bytes", "End of the WAL that is known to be durable, as a number of bytes.")
	descServer     = describe("server_lsn_bytes", "End of the server's WAL when it last sent something, as a number of bytes.")
	descTimeline   = describe("timeline", "Timeline that is received.")
	descLagBytes   = describe("lag_bytes", "WAL that the server has and that was not written.")
	descLagSeconds = describe("lag_seconds", "Time since all WAL of the server had arrived, 0 if it has.")
	descStreaming  = describe("streaming", "1 while connected and streaming.")
	descFull       = describe("disk_full", "1 while there is no room for WAL.")
	descReconnects = describe("reconnects_total", "Connections made after the first one.")
	descSegments   = describe("segments_total", "Segments finished.")
	descError      = describe("last_error_timestamp_seconds", "When the last error occurred.", "error")
)

func (s state) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descReceived, descWritten, descFlushed, descServer, descTimeline, descLagBytes, descLagSeconds,
		descStreaming, descFull, descReconnects, descSegments, descError,
	} {
		ch <- d
	}
}

func (s state) Collect(ch chan<- prometheus.Metric) {
	st := s.status()
	gauge := func(d *prometheus.Desc, v float64) { ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v) }
	gauge(descReceived, float64(st.Received))
	gauge(descWritten, float64(st.Written))
	gauge(descFlushed, float64(st.Flushed))
	gauge(descServer, float64(st.ServerEnd))
	gauge(descTimeline, float64(st.Timeline))
	bytes, seconds := lag(st, time.Now())
	gauge(descLagBytes, bytes)
	gauge(descLagSeconds, seconds)
	gauge(descStreaming, truth(st.Streaming))
	gauge(descFull, truth(st.Full))
	ch <- prometheus.MustNewConstMetric(descReconnects, prometheus.CounterValue, float64(st.Reconnects))
	ch <- prometheus.MustNewConstMetric(descSegments, prometheus.CounterValue, float64(st.Segments))
	if st.LastError != nil {
		ch <- prometheus.MustNewConstMetric(descError, prometheus.GaugeValue, float64(st.ErrorAt.UnixMilli())/1000, st.LastError.Error())
	}
}

// lag is how far the archive is behind the server. While there is no connection
// the time goes on.
func lag(st walstream.ArchiveStatus, now time.Time) (bytes, seconds float64) {
	if st.ServerEnd > st.Written {
		bytes = float64(st.ServerEnd - st.Written)
	}
	if (bytes > 0 || !st.Streaming) && !st.CaughtUp.IsZero() {
		seconds = max(now.Sub(st.CaughtUp).Seconds(), 0)
	}
	return bytes, seconds
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// serve serves the archive's state on an address until stop is called.
func (m *metrics) serve(address string, a *walstream.Archiver) (stop func(), err error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("could not listen on \"%s\": %w", address, err)
	}
	registry := prometheus.NewRegistry()
	// Beside the archive, what tells of leaks: memory, goroutines, open files.
	registry.MustRegister(m.syncs, state{a.Status}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	s := &http.Server{Handler: handler(registry, a.Status), ReadHeaderTimeout: 10 * time.Second}
	go s.Serve(l)
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if s.Shutdown(ctx) != nil {
			s.Close()
		}
	}, nil
}

func handler(registry *prometheus.Registry, status func() walstream.ArchiveStatus) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		st := status()
		reason := ""
		switch {
		case st.Full:
			reason = "no room"
		case !st.Streaming:
			reason = "not connected"
		}
		if reason == "" {
			fmt.Fprintln(w, "ok")
			return
		}
		if st.LastError != nil {
			reason += ": " + st.LastError.Error()
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, reason)
	})
	return mux
}
