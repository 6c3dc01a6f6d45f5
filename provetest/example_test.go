package provetest_test

import (
	"context"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgbasin/pgbasin/provetest"
)

// Each call gives the test a server of its own, which it may change.
func Example() {
	_ = func(t *testing.T) { // such as TestMigration
		dsn := provetest.Clone(t, os.Getenv("DATABASE_URL"))
		conn, err := pgx.Connect(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
		if _, err := conn.Exec(t.Context(), "alter table orders add column note text"); err != nil {
			t.Error(err)
		}
	}
}

// A test of what last night's backup holds.
func ExampleRestore() {
	_ = func(t *testing.T) {
		dsn := provetest.Restore(t, "/backups/last")
		conn, err := pgx.Connect(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
	}
}
