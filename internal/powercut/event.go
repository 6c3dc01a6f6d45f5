package powercut

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Kind is what happened.
type Kind int

const (
	Names    Kind = iota // entries of a directory were set or removed, together
	Write                // bytes were written to a file
	Truncate             // a file was cut off or filled up with zeroes
	Extend               // a file was filled up with zeroes, unless it was as long already
	Sync                 // a file, a directory or everything was synced
	Send                 // bytes are about to go to a socket
	Exit                 // the program is about to end
)

// Event is one thing that the program did, in the order of what others could see.
type Event struct {
	Kind Kind

	Dir     int     // of Names: the directory
	Entries []Entry // of Names

	Node   int    // of what concerns a file or, with Sync, a directory; all if -1 with Sync
	Offset int64  // of Write
	Size   int64  // of Truncate and Extend
	Data   []byte // of Write and Send

	// Since is how many events there were when a Sync began: those it covers.
	Since  int
	Failed bool // of Sync

	Status int // of Exit

	What string // for messages
}

// Entry is a name in a directory and the node that it leads to, -1 for none.
type Entry struct {
	Name string
	Node int
}

// node is a file, a directory or a link.
type node struct {
	dir     bool
	target  string // of a link
	content []byte // of a file that was there at the beginning
}

const none = -1

// Log is a recording.
type Log struct {
	Root   string // the directory; node 0
	Events []Event

	nodes []node
	names map[int]map[string]int // of the directories at the beginning
}

// newLog begins with what is there now, which counts as durable. seen is told
// each node.
func newLog(root string, seen func(node int, info fs.FileInfo)) (*Log, error) {
	l := &Log{Root: root, names: map[int]map[string]int{}}
	byPath := map[string]int{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		n := node{dir: d.IsDir()}
		switch info.Mode().Type() {
		case fs.ModeDir:
		case fs.ModeSymlink:
			n.target, err = os.Readlink(path)
		case 0:
			n.content, err = os.ReadFile(path)
		default:
			err = fmt.Errorf("%s is neither a file nor a directory nor a link", path)
		}
		if err != nil {
			return err
		}
		id := l.add(n)
		byPath[path] = id
		if path != root {
			l.names[byPath[filepath.Dir(path)]][d.Name()] = id
		}
		seen(id, info)
		return nil
	})
	return l, err
}

func (l *Log) add(n node) int {
	l.nodes = append(l.nodes, n)
	id := len(l.nodes) - 1
	if n.dir {
		l.names[id] = map[string]int{}
	}
	return id
}
