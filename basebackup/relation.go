package basebackup

import (
	"strings"

	"github.com/pgbasin/pgbasin/pgdata"
	"github.com/pgbasin/pgbasin/tarstream"
)

// comesInBlocks tells whether an incremental backup can hold only the changed blocks
// of the file at path, which is as in the manifest: of a relation, and neither of its
// free space map, which is not fully logged and always sent whole, nor of its visibility
// map, of which servers do not log every change as one of its blocks. All other files
// are sent whole.
func comesInBlocks(path string) bool {
	parts := strings.Split(path, "/")
	switch {
	case len(parts) == 2 && parts[0] == "global":
	case len(parts) == 3 && parts[0] == "base":
	case len(parts) == 5 && parts[0] == tarstream.TablespaceDir && strings.HasPrefix(parts[2], "PG_"):
		if _, ok := pgdata.ParseOID(parts[1]); !ok {
			return false
		}
	default:
		return false
	}
	if len(parts) > 2 {
		if _, ok := pgdata.ParseOID(parts[len(parts)-2]); !ok {
			return false
		}
	}
	name, segment, more := strings.Cut(parts[len(parts)-1], ".")
	if _, ok := pgdata.ParseOID(segment); more && !ok {
		return false
	}
	name = strings.TrimSuffix(name, "_init")
	_, ok := pgdata.ParseOID(name)
	return ok
}

// tablespacePath takes a path in a tablespace apart.
func tablespacePath(path string) (link, rest string, ok bool) {
	if !strings.HasPrefix(path, tarstream.TablespaceDir+"/") {
		return "", "", false
	}
	i := len(tarstream.TablespaceDir) + 1
	n := strings.IndexByte(path[i:], '/')
	if n < 0 {
		return "", "", false
	}
	return path[:i+n], path[i+n+1:], true
}
