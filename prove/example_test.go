package prove_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/pgbasin/pgbasin/prove"
	"github.com/pgbasin/pgbasin/restore"
)

func Example() {
	report, err := prove.Run(context.Background(), prove.Options{
		Restore: restore.Options{Backup: "/backups/last"},
		Checks: prove.Checks{Amcheck: true, Dump: true, Statements: []prove.Statement{
			{Database: "app", SQL: "select count(*) > 0 from orders", Assert: true},
		}},
		Case: func(c *prove.Case) { fmt.Println(c.Status, c.Name()) },
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("data lost in a disaster:", report.Age())
	if !report.OK() {
		os.Exit(1)
	}
}
