package backup

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/pgbasin/pgbasin/basebackup"
	"github.com/pgbasin/pgbasin/cmd/pgbasin/internal/words"
	"github.com/pgbasin/pgbasin/manifest"
	"github.com/pgbasin/pgbasin/replproto"
)

// whatIncremental is how the library calls what servers before 17 do not have.
const whatIncremental = "an incremental backup"

func (o *options) openPrevious() (io.ReadCloser, error) {
	f, err := os.Open(o.previous.Text)
	if err != nil {
		return nil, fmt.Errorf("could not open file \"%s\": %w", o.previous.Text, err)
	}
	return manifestFile{f}, nil
}

// manifestFile names the file in errors as pg_basebackup does.
type manifestFile struct{ f *os.File }

func (m manifestFile) Read(p []byte) (int, error) {
	n, err := m.f.Read(p)
	if err != nil && err != io.EOF {
		err = fmt.Errorf("could not read file \"%s\": %w", m.f.Name(), err)
	}
	return n, err
}

func (m manifestFile) Seek(offset int64, whence int) (int64, error) { return m.f.Seek(offset, whence) }
func (m manifestFile) Close() error                                 { return m.f.Close() }

// incrementalText is the text of errors of incremental backups that need other
// words than the library's, "" for all others.
func (o *options) incrementalText(err error, dropIn bool) string {
	var unsupported *replproto.UnsupportedError
	var previous *basebackup.PreviousManifestError
	var path *fs.PathError
	switch {
	case errors.As(err, &unsupported) && unsupported.What == whatIncremental && dropIn:
		return "server does not support incremental backup"
	case !errors.As(err, &previous):
		return ""
	case errors.As(err, &path): // it names the file
		return words.Of(previous.Err)
	}
	return fmt.Sprintf("could not use manifest \"%s\": %s", o.previous.Text, words.Of(previous.Err))
}

// incrementalHint is about what a server or pgbasin finds wrong with an incremental
// backup; "" if it is something else. The texts are those of the server's
// basebackup.c, basebackup_incremental.c and walsummarizer.c.
func (o *options) incrementalHint(err error, server *replproto.ServerError) string {
	if !o.previous.Given {
		return ""
	}
	var other *basebackup.OtherSystemError
	var previous *basebackup.PreviousManifestError
	said := func(parts ...string) bool {
		for _, part := range parts {
			if !strings.Contains(err.Error(), part) {
				return false
			}
		}
		return true
	}
	const full = "take a full backup, without -i/--incremental"
	switch {
	case errors.As(err, &other), server != nil && said("system identifier in backup manifest is"):
		return "The manifest is of a backup of another cluster: name one of this cluster, or " + full + "."
	case errors.As(err, &previous) && said("manifest version 1"):
		return "The manifest is of a server before 17: " + full + "."
	case errors.As(err, &previous):
		var format *manifest.FormatError
		if errors.As(err, &format) {
			return "-i/--incremental takes the backup_manifest of the backup to build on, unchanged."
		}
	case server == nil:
	case said("WAL summarization is enabled"):
		return "Set summarize_wal = on on the server, reload it, and " + full + ": the next one can build on that."
	case said("WAL summarization is not progressing"):
		return "The server's log may say why its WAL summarizer does not go on."
	case said("WAL summaries are required"):
		return "The server has no record of what changed since the backup to build on, because summarize_wal was off for a while or summaries are kept for less time than passes between backups (wal_summary_keep_time): " + full + "."
	case said("found in manifest, but not in this server's history"):
		return "The backup to build on was taken on a timeline that does not lead to where this server is: " + full + "."
	case said("manifest requires WAL from final timeline", "but this backup starts at"):
		return "" // the server has a hint of its own
	case said("manifest requires WAL from"):
		return "The backup to build on is not of this server's past: " + full + "."
	}
	return ""
}
