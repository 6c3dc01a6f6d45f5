// Package powercut tells what a power cut may leave of the files that a program
// was writing, for tests: it records the program's changes to a directory, and
// replays them up to any point as the states in which the disk may be then.
//
// The reading of POSIX is a strict one. What was written to a file is there for
// certain only after fsync or fdatasync returned for it, and until then any
// part of it may be missing, with the old content or zeroes in its place. A name
// that was made, changed or removed is certain only after fsync of the directory
// that holds it; syncing the file does not help, as it would on ext4. Changes of
// different names of a directory reach the disk in any order; a rename within a
// directory is atomic. A failed sync drops what it was to make durable: no later
// one brings it back, though it may be on disk all the same. Modes, owners and
// times are not looked at.
package powercut
