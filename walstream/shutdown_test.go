package walstream_test

import (
	"errors"
	"testing"

	"github.com/pgbasin/pgbasin/internal/pgfake"
	"github.com/pgbasin/pgbasin/internal/pgtest"
	"github.com/pgbasin/pgbasin/walstream"
)

func TestControlledShutdownBeforeTheStopPointIsAnError(t *testing.T) {
	const flush = segmentSize + 100000
	c := cluster(flush)
	s := pgfake.Serve(t, c)
	r := start(t, walstream.Options{Conn: dial(t, s.ConnString()), Sink: &discard{}})
	r.waitWritten(t, flush)
	c.Shutdown()
	if err := r.wait(t); !errors.Is(err, walstream.ErrTerminated) {
		t.Errorf("got %v", err)
	}
}

func TestServerShutsDownWhileItIsStreamedFrom(t *testing.T) {
	for name, slot := range map[string]string{"with a slot": "s", "without": ""} {
		t.Run(name, func(t *testing.T) {
			s := pgtest.Start(t, 15)
			s.Exec(t, "select pg_create_physical_replication_slot('s', true)")
			sink, _ := backupDirectory(t)
			r := startOn(t, s, walstream.Options{Sink: sink, Slot: slot})
			s.Exec(t, "create table x as select generate_series(1, 100000) i")
			r.waitWritten(t, currentLSN(t, s))
			if err := s.Stop(); err != nil {
				t.Error(err)
			}
			if err := r.wait(t); !errors.Is(err, walstream.ErrTerminated) {
				t.Errorf("got %v", err)
			}
		})
	}
}
