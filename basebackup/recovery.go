package basebackup

import (
	"github.com/pgbasin/pgbasin/recoveryconf"
	"github.com/pgbasin/pgbasin/replproto"
	"github.com/pgbasin/pgbasin/tarstream"
)

// recoveryInjection is what -R changes in the data directory's archive.
func recoveryInjection(v replproto.Version, connInfo, slot string, s *site) tarstream.Injection {
	files := recoveryconf.Standby(int(v), recoveryconf.Primary(connInfo, slot))
	conf := tarstream.File{Name: files.Name, Content: files.Contents, Mode: s.fileMode}
	var in tarstream.Injection
	if files.Append {
		in.Append = append(in.Append, conf)
	} else {
		in.Add = append(in.Add, conf)
	}
	if files.Signal != "" {
		in.Add = append(in.Add, tarstream.File{Name: files.Signal, Mode: s.fileMode})
	}
	return in
}

func emptyInjection(in tarstream.Injection) bool {
	return len(in.Append)+len(in.Add)+len(in.Drop) == 0
}
