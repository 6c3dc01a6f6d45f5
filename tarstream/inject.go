package tarstream

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"time"
)

// File is a member that an Injector makes, or adds to.
type File struct {
	Name    string
	Content []byte
	Mode    fs.FileMode // 0 means 0600
	ModTime time.Time   // zero means the time of writing
}

// header describes the file as pg_basebackup does what it injects.
func (f *File) header() *Header {
	h := &Header{
		Name: f.Name, Type: Regular, Mode: f.Mode, UID: InjectedUID, GID: InjectedGID,
		Size: int64(len(f.Content)), ModTime: f.ModTime,
	}
	if h.Mode == 0 {
		h.Mode = 0o600
	}
	if h.ModTime.IsZero() {
		h.ModTime = time.Now()
	}
	return h
}

// Injection is what an Injector changes.
type Injection struct {
	// Append adds content to the end of members, or makes them at the end of the
	// archive if they did not come.
	Append []File
	// Add makes files at the end of the archive; members of the same names, and
	// below such names, are dropped.
	Add []File
	// Drop names members that are left out, with all that is below them.
	Drop []string
}

// Injector is a Visitor that passes an archive on to another one and changes
// members on the way. Headers of members that it does not change are passed on
// as they came.
type Injector struct {
	next     Visitor
	in       Injection
	appended []bool // which of in.Append came

	drop     bool  // the current member is left out
	extra    *File // what follows the current member's content
	changed  Header
	finished bool
}

// NewInjector makes an Injector in front of next.
func NewInjector(next Visitor, in Injection) *Injector {
	return &Injector{next: next, in: in, appended: make([]bool, len(in.Append))}
}

var errFinished = errors.New("tar member came after the end of the archive it was injected to")

// Member implements Visitor.
func (in *Injector) Member(h *Header) error {
	if in.finished {
		return errFinished
	}
	in.extra = nil
	if in.drop = in.drops(h.Name); in.drop {
		return nil
	}
	for i := range in.in.Append {
		f := &in.in.Append[i]
		if f.Name != h.Name {
			continue
		}
		switch {
		case in.appended[i]:
			return fmt.Errorf("tar member %s comes twice", quote(h.Name))
		case h.Type != Regular:
			return fmt.Errorf("tar member %s is not a regular file", quote(h.Name))
		case h.Size > math.MaxInt64-int64(len(f.Content)):
			return fmt.Errorf("tar member %s is too large", quote(h.Name))
		}
		in.appended[i] = true
		in.extra = f
		in.changed = *h
		in.changed.Size += int64(len(f.Content))
		h = &in.changed
	}
	return in.next.Member(h)
}

// Content implements Visitor.
func (in *Injector) Content(p []byte) error {
	if in.drop {
		return nil
	}
	return in.next.Content(p)
}

// EndMember implements Visitor.
func (in *Injector) EndMember() error {
	if in.drop {
		return nil
	}
	if in.extra != nil && len(in.extra.Content) > 0 {
		if err := in.next.Content(in.extra.Content); err != nil {
			return err
		}
	}
	return in.next.EndMember()
}

// Finish makes the members that are due at the end of the archive. It must be
// called once, after the last member, which is when the Parser in front was
// closed without an error. More members can be passed to what follows the
// Injector afterwards, before that is closed.
func (in *Injector) Finish() error {
	if in.finished {
		return errFinished
	}
	in.finished = true
	for i := range in.in.Append {
		if f := &in.in.Append[i]; !in.appended[i] {
			if err := WriteFile(in.next, f.header(), f.Content); err != nil {
				return err
			}
		}
	}
	for i := range in.in.Add {
		f := &in.in.Add[i]
		if err := WriteFile(in.next, f.header(), f.Content); err != nil {
			return err
		}
	}
	return nil
}

func (in *Injector) drops(name string) bool {
	for i := range in.in.Add {
		if Within(name, in.in.Add[i].Name) {
			return true
		}
	}
	for _, d := range in.in.Drop {
		if Within(name, d) {
			return true
		}
	}
	return false
}
