package verify

import (
	"fmt"

	"github.com/pgbasin/pgbasin/manifest"
)

// Kind is a way in which a backup can be wrong.
type Kind int

const (
	Unreadable      Kind = iota + 1 // a file or directory could not be looked at
	NotRegular                      // neither a file nor a directory
	Unexpected                      // a file that is no part of a backup in tar format
	Extra                           // a file that the manifest does not list
	Missing                         // the manifest lists a file that is not there
	SizeDiffers                     // from the manifest's
	ReadSizeDiffers                 // a file changed while it was read
	ChecksumLength                  // the manifest's checksum is not as long as its algorithm makes it
	ChecksumDiffers                 // from the manifest's
	BrokenArchive                   // an archive is cut off or malformed
	BrokenWAL                       // WAL that recovery needs is missing or damaged
	BrokenPage                      // a page's checksum is wrong, and no WAL repairs it
)

var kindNames = [...]string{
	Unreadable: "unreadable", NotRegular: "not-regular", Unexpected: "unexpected", Extra: "extra", Missing: "missing",
	SizeDiffers: "size", ReadSizeDiffers: "read-size", ChecksumLength: "checksum-length", ChecksumDiffers: "checksum",
	BrokenArchive: "archive", BrokenWAL: "wal", BrokenPage: "page",
}

// String is a word for the Kind that does not change.
func (k Kind) String() string {
	if k > 0 && int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("Kind(%d)", int(k))
}

// Problem is something that is wrong with the backup. Its text is
// pg_verifybackup's, where that knows it.
type Problem struct {
	Kind Kind
	// Path is relative to the data directory, or in tar format to the backup's
	// directory, if the problem is with an archive as such. Of a file in a
	// tablespace's archive it begins with pg_tblspc/<oid>/. Empty for
	// BrokenWAL.
	Path    string
	Archive string // in tar format: the archive that the file is in

	Size, ManifestSize   int64             // bytes; SizeDiffers, ReadSizeDiffers
	Length, LengthWanted int               // bytes; ChecksumLength
	Block                uint32            // BrokenPage: counted from the beginning of the file
	Computed, Stored     uint16            // BrokenPage: checksums
	Range                manifest.WALRange // BrokenWAL

	Err error // Unreadable, BrokenArchive, BrokenWAL, BrokenPage: why

	action string // Unreadable: what could not be done
	name   string // what the text calls it, if not Path
}

func (p *Problem) Unwrap() error { return p.Err }

func (p *Problem) Error() string {
	name := p.name
	if name == "" {
		name = p.Path
	}
	if p.Archive != "" {
		if text := p.inArchive(name); text != "" {
			return text
		}
	}
	switch p.Kind {
	case Unreadable:
		return fmt.Sprintf("%s \"%s\": %v", p.action, name, p.Err)
	case NotRegular:
		return fmt.Sprintf("\"%s\" is not a regular file or directory", name)
	case Unexpected:
		return fmt.Sprintf("file \"%s\" is not expected in a tar format backup", name)
	case Extra:
		return fmt.Sprintf("\"%s\" is present on disk but not in the manifest", name)
	case Missing:
		return fmt.Sprintf("\"%s\" is present in the manifest but not on disk", name)
	case SizeDiffers:
		return fmt.Sprintf("\"%s\" has size %d on disk but size %d in the manifest", name, p.Size, p.ManifestSize)
	case ReadSizeDiffers:
		return fmt.Sprintf("file \"%s\" should contain %d bytes, but read %d", name, p.ManifestSize, p.Size)
	case ChecksumLength:
		return fmt.Sprintf("file \"%s\" has checksum of length %d, but expected %d", name, p.Length, p.LengthWanted)
	case ChecksumDiffers:
		return fmt.Sprintf("checksum mismatch for file \"%s\"", name)
	case BrokenWAL:
		return fmt.Sprintf("WAL parsing failed for timeline %d", p.Range.Timeline)
	case BrokenPage:
		if p.Archive != "" {
			name += "\" in archive \"" + p.Archive
		}
		text := fmt.Sprintf("checksum verification failed in file \"%s\", block %d: ", name, p.Block)
		if p.Err != nil {
			return text + p.Err.Error()
		}
		return text + fmt.Sprintf("calculated checksum %X but block contains %X", p.Computed, p.Stored)
	}
	return fmt.Sprintf("%v \"%s\"", p.Kind, name)
}

// inArchive is the text for what only archives have, or have in other words.
func (p *Problem) inArchive(name string) string {
	switch p.Kind {
	case NotRegular:
		return fmt.Sprintf("file \"%s\" is not a regular file", name)
	case Extra:
		return fmt.Sprintf("file \"%s\" is present in archive \"%s\" but not in the manifest", name, p.Archive)
	case SizeDiffers:
		return fmt.Sprintf("file \"%s\" has size %d in archive \"%s\" but size %d in the manifest", name, p.Size, p.Archive, p.ManifestSize)
	case ChecksumLength:
		return fmt.Sprintf("file \"%s\" in archive \"%s\" has checksum of length %d, but expected %d", p.Path, p.Archive, p.Length, p.LengthWanted)
	case ChecksumDiffers:
		return fmt.Sprintf("checksum mismatch for file \"%s\" in archive \"%s\"", p.Path, p.Archive)
	case BrokenArchive:
		return fmt.Sprintf("could not read archive \"%s\": %v", p.Archive, p.Err)
	}
	return ""
}
