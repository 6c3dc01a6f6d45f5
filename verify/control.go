package verify

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/pgbasin/pgbasin/pgdata"
)

// ControlError says that the backup's pg_control is damaged or that of another
// cluster than the manifest's.
type ControlError struct {
	Path    string // of the file; in tar format relative to the data directory
	Archive string // in tar format: the archive that it is in
	// SystemID is the control file's, ManifestSystemID that of the manifest; 0
	// if something else is wrong.
	SystemID, ManifestSystemID uint64
	Err                        error // what else is wrong
}

func (e *ControlError) Unwrap() error { return e.Err }

func (e *ControlError) Error() string {
	where := e.Path
	if e.Archive != "" {
		where = e.Archive + ": " + e.Path
	}
	switch {
	case e.Err == nil:
		return fmt.Sprintf("%s: manifest system identifier is %d, but control file has %d", where, e.ManifestSystemID, e.SystemID)
	case errors.Is(e.Err, pgdata.ErrChecksum):
		return where + ": CRC is incorrect"
	case errors.Is(e.Err, pgdata.ErrTooOld), errors.Is(e.Err, pgdata.ErrByteOrder):
		return where + ": unexpected control file version"
	}
	return fmt.Sprintf("%s: %v", where, e.Err)
}

// checkControlFile takes what is to be known from the control file at full, and
// compares the system identifier with the manifest's.
func (v *verifier) checkControlFile(full string) error {
	err := v.readControlFile(full)
	if v.report.ManifestVersion == 1 {
		return nil // its checksum tells what is wrong
	}
	return err
}

func (v *verifier) readControlFile(full string) error {
	f, err := os.Open(full)
	if err != nil {
		return &ControlError{Path: full, Err: fmt.Errorf("could not open file \"%s\" for reading: %w", full, systemError(err))}
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, pgdata.ControlSize))
	if err != nil {
		return &ControlError{Path: full, Err: systemError(err)}
	}
	return v.checkControl(content, full, "")
}

// checkControl takes the content of a control file.
func (v *verifier) checkControl(content []byte, path, archive string) error {
	control, err := pgdata.ParseControl(content)
	if err != nil {
		return &ControlError{Path: path, Archive: archive, Err: err}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.control = control
	if v.report.SystemID == 0 {
		v.report.SystemID = control.SystemID
	}
	if control.SystemID != v.report.SystemID {
		return &ControlError{Path: path, Archive: archive, SystemID: control.SystemID, ManifestSystemID: v.report.SystemID}
	}
	return nil
}
