package prove

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/pgbasin/pgbasin/verify"
)

// checksums checks the checksum of every page, after the server has written
// them all and was shut down: recovery has repaired what was written half when
// the backup was taken, so no page may be wrong.
func (r *run) checksums(ctx context.Context) {
	if !r.o.Checks.Checksums {
		return
	}
	c := r.begin(CheckChecksums)
	if r.s.control.Complete && r.s.control.DataChecksumVersion == 0 {
		r.skip(c, "the cluster has no page checksums")
		return
	}
	r.end(c, r.checkPages(ctx, c))
}

func (r *run) checkPages(ctx context.Context, c *Case) error {
	if err := r.s.shutDown(ctx); err != nil {
		return err
	}
	report, err := verify.Run(ctx, verify.Options{
		Path: r.s.scratch.data(), Format: verify.Plain, WithoutManifest: true, ManifestPath: filepath.Join(r.s.scratch.dir, "no manifest"),
		NoParseWAL: true, PageChecksums: true, ShutDown: true, Jobs: r.o.jobs(),
	})
	if err != nil {
		return err
	}
	for _, p := range report.Problems {
		c.problem(p.Error())
	}
	c.Count = report.Total
	if report.Pages == nil {
		return errors.New("no page was checked")
	}
	c.Summary = fmt.Sprintf("%d pages", report.Pages.Checked)
	return nil
}
