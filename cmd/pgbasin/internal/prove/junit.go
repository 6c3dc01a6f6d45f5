package prove

import (
	"errors"
	"fmt"
	"os"

	"github.com/pgbasin/pgbasin/prove"
)

// junitFile is the file of --junit. It is opened and emptied at once: a report
// that cannot be written is noticed before the work, and that of another run is
// never taken for this one's.
type junitFile struct{ f *os.File }

func (r *run) openJUnit() (*junitFile, error) {
	if !r.o.junit.Given {
		return nil, nil
	}
	f, err := os.Create(r.o.junit.Text)
	if err != nil {
		return nil, fmt.Errorf("could not create JUnit report \"%s\": %w", r.o.junit.Text, err)
	}
	return &junitFile{f}, nil
}

func (j *junitFile) write(report *prove.Report) error {
	err := report.WriteJUnit(j.f)
	if err := errors.Join(err, j.f.Close()); err != nil {
		return fmt.Errorf("could not write JUnit report \"%s\": %w", j.f.Name(), err)
	}
	return nil
}
