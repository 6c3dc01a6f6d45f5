//go:build linux || darwin

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/pgbasin/pgbasin/internal/pgtest"
)

// stage is a server and what is measured with it.
type stage struct {
	name   string
	launch func(b *bench, ctx context.Context, size int64) (*pgtest.Server, error)
	rows   []row
	peaks  []row // whose peak memory is measured with servers of two sizes
	limits bool  // of what programs can do with such a server
}

var stages = []stage{
	{
		name: "a database", launch: (*bench).launchDatabase, limits: true,
		rows: slices.Concat(backupRows, restoreRows, []row{verifyRow}), peaks: databasePeaks,
	},
	{name: "a chain of backups", launch: (*bench).launchChain, rows: []row{combineRow}, peaks: chainPeaks},
	{name: "WAL", launch: (*bench).launchWAL, rows: slices.Concat(commitRows, []row{bulkRow})},
	{name: "many small files", launch: (*bench).launchFiles, rows: smallRows},
}

// run measures, and writes the document to out and into the file that the options
// name. What goes on meanwhile is printed to log.
func run(ctx context.Context, o *options, out, log io.Writer) (err error) {
	chosen := o.choose(stages)
	if len(chosen) == 0 {
		return fmt.Errorf("no row has a name that matches %s", o.rows)
	}
	b, err := newBench(o, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()

	doc := &document{o: o}
	if doc.machine, err = b.describe(ctx); err != nil {
		return err
	}
	for i := range chosen {
		if err := b.stage(ctx, &chosen[i], doc); err != nil {
			return err
		}
	}
	text := doc.text()
	if _, err := io.WriteString(out, text); err != nil || o.output == "" {
		return err
	}
	return os.WriteFile(o.output, []byte(text), 0o644)
}

// stage measures what has to do with one kind of server.
func (b *bench) stage(ctx context.Context, st *stage, doc *document) error {
	peaks := make([]peak, len(st.peaks))
	for i := range peaks {
		peaks[i].row = &st.peaks[i]
	}
	memory := func(s *pgtest.Server) error { return b.peaks(ctx, s, peaks) }
	if len(peaks) > 0 {
		if err := b.withServer(ctx, st, b.o.small, memory); err != nil {
			return err
		}
	}
	if len(st.rows) > 0 || st.limits || b.o.top == b.o.size {
		err := b.withServer(ctx, st, b.o.size, func(s *pgtest.Server) error {
			if err := b.rows(ctx, s, st, doc); err != nil || b.o.top != b.o.size {
				return err
			}
			return memory(s)
		})
		if err != nil {
			return err
		}
	}
	if len(peaks) > 0 && b.o.top != b.o.size {
		if err := b.withServer(ctx, st, b.o.top, memory); err != nil {
			return err
		}
	}
	doc.peaks = append(doc.peaks, peaks...)
	return nil
}

// rows measures a stage's rows and its limits.
func (b *bench) rows(ctx context.Context, s *pgtest.Server, st *stage, doc *document) error {
	for i := range st.rows {
		res, err := b.compare(ctx, s, &st.rows[i])
		if err != nil {
			return fmt.Errorf("%s: %w", st.rows[i].work, err)
		}
		doc.results = append(doc.results, res)
	}
	if !st.limits {
		return nil
	}
	var err error
	if doc.limits, err = b.limits(ctx, s); err != nil {
		return fmt.Errorf("limits: %w", err)
	}
	return nil
}

// withServer calls f with a stage's server.
func (b *bench) withServer(ctx context.Context, st *stage, size int64, f func(*pgtest.Server) error) (err error) {
	fmt.Fprintf(b.log, "making the server for %s\n", st.name)
	s, err := st.launch(b, ctx, size)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return f(s)
}

// choose returns the stages that have rows which are to be measured, with these.
func (o *options) choose(all []stage) []stage {
	var chosen []stage
	for _, st := range all {
		st.rows, st.peaks = o.chooseRows(st.rows), o.chooseRows(st.peaks)
		st.limits = st.limits && o.rows.MatchString("limits")
		if len(st.rows)+len(st.peaks) > 0 || st.limits {
			chosen = append(chosen, st)
		}
	}
	return chosen
}

func (o *options) chooseRows(all []row) []row {
	var chosen []row
	for _, r := range all {
		if o.rows.MatchString(r.work) {
			chosen = append(chosen, r)
		}
	}
	return chosen
}
