package basebackup

import (
	"errors"
	"fmt"

	"github.com/pgbasin/pgbasin/incremental"
	"github.com/pgbasin/pgbasin/pgdata"
	"github.com/pgbasin/pgbasin/tarstream"
)

// increments looks into the archives of an incremental backup while they pass:
// that its files are such, and from where on they hold what changed.
type increments struct {
	layout incremental.Layout
	label  *pgdata.BackupLabel // nil until it came
}

// visitor is for one archive, whose members have prefix in front of their names
// in the manifest.
func (i *increments) visitor(prefix string) tarstream.Visitor {
	return &incrementVisitor{increments: i, prefix: prefix}
}

// report says what came. It may be called for nil.
func (i *increments) report(r *Result) {
	if i != nil && i.label != nil {
		r.From, r.FromTimeline = i.label.IncrementalFromLSN, i.label.IncrementalFromTLI
	}
}

type incrementVisitor struct {
	*increments
	prefix  string
	decoder *incremental.Decoder // of the member under way; nil if it is none
	text    []byte               // of backup_label
	inLabel bool
}

// maxLabel is more than servers write and less than pgdata takes.
const maxLabel = 64 << 10

func (v *incrementVisitor) Member(h *tarstream.Header) error {
	v.decoder, v.inLabel = nil, false
	if h.Type != tarstream.Regular {
		return nil
	}
	name := v.prefix + h.Name
	if _, ok := incremental.Target(name); ok {
		v.decoder = incremental.NewDecoder(v.layout, name, h.Size, passed{})
	} else if name == pgdata.LabelFile && v.label == nil {
		if h.Size > maxLabel {
			return fmt.Errorf("%s has %d bytes", name, h.Size)
		}
		v.inLabel = true
	}
	return nil
}

func (v *incrementVisitor) Content(p []byte) error {
	if v.decoder != nil {
		_, err := v.decoder.Write(p)
		return err
	}
	if v.inLabel {
		v.text = append(v.text, p...)
	}
	return nil
}

func (v *incrementVisitor) EndMember() (err error) {
	if v.decoder != nil {
		return v.decoder.Close()
	}
	if v.inLabel {
		if v.label, err = pgdata.ParseBackupLabel(v.text); err == nil && !v.label.Incremental() {
			err = errNotIncremental
		}
	}
	return err
}

var errNotIncremental = errors.New("server was asked for an incremental backup, but its backup_label is that of a full one")

// passed takes the parts of incremental files, which the decoder has checked.
type passed struct{}

func (passed) Header(*incremental.Header) error { return nil }
func (passed) Data(int64, []byte) error         { return nil }
