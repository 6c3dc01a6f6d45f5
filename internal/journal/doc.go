// Package journal is a file of records that is only ever appended to, and from
// which every record that was written whole is read again after a crash of the
// program or of its host.
//
// The file begins with a line that says what it is of. Each record is a frame: its
// length, a checksum of the length, a checksum of the content (CRC32C, all three
// uint32s, little-endian), the content, and a newline. What a crash can leave of
// the last records, a piece of a frame or zeroes from anywhere on, is told from
// damage: that is the end of the journal, everything else that is wrong is an error.
package journal
