package replproto_test

import (
	"context"
	"testing"

	"github.com/pgbasin/pgbasin/conninfo"
	"github.com/pgbasin/pgbasin/internal/pgfake"
	"github.com/pgbasin/pgbasin/replproto"
)

// dial connects to a fake server.
func dial(t *testing.T, s *pgfake.Server) *replproto.Conn {
	t.Helper()
	given, err := conninfo.Parse(s.ConnString())
	if err != nil {
		t.Fatal(err)
	}
	settings, err := conninfo.Resolve(given, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := replproto.Connect(context.Background(), &replproto.Config{Settings: settings, ApplicationName: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}
