package replproto

import (
	"fmt"
	"strings"
)

// BaseBackupOptions are the options of BASE_BACKUP; the zero value sends none
// but the label. What a server is too old for is refused before it is asked,
// with an *UnsupportedError, unless leaving it out means the same there.
type BaseBackupOptions struct {
	Label          string
	Progress       bool // let the server estimate sizes
	FastCheckpoint bool
	WAL            bool // send the WAL that the backup needs in the archive itself
	NoWait         bool // do not wait for WAL archiving: the client collects the WAL
	MaxRate        int  // kB/s, 32 to 1048576; 0 = no limit; 9.4
	// TablespaceMap asks for tablespace_map in the archive instead of links in
	// pg_tblspc (9.5; before, archives always hold the links).
	TablespaceMap     bool
	NoVerifyChecksums bool // 11; before, servers verify none
	Manifest          bool // 13
	// ManifestForceEncode makes the manifest write all names in hexadecimal.
	ManifestForceEncode bool
	ManifestChecksums   string // algorithm; "" = the server's default
	Target              string // "server", "blackhole"; "" = the client; 15
	TargetDetail        string
	Compression         string // by the server: "gzip", "lz4", "zstd"; "" = none; 15
	CompressionDetail   string
	Incremental         bool // after UPLOAD_MANIFEST; 17
}

// command renders the options in the syntax of the server's version: a plain
// list up to 14, parenthesised from 15 on (protocol section "BASE_BACKUP").
func (o *BaseBackupOptions) command(v Version, server string) (string, error) {
	needs := func(asked bool, what string, since Version) error {
		if asked && v < since {
			return &UnsupportedError{What: what, Since: since.Major(), Server: server}
		}
		return nil
	}
	for _, err := range []error{
		needs(true, "BASE_BACKUP", v9_1),
		needs(o.MaxRate != 0, "a maximum transfer rate", v9_4),
		needs(o.Manifest, "a backup manifest", v13),
		needs(o.Target != "", "a backup target", v15),
		needs(o.Compression != "", "server-side compression", v15),
		needs(o.Incremental, "an incremental backup", v17),
	} {
		if err != nil {
			return "", err
		}
	}

	newSyntax := v >= v15
	var list []string
	add := func(asked bool, old, new string) {
		if newSyntax {
			old = new
		}
		if asked {
			list = append(list, old)
		}
	}
	add(o.Incremental, "", "INCREMENTAL")
	label := "LABEL " + quoteLiteral(o.Label)
	add(true, label, label)
	add(o.Progress, "PROGRESS", "PROGRESS")
	add(o.WAL, "WAL", "WAL")
	add(o.FastCheckpoint, "FAST", "CHECKPOINT 'fast'")
	add(o.NoWait, "NOWAIT", "WAIT 0")
	rate := fmt.Sprintf("MAX_RATE %d", o.MaxRate)
	add(o.MaxRate != 0, rate, rate)
	add(o.TablespaceMap && v >= v9_5, "TABLESPACE_MAP", "TABLESPACE_MAP")
	add(o.NoVerifyChecksums && v >= v11, "NOVERIFY_CHECKSUMS", "VERIFY_CHECKSUMS 0")
	if o.Manifest {
		mode := "MANIFEST 'yes'"
		if o.ManifestForceEncode {
			mode = "MANIFEST 'force-encode'"
		}
		add(true, mode, mode)
		sums := "MANIFEST_CHECKSUMS " + quoteLiteral(o.ManifestChecksums)
		add(o.ManifestChecksums != "", sums, sums)
	}
	if newSyntax {
		target := o.Target
		if target == "" {
			target = "client"
		}
		add(true, "", "TARGET "+quoteLiteral(target))
		add(o.TargetDetail != "", "", "TARGET_DETAIL "+quoteLiteral(o.TargetDetail))
		add(o.Compression != "", "", "COMPRESSION "+quoteLiteral(o.Compression))
		add(o.CompressionDetail != "", "", "COMPRESSION_DETAIL "+quoteLiteral(o.CompressionDetail))
		return "BASE_BACKUP (" + strings.Join(list, ", ") + ")", nil
	}
	return "BASE_BACKUP " + strings.Join(list, " "), nil
}
