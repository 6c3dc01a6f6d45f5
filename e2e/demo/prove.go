package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"text/tabwriter"
	"time"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// prove starts a backup and compares its data.
func (d *demo) prove(b *backup) (err error) {
	restored, err := pgtest.Launch(d.ctx, pgtest.Config{Major: d.server.Major(), DataDir: b.data})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, restored.Close()) }()
	got, err := restored.TableSums(d.ctx)
	if err != nil {
		return err
	}
	if !maps.Equal(got, d.want) {
		return fmt.Errorf("the tables differ: %v, want %v", got, d.want)
	}
	if b.balance, err = restored.VerifyBalances(d.ctx); err != nil {
		return err
	}
	if b.balance < b.before {
		return fmt.Errorf("%d transactions, but %d had been committed before it began", b.balance, b.before)
	}
	b.equal = true
	say("%s: started. %s rows in %d tables are equal. The accounts add up, with %s transactions: at least the %s",
		b.name, count(rows(got)), len(got), count(b.balance), count(b.before))
	say("  that were committed when the backup began, at most the %s when it had ended.", count(b.before+b.commits))
	return nil
}

func (d *demo) summary(commits int64, took time.Duration) {
	heading("Summary")
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "backup\treceived\tWAL\tstored\tseconds\tcommits meanwhile\tverified\tstarted, rows equal\t")
	for _, b := range d.taken {
		equal := "not started"
		if b.equal {
			equal = "yes"
		}
		verified := "no manifest before 13"
		if b.report.Verified {
			verified = "yes"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%.1f\t%s\t%s\t%s\t\n", b.name, megabytes(b.report.Bytes), megabytes(b.report.WALBytes), megabytes(b.stored),
			b.took.Seconds(), count(b.commits), verified, equal)
	}
	w.Flush()
	say("\n%s transactions were committed in all; the demo took %.0f seconds and removes what it made.", count(commits), took.Seconds())
}
