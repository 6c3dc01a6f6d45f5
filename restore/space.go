package restore

import "fmt"

// SpaceError says that a file system cannot hold what would be restored to it.
type SpaceError struct {
	Path        string // a directory on the file system
	Need, Have  int64  // bytes
	AtLeast     bool   // more than Need may be needed: sizes are not all known
	Directories []string
}

func (e *SpaceError) Error() string {
	need := fmt.Sprint(e.Need)
	if e.AtLeast {
		need = "at least " + need
	}
	return fmt.Sprintf("not enough space on the file system of %q: %s bytes are needed, %d are free", e.Path, need, e.Have)
}

// demand is how many bytes go to a directory.
type demand struct {
	path  string
	bytes int64
	exact bool
}

// checkSpace refuses what does not fit, file system by file system.
func checkSpace(demands []demand) error {
	volumes := map[string]*SpaceError{}
	var order []*SpaceError
	for _, d := range demands {
		at := existing(d.path)
		id, free, ok := freeSpace(at)
		if !ok {
			continue
		}
		v := volumes[id]
		if v == nil {
			v = &SpaceError{Path: d.path, Have: free}
			volumes[id], order = v, append(order, v)
		}
		v.Need += d.bytes
		v.AtLeast = v.AtLeast || !d.exact
		v.Directories = append(v.Directories, d.path)
	}
	for _, v := range order {
		if v.Need > v.Have {
			return v
		}
	}
	return nil
}
