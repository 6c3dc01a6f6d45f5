// Package walarchive is a directory of WAL files: what archive_command and
// "pgbasin receive" put there, and what restore_command takes from it.
//
// A segment is a file of its name, whole and plain, or compressed with the
// suffix .gz, .lz4 or .zst; with ".partial" at the end, before or after that
// suffix, it is one that is not whole. History files (00000002.history) and
// backup history files (24 digits, a dot, 8 digits, ".backup") lie beside them.
// Every other name is somebody else's and left alone.
//
// The package needs no server. Byte order is that of the machine, as it is in
// the files of a server that runs on it.
package walarchive
