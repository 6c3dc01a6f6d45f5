package restore

import (
	"context"
	"fmt"
	"strings"

	"github.com/pgbasin/pgbasin/backupset"
	"github.com/pgbasin/pgbasin/internal/claim"
	"github.com/pgbasin/pgbasin/pgdata"
	"github.com/pgbasin/pgbasin/recoveryconf"
)

// NotRecoverableError says that what was read is no backup that a server can
// recover.
type NotRecoverableError struct{ Reason string }

func (e *NotRecoverableError) Error() string { return "the backup cannot be recovered: " + e.Reason }

// complete looks at what came as a whole, and adds what is written at the end.
func (r *run) complete(ctx context.Context) error {
	if err := r.examine(); err != nil {
		return err
	}
	if err := r.checkWAL(ctx, r.control); err != nil {
		return err
	}
	for _, step := range []func() error{r.finishTablespaces, r.makeDirectories, r.configure} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// examine reads the files that say what the directory is.
func (r *run) examine() error {
	c := r.data.capture
	content, ok := c.file(backupset.VersionName)
	if !ok {
		return &NotRecoverableError{"there is no file PG_VERSION"}
	}
	var err error
	if r.version, err = pgdata.ParseVersion(content); err != nil {
		return &NotRecoverableError{err.Error()}
	}
	if r.p.Version != 0 && r.version != r.p.Version {
		return &NotRecoverableError{fmt.Sprintf("PG_VERSION says %v, but the backup began as one of %v", r.version, r.p.Version)}
	}
	if content, ok = c.file(backupset.ControlName); !ok {
		return &NotRecoverableError{"there is no file global/pg_control"}
	}
	control, err := pgdata.ParseControl(content)
	if err != nil {
		return &NotRecoverableError{err.Error()}
	}
	r.control = control
	r.systemID = control.SystemID
	if id := r.p.SystemID; id != 0 && id != r.systemID {
		return &NotRecoverableError{fmt.Sprintf("manifest system identifier is %d, but control file has %d", id, r.systemID)}
	}
	if err := r.examineLabel(control); err != nil {
		return err
	}
	// Of standard input this is not known before.
	return r.p.checkVersion(r.version)
}

func (r *run) examineLabel(control *pgdata.Control) error {
	content, ok := r.data.capture.file(backupset.LabelName)
	if !ok {
		// A server would start such a copy from the last checkpoint in
		// pg_control: fine after a clean shutdown, silent damage else.
		if control.State == pgdata.ShutDown || control.State == pgdata.ShutDownInRecovery {
			return nil
		}
		return &NotRecoverableError{fmt.Sprintf("there is no file backup_label, and the cluster was not shut down when it was copied (its state is %q)", control.State)}
	}
	label, err := pgdata.ParseBackupLabel(content)
	if err != nil {
		return &NotRecoverableError{err.Error()}
	}
	if label.Incremental() {
		return &IncrementalError{r.p.Backup, label.IncrementalFromLSN}
	}
	r.p.Label, r.p.Start, r.p.Timeline = label.Label, label.Start, label.StartTimeline
	return nil
}

// finishTablespaces sees that the files of each tablespace came, and makes the
// links that the archive did not have.
func (r *run) finishTablespaces() error {
	for i := range r.p.Tablespaces {
		t := &r.p.Tablespaces[i]
		if t.archive == nil && !r.data.files[t.OID] {
			reason := "it has no file of it"
			if r.data.links[t.OID] {
				reason = "there is only the link to it"
			}
			return &MissingTablespaceError{t.OID, t.Location, reason}
		}
		if t.InPlace {
			continue
		}
		if err := r.data.makeLink(t); err != nil {
			return err
		}
	}
	if !r.p.head.TablespaceMap && len(r.p.Tablespaces) == 0 {
		return nil
	}
	if r.version < 90500 {
		return nil // the links are all there is
	}
	return r.writeFile(backupset.TablespaceMapName, r.p.tablespaceMap(r.version), r.fileMode)
}

// makeDirectories makes what copies made by hand leave out.
func (r *run) makeDirectories() error {
	for _, d := range requiredDirectories {
		if !d.in(int(r.version)) {
			continue
		}
		if d.name == r.version.WALDir() {
			if err := r.data.makeWALDirectory(d.name); err != nil {
				return err
			}
			continue
		}
		if err := r.makeDirectory(d.name); err != nil {
			return err
		}
	}
	return nil
}

// makeDirectory makes a directory of the data directory, which may be in the WAL
// directory that was asked for.
func (r *run) makeDirectory(name string) error {
	for _, wal := range []string{"pg_wal/", "pg_xlog/"} {
		if below, ok := strings.CutPrefix(name, wal); ok && r.p.WALDir != "" {
			return claim.MakeBelow(r.dirs.Root(r.p.WALDir), below, r.dirMode)
		}
	}
	return claim.MakeBelow(r.root(), name, r.dirMode)
}

// configure writes the configuration of recovery and the settings.
func (r *run) configure() error {
	auto, _ := r.data.autoConf.file(recoveryconf.AutoConf)
	auto = recoveryconf.StripRecovery(auto)
	conf, _ := r.data.capture.file(serverConf)
	list := r.p.configuration(r.version, recoveryconf.ParamNames(conf))
	r.p.Configuration = list
	contents := map[string][]byte{recoveryconf.AutoConf: auto}
	for _, f := range list {
		contents[f.Name] = f.Apply(contents[f.Name])
		if f.Signal != "" {
			contents[f.Signal] = []byte{}
		}
	}
	for name, content := range contents {
		if err := r.writeFile(name, content, r.fileMode); err != nil {
			return err
		}
	}
	return nil
}
